//! The command line: the arguments, and the checks that don't need the system.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use metalbond::{Config, Pacing, Vni};
use metalbond_tokio::{Endpoint, EndpointError};

use crate::api::Role;
use crate::bench::BenchArgs;
use crate::check::CheckArgs;
use crate::config::ConfigArgs;
use crate::go_flags;
use crate::http::HttpArgs;
use crate::inspect::{DiffArgs, ShowArgs, TopArgs, WatchArgs};
use crate::install::InstallArgs;
use crate::limits::{ClientLimitArgs, ServerLimitArgs};
use crate::logging::LogFormat;
use crate::manual::{CompletionsArgs, ManArgs};
use crate::policy::PolicyArgs;
use crate::record::RecordArgs;
use crate::replay::ReplayArgs;
use crate::spec::{self, Spec};
use crate::tls::{Files, TlsArgs};

/// Route distribution for virtual networks, by the MetalBond v1 protocol.
#[derive(Parser, Debug)]
#[command(name = "metalbond", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Log each try to connect and each handshake, too (-vv: also what libraries have to say). Otherwise as RUST_LOG
    /// says, or info
    #[arg(short, long, global = true, action = ArgAction::Append, value_name = "LEVEL", value_parser = parse_verbosity)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    #[arg(env = "METALBOND_VERBOSE", display_order = 100)]
    pub(crate) verbose: Vec<u8>,
    /// How log lines look, on standard error
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    #[arg(env = "METALBOND_LOG_FORMAT", display_order = 101)]
    pub(crate) log_format: LogFormat,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Receive routes from clients and pass them on to the others that subscribed to their network
    Server(Box<ServerArgs>),
    /// Announce routes to servers, and print those of others as they come and go
    Client(Box<ClientArgs>),
    /// Run again what was recorded with --record, and compare what comes out with what came out then
    Replay(ReplayArgs),
    /// Show what a running daemon holds, over HTTP
    Show(ShowArgs),
    /// Follow changes of a running daemon's routes and peers
    Watch(WatchArgs),
    /// Watch a running daemon's peers and networks on the terminal, live
    Top(TopArgs),
    /// Compare the tables of running daemons. Exit code 0: they hold the same routes; 1: they differ; 2: it can't be said
    Diff(DiffArgs),
    /// Load a server, and say how long it takes to tell its clients
    Bench(BenchArgs),
    /// Check a file with settings, as for --config, or with a policy; say what a peer may do by it
    Check(CheckArgs),
    /// Print a script that completes this program's arguments in a shell
    Completions(CompletionsArgs),
    /// Write manual pages
    Man(ManArgs),
    /// Watch a server and three clients exchange routes over loopback; takes a moment and ends by itself
    Demo,
}

#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// Where to listen; may be given several times. Port 0 takes a free one. Sockets that a service manager hands over
    /// (LISTEN_FDS) take the default's place
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_listen, value_delimiter = ',')]
    #[arg(default_value = "[::]:4711", env = "METALBOND_LISTEN")]
    pub(crate) listen: Vec<Listen>,
    /// Where to listen for clients that don't speak TLS, while others do at --listen; may be given several times
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_listen, value_delimiter = ',')]
    #[arg(env = "METALBOND_LISTEN_PLAIN")]
    pub(crate) listen_plain: Vec<Listen>,
    /// The interval of keepalives; the lower of the two ends' holds. A peer silent for 2.5 intervals is gone. 0 is the default
    #[arg(long, value_name = "SECONDS", value_parser = parse_keepalive, allow_negative_numbers = true)]
    #[arg(default_value = "5", env = "METALBOND_KEEPALIVE")]
    pub(crate) keepalive: u32,
    /// How long the server says that it is converging, which means that its table may be incomplete: after its start, and after
    /// the loss of a client
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    #[arg(default_value = "60", env = "METALBOND_CONVERGENCE_TIME")]
    pub(crate) convergence_time: u32,
    /// The longest time for which the routes of a client are retained when its process goes away, whatever it asks for with
    /// --restart-time; 0: not at all
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    #[arg(default_value = "60", env = "METALBOND_RESTART_TIME_MAX")]
    pub(crate) restart_time_max: u32,
    /// How fast routes are sent to clients of the reference implementation, which die of more than they can work off;
    /// 0: as fast as they take them
    #[arg(long, value_name = "BYTES/S", value_parser = parse_pace, allow_negative_numbers = true)]
    #[arg(default_value_t = Pacing::default().rate, env = "METALBOND_PACE")]
    pub(crate) pace: u32,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// Let clients in that show no certificate; one that is shown must be good
    #[arg(long, value_parser = BoolishValueParser::new(), env = "METALBOND_TLS_ANONYMOUS")]
    #[arg(help_heading = "TLS")]
    pub(crate) tls_anonymous: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) limits: ServerLimitArgs,
}

impl ServerArgs {
    /// Returns the files with certificates and secrets.
    pub(crate) fn secrets(&self) -> Files {
        let (tls, http) = (self.tls.clone(), self.http.clone());
        Files { role: Role::Server, tls, is_anonymous: self.tls_anonymous, http }
    }

    /// Returns true if a port to listen on needs privileges.
    pub(crate) fn has_low_port(&self) -> bool {
        self.listen.iter().chain(&self.listen_plain).any(Listen::is_low) || self.http.has_low_port()
    }
}

#[derive(Args, Debug)]
pub(crate) struct ClientArgs {
    /// A server to connect to; may be given several times
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_server, value_delimiter = ',')]
    #[arg(env = "METALBOND_SERVER")]
    pub(crate) server: Vec<Endpoint>,
    /// Virtual networks whose routes to receive; may be given several times
    #[arg(long, value_name = "VNI", value_parser = spec::parse_any_vni, value_delimiter = ',')]
    #[arg(allow_negative_numbers = true, env = "METALBOND_SUBSCRIBE")]
    pub(crate) subscribe: Vec<Vni>,
    /// A route to announce, vni#prefix#nexthop[#STD|LB|NAT|<target VNI>][#from#to]; may be given several times
    #[arg(long, value_name = "SPEC", value_parser = spec::parse_spec, value_delimiter = ',')]
    #[arg(allow_hyphen_values = true, env = "METALBOND_ANNOUNCE")]
    pub(crate) announce: Vec<Spec>,
    /// A file with one SPEC a line; `-` reads standard input as it comes, where a leading `-` withdraws
    #[arg(long, value_name = "FILE", env = "METALBOND_ANNOUNCE_FILE")]
    pub(crate) announce_file: Vec<PathBuf>,
    /// The interval of keepalives; the lower of the two ends' holds. A server silent for 2.5 intervals is gone. 0 is the
    /// default
    #[arg(long, value_name = "SECONDS", value_parser = parse_keepalive, allow_negative_numbers = true)]
    #[arg(default_value = "5", env = "METALBOND_KEEPALIVE")]
    pub(crate) keepalive: u32,
    /// How long to keep the routes of a server while it has no session. Not given: 60, and with --install-routes for as long as
    /// no server has a session
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    #[arg(env = "METALBOND_STALE_TIME")]
    pub(crate) stale_time: Option<u32>,
    /// How long to keep such routes with a session to a server that cannot say which of them are gone: it has just started
    /// itself, or is of the reference implementation
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    #[arg(default_value = "120", env = "METALBOND_SESSION_STALE_TIME")]
    pub(crate) session_stale_time: u32,
    /// How long servers shall keep this client's routes when its process goes away, so that it can come back
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    #[arg(default_value = "10", env = "METALBOND_RESTART_TIME")]
    pub(crate) restart_time: u32,
    /// Leave for good at the end: withdraw all announcements first, and remove the kernel routes
    #[arg(long, value_parser = BoolishValueParser::new(), env = "METALBOND_CLEANUP")]
    pub(crate) cleanup: bool,
    /// How changes of routes look, on standard output; nothing is printed if they are installed
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = OutputFormat::Text, env = "METALBOND_OUTPUT")]
    pub(crate) output: OutputFormat,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) limits: ClientLimitArgs,
    #[command(flatten)]
    pub(crate) install: InstallArgs,
}

impl ClientArgs {
    /// Returns the files with certificates and secrets.
    pub(crate) fn secrets(&self) -> Files {
        Files { role: Role::Client, tls: self.tls.clone(), is_anonymous: false, http: self.http.clone() }
    }

    /// Returns the files with announcements.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.announce_file.iter().filter(|path| !is_stdin(path)).cloned().collect()
    }

    /// Returns true if announcements are read from standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.announce_file.iter().any(|path| is_stdin(path))
    }
}

impl From<&ServerArgs> for Config {
    fn from(args: &ServerArgs) -> Self {
        let pacing = (args.pace > 0).then(|| Pacing::per_second(args.pace));
        let (convergence_time, restart_time_max) = (seconds(args.convergence_time), seconds(args.restart_time_max));
        // A server subscribes to VNIs only for the readers of its events, and only to VNIs in which its clients
        // announce routes. The limits on announcements bound that number.
        let subscriptions_max = usize::MAX;
        let keepalive = seconds(args.keepalive);
        args.limits.apply(Self {
            keepalive,
            convergence_time,
            restart_time_max,
            pacing,
            subscriptions_max,
            ..Self::default()
        })
    }
}

impl From<&ClientArgs> for Config {
    fn from(args: &ClientArgs) -> Self {
        let (restart_time, session_stale_time) = (seconds(args.restart_time), seconds(args.session_stale_time));
        let config = Self { keepalive: seconds(args.keepalive), restart_time, session_stale_time, ..Self::default() };
        // Routes in the kernel stay while all servers are away, unless `--stale-time` is given.
        let default = if args.install.is_wanted() { None } else { config.stale_time };
        args.limits.apply(Self { stale_time: args.stale_time.map(seconds).or(default), ..config })
    }
}

fn seconds(n: u32) -> Duration {
    Duration::from_secs(n.into())
}

/// How a change of routes is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum OutputFormat {
    /// `+ 23 10.0.23.0/24 via 2001:db8::1`; `-` for a route that is gone
    Text,
    /// One object a line
    Json,
}

/// An address to listen on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Listen {
    /// A socket address.
    Addr(SocketAddr),
    /// A name, which may resolve to several addresses.
    Name(Endpoint),
}

impl Listen {
    /// Returns true if the port needs a capability.
    pub(crate) fn is_low(&self) -> bool {
        let port = match self {
            Self::Addr(addr) => addr.port(),
            Self::Name(name) => name.as_str().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0),
        };
        let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
        let start = start.ok().and_then(|start| start.trim().parse().ok()).unwrap_or(1024);
        (1..start).contains(&port)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addr(addr) => addr.fmt(f),
            Self::Name(name) => f.write_str(name.as_str()),
        }
    }
}

/// Checks the combination of a server's arguments. Returns what is wrong.
pub(crate) fn check_server(args: &ServerArgs) -> Result<(), String> {
    args.tls.check_server()?;
    args.http.check()?;
    if args.tls.is_on() {
        return Ok(());
    }
    match (args.listen_plain.first(), args.tls_anonymous) {
        (Some(place), _) => {
            Err(format!("--listen-plain '{place}': without --tls-cert all is plain, and --listen is it"))
        }
        (None, true) => Err("--tls-anonymous: --tls-cert is missing, without which it is of no use".to_owned()),
        (None, false) => Ok(()),
    }
}

/// Checks the combination of a client's arguments. Returns what is wrong.
pub(crate) fn check_client(args: &ClientArgs) -> Result<(), String> {
    once("--server", &args.server)?;
    once("--subscribe", &args.subscribe)?;
    once("--announce", &args.announce.iter().map(|spec| spec.route).collect::<Vec<_>>())?;
    if let Some(path) = duplicate(&args.announce_file) {
        return Err(format!("--announce-file '{}': given twice", path.display()));
    }
    let most = Config::default();
    args.tls.check()?;
    args.http.check()?;
    at_most("--server", args.server.len(), most.peers_max)?;
    at_most("--subscribe", args.subscribe.len(), most.subscriptions_max)
}

/// Returns a warning, one line each, for every client argument that is accepted and has no effect.
pub(crate) fn client_warnings(args: &ClientArgs) -> Vec<String> {
    let mut warnings = Vec::new();
    if args.server.is_empty() {
        warnings.push("--server is not given: routes are neither announced nor received".to_owned());
    }
    let specs = args.announce.iter().filter_map(|spec| spec.warning.as_ref());
    warnings.extend(specs.map(|warning| format!("--announce {warning}")));
    warnings.extend(args.install.warnings(&args.subscribe));
    warnings
}

fn at_most(argument: &str, count: usize, most: usize) -> Result<(), String> {
    if count > most { Err(format!("{argument}: given {count} times, {most} is the most")) } else { Ok(()) }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn once<T: Eq + Hash + fmt::Display>(argument: &str, values: &[T]) -> Result<(), String> {
    duplicate(values).map_or(Ok(()), |value| Err(format!("{argument} '{value}': given twice")))
}

fn duplicate<T: Eq + Hash>(values: &[T]) -> Option<&T> {
    let mut seen = HashSet::new();
    values.iter().find(|value| !seen.insert(*value))
}

/// Parses a keepalive interval. 0 means the default, as in the reference implementation.
fn parse_keepalive(text: &str) -> Result<u32, String> {
    let seconds = go_flags::number(text, 0, u32::MAX)?;
    Ok(if seconds == 0 { Config::default().keepalive.as_secs() as u32 } else { seconds })
}

/// Parses a value of `-v`: a count, or a boolean if it is used as a switch.
fn parse_verbosity(text: &str) -> Result<u8, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" => Ok(1),
        "false" | "no" => Ok(0),
        number => number.parse().map_err(|_| "not a number from 0 to 255".to_owned()),
    }
}

/// Parses a server: a name or an address, and a port. Only a port, as in `:4711`, means this machine, as in the
/// reference implementation.
fn parse_server(text: &str) -> Result<Endpoint, EndpointError> {
    let text = go_flags::with_scope_number(text);
    if text.starts_with(':') { format!("localhost{text}").parse() } else { text.parse() }
}

fn parse_pace(text: &str) -> Result<u32, String> {
    match text {
        "0" => Ok(0),
        _ => spec::number(text, Pacing::MIN, u32::MAX).map_err(|why| format!("{why}, or 0")),
    }
}

fn parse_seconds(text: &str) -> Result<u32, String> {
    spec::number(text, 0, u32::MAX)
}

/// Parses an address to listen on: an address, where port 0 means any port; a name and a port; or only a port, as in
/// `:4711`, which means all addresses of this machine.
pub(crate) fn parse_listen(text: &str) -> Result<Listen, EndpointError> {
    let text = if text.starts_with(':') { format!("[::]{text}") } else { go_flags::with_scope_number(text) };
    match text.parse() {
        Ok(addr) => Ok(Listen::Addr(addr)),
        Err(_) => text.parse().map(Listen::Name),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_listen_address_is_an_address_a_name_or_only_a_port() {
        let addr = |ip: IpAddr, port| Ok(Listen::Addr(SocketAddr::new(ip, port)));
        assert_eq!(parse_listen("[::]:4711"), addr(Ipv6Addr::UNSPECIFIED.into(), 4711));
        assert_eq!(parse_listen(":4711"), addr(Ipv6Addr::UNSPECIFIED.into(), 4711));
        assert_eq!(parse_listen("127.0.0.1:0"), addr(Ipv4Addr::LOCALHOST.into(), 0));
        assert_eq!(parse_listen("localhost:4711"), Ok(Listen::Name("localhost:4711".parse().unwrap())));
    }

    #[test]
    fn a_bad_listen_address_is_an_error_that_says_what_is_wrong() {
        for text in ["", "4711", "127.0.0.1"] {
            assert_eq!(parse_listen(text), Err(EndpointError::NoPort), "{text}");
        }
        for text in ["[::1]", "127.0.0.1:65536", "127.0.0.1:-1", ":", ":http"] {
            assert_eq!(parse_listen(text), Err(EndpointError::Port), "{text}");
        }
        for text in ["::1:4711", "[::1:4711", "[host]:4711"] {
            assert_eq!(parse_listen(text), Err(EndpointError::Host), "{text}");
        }
    }
}
