//! The arguments of `metalbond server`.

use clap::builder::BoolishValueParser;
use clap::{ArgMatches, Args, ValueEnum};
use metalbond::{Config, Echo, Pacing};

use crate::api::Role;
use crate::args::{Listen, parse_keepalive, parse_listen, parse_seconds, seconds};
use crate::config::{self, Arguments, ConfigArgs};
use crate::http::HttpArgs;
use crate::limits::ServerLimitArgs;
use crate::policy::PolicyArgs;
use crate::record::RecordArgs;
use crate::spec;
use crate::tls::{Files, TlsArgs};

#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// Address to listen on; may be given several times. Port 0: any free port. Sockets from a service manager (LISTEN_FDS)
    /// replace the default, and are used in addition to addresses that are given
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_listen, value_delimiter = ',')]
    #[arg(default_value = "[::]:4711", env = "METALBOND_LISTEN")]
    pub(crate) listen: Vec<Listen>,
    /// Address to listen on for clients without TLS, if --listen is for clients with TLS; may be given several times
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_listen, value_delimiter = ',')]
    #[arg(env = "METALBOND_LISTEN_PLAIN")]
    pub(crate) listen_plain: Vec<Listen>,
    /// Interval of keepalives; the lower one of both ends is used. A session without received bytes for 2.5 intervals (the
    /// hold time) is closed. 0: the default
    #[arg(long, value_name = "SECONDS", value_parser = parse_keepalive, allow_negative_numbers = true)]
    #[arg(default_value = "5", env = "METALBOND_KEEPALIVE")]
    pub(crate) keepalive: u32,
    /// How long the server says that it is converging, which means that its table may be incomplete: after its start, and
    /// after the connection to a client with routes has timed out or failed
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    #[arg(default_value = "60", env = "METALBOND_CONVERGENCE_TIME")]
    pub(crate) convergence_time: u32,
    /// Upper bound of the time for which the routes of a client are retained after its process has gone away; the client
    /// asks for a time with --restart-time. 0: not at all
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    #[arg(default_value = "60", env = "METALBOND_RESTART_TIME_MAX")]
    pub(crate) restart_time_max: u32,
    /// Highest rate at which routes are sent to clients of the reference implementation; 0: no limit, also none by what such a
    /// client has read, so that slow ones lose their sessions
    #[arg(long, value_name = "BYTES/S", value_parser = parse_pace, allow_negative_numbers = true)]
    #[arg(default_value_t = Pacing::default().rate, env = "METALBOND_PACE")]
    pub(crate) pace: u32,
    /// Which of its own routes a client of the reference implementation is sent back, at SUBSCRIBE and live, as versions of the
    /// reference's server do. Clients of metalbond never are
    #[arg(long, value_name = "WHICH", value_enum, default_value_t, env = "METALBOND_ECHO")]
    pub(crate) echo: EchoArg,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// Accept clients without a certificate. A certificate that is presented must still be valid
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

impl Arguments for ServerArgs {
    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        config::of_subcommand(matches)
    }

    fn check(&self) -> Result<(), String> {
        self.tls.check_server()?;
        self.http.check()?;
        if self.tls.is_on() {
            return Ok(());
        }
        match (self.listen_plain.first(), self.tls_anonymous) {
            (Some(place), _) => {
                Err(format!("--listen-plain '{place}': without --tls-cert, --listen has no TLS either"))
            }
            (None, true) => Err("--tls-anonymous: --tls-cert is missing, and it has no effect without it".to_owned()),
            (None, false) => Ok(()),
        }
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The value of `--echo`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum EchoArg {
    /// None
    #[default]
    None,
    /// Those of load balancer targets
    Lb,
    /// All
    All,
}

impl From<EchoArg> for Echo {
    fn from(echo: EchoArg) -> Self {
        match echo {
            EchoArg::None => Self::None,
            EchoArg::Lb => Self::LoadBalancers,
            EchoArg::All => Self::All,
        }
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
            echo: args.echo.into(),
            subscriptions_max,
            ..Self::default()
        })
    }
}

fn parse_pace(text: &str) -> Result<u32, String> {
    match text {
        "0" => Ok(0),
        _ => spec::number(text, Pacing::MIN, u32::MAX).map_err(|why| format!("{why}, or 0")),
    }
}
