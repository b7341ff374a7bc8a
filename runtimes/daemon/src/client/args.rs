//! The arguments of `metalbond client`.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::{ArgMatches, Args};
use metalbond::{Config, Vni};
use metalbond_tokio::{Endpoint, EndpointError};

use crate::api::Role;
use crate::args::{parse_keepalive, parse_seconds, seconds};
use crate::config::{self, Arguments, ConfigArgs};
use crate::go_flags;
use crate::http::HttpArgs;
use crate::install::InstallArgs;
use crate::limits::ClientLimitArgs;
use crate::output::OutputFormat;
use crate::record::RecordArgs;
use crate::spec::{self, Spec};
use crate::tls::{Files, TlsArgs};

#[derive(Args, Debug)]
pub(crate) struct ClientArgs {
    /// A server to connect to; may be given several times
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_server, value_delimiter = ',')]
    #[arg(env = "METALBOND_SERVER")]
    pub(crate) server: Vec<Endpoint>,
    /// A VNI whose routes to receive; may be given several times
    #[arg(long, value_name = "VNI", value_parser = spec::parse_any_vni, value_delimiter = ',')]
    #[arg(allow_negative_numbers = true, env = "METALBOND_SUBSCRIBE")]
    pub(crate) subscribe: Vec<Vni>,
    /// A route to announce, vni#prefix#nexthop[#STD|LB|NAT|<target VNI>][#from#to]; may be given several times
    #[arg(long, value_name = "SPEC", value_parser = spec::parse_spec, value_delimiter = ',')]
    #[arg(allow_hyphen_values = true, env = "METALBOND_ANNOUNCE")]
    pub(crate) announce: Vec<Spec>,
    /// A file with one SPEC on each line; may be given several times. `-` reads standard input line by line as it arrives;
    /// there, a line with a leading `-` withdraws
    #[arg(long, value_name = "FILE", env = "METALBOND_ANNOUNCE_FILE")]
    pub(crate) announce_file: Vec<PathBuf>,
    /// Interval of keepalives; the lower one of both ends is used. A session without received bytes for 2.5 intervals (the
    /// hold time) is closed. 0: the default
    #[arg(long, value_name = "SECONDS", value_parser = parse_keepalive, allow_negative_numbers = true)]
    #[arg(default_value = "5", env = "METALBOND_KEEPALIVE")]
    pub(crate) keepalive: u32,
    /// How long to keep the routes of a server while this server has no session. Default: 60; with --install-routes: as long
    /// as no server has a session
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    #[arg(env = "METALBOND_STALE_TIME")]
    pub(crate) stale_time: Option<u32>,
    /// How long to keep routes of an earlier session after a new session with a server that cannot say which of them are
    /// gone, because it is converging or is a server of the reference implementation
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    #[arg(default_value = "120", env = "METALBOND_SESSION_STALE_TIME")]
    pub(crate) session_stale_time: u32,
    /// How long servers are asked to retain this client's routes after its process has gone away, so that a restart changes
    /// nothing
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    #[arg(default_value = "10", env = "METALBOND_RESTART_TIME")]
    pub(crate) restart_time: u32,
    /// At the end, withdraw all announcements and remove the kernel routes
    #[arg(long, value_parser = BoolishValueParser::new(), env = "METALBOND_CLEANUP")]
    pub(crate) cleanup: bool,
    /// Format of route changes on standard output; with --install-routes, none are printed
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

impl Arguments for ClientArgs {
    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        config::of_subcommand(matches)
    }

    fn check(&self) -> Result<(), String> {
        once("--server", &self.server)?;
        once("--subscribe", &self.subscribe)?;
        once("--announce", &self.announce.iter().map(|spec| spec.route).collect::<Vec<_>>())?;
        if let Some(path) = duplicate(&self.announce_file) {
            return Err(format!("--announce-file '{}': given twice", path.display()));
        }
        let most = Config::default();
        self.tls.check()?;
        self.http.check()?;
        at_most("--server", self.server.len(), most.peers_max)?;
        at_most("--subscribe", self.subscribe.len(), most.subscriptions_max)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.server.is_empty() {
            warnings.push("--server is not given: routes are neither announced nor received".to_owned());
        }
        let specs = self.announce.iter().filter_map(|spec| spec.warning.as_ref());
        warnings.extend(specs.map(|warning| format!("--announce {warning}")));
        warnings.extend(self.install.warnings(&self.subscribe));
        warnings
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

fn at_most(argument: &str, count: usize, most: usize) -> Result<(), String> {
    if count > most { Err(format!("{argument}: given {count} times, the maximum is {most}")) } else { Ok(()) }
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

/// Parses a server: a name or an address, and a port. Only a port, as in `:4711`, means this machine, as in the
/// reference implementation.
fn parse_server(text: &str) -> Result<Endpoint, EndpointError> {
    let text = go_flags::with_scope_number(text);
    if text.starts_with(':') { format!("localhost{text}").parse() } else { text.parse() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;

    #[derive(Parser, Debug)]
    struct CommandLine {
        #[command(flatten)]
        args: ClientArgs,
    }

    fn stale_time(args: &[&str]) -> Option<Duration> {
        let args = [&["metalbond", "--server", "h:1", "--subscribe", "23"], args].concat();
        Config::from(&CommandLine::try_parse_from(args).unwrap().args).stale_time
    }

    #[test]
    fn routes_in_a_kernel_have_no_stale_time_unless_it_is_given() {
        let install = ["--install-routes", "23#1000", "--tun", "t0"];
        assert_eq!(stale_time(&[]), Some(Duration::from_secs(60)));
        assert_eq!(stale_time(&install), None);
        for secs in ["0", "60"] {
            let given = Some(Duration::from_secs(secs.parse().unwrap()));
            assert_eq!(stale_time(&["--stale-time", secs]), given);
            assert_eq!(stale_time(&[&install[..], &["--stale-time", secs]].concat()), given);
        }
    }
}
