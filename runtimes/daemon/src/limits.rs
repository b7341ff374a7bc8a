//! Arguments for limits and timeouts of peers, and the limits of the system.

use std::time::Duration;

use clap::Args;
use metalbond::{CloseKind, Config, Limits};
use metalbond_tokio::MetalBond;
use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::info;

use crate::spec;

/// How long this node waits for peers.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
pub(crate) struct PatienceArgs {
    /// Timeout of each step of the handshake: the dial, HELLO, the first KEEPALIVE
    #[arg(long, value_name = "SECONDS", value_parser = parse, allow_negative_numbers = true)]
    #[arg(default_value = "10", env = "METALBOND_HANDSHAKE_TIMEOUT")]
    handshake_timeout: u32,
    /// How long a peer may read nothing of what is sent to it before its session is closed
    #[arg(long, value_name = "SECONDS", value_parser = parse, allow_negative_numbers = true)]
    #[arg(default_value = "60", env = "METALBOND_SEND_HOLD_TIME")]
    send_hold_time: u32,
    /// Longest ban of an address whose session was closed at a limit. The first ban is 1 s, each further one twice as long;
    /// 0: no bans
    #[arg(long, value_name = "SECONDS", value_parser = parse_or_zero, allow_negative_numbers = true)]
    #[arg(default_value = "60", env = "METALBOND_BAN_TIME_MAX")]
    ban_time_max: u32,
}

/// What a client's servers may have.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
pub(crate) struct ClientLimitArgs {
    #[command(flatten)]
    patience: PatienceArgs,
    /// Maximum number of routes of one server; the session with a server that sends more is closed, and tried again later
    #[arg(long, value_name = "NUMBER", value_parser = parse, allow_negative_numbers = true)]
    #[arg(default_value_t = Limits::default().routes as u32, env = "METALBOND_MAX_ROUTES")]
    max_routes: u32,
}

/// What a server's clients may have.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
pub(crate) struct ServerLimitArgs {
    #[command(flatten)]
    patience: PatienceArgs,
    /// Maximum number of connections; further ones are refused
    #[arg(long, value_name = "NUMBER", value_parser = parse, allow_negative_numbers = true)]
    #[arg(default_value_t = Limits::default().connections as u32, env = "METALBOND_MAX_CONNECTIONS")]
    max_connections: u32,
    /// Maximum number of connections from one address; further ones are refused
    #[arg(long, value_name = "NUMBER", value_parser = parse, allow_negative_numbers = true)]
    #[arg(default_value_t = Limits::default().connections_per_address as u32)]
    #[arg(env = "METALBOND_MAX_CONNECTIONS_PER_ADDRESS")]
    max_connections_per_address: u32,
    /// Maximum number of new connections per second; further ones are refused
    #[arg(long, value_name = "NUMBER", value_parser = parse, allow_negative_numbers = true)]
    #[arg(default_value_t = Limits::default().connections_per_second)]
    #[arg(env = "METALBOND_MAX_CONNECTIONS_PER_SECOND")]
    max_connections_per_second: u32,
    /// Maximum number of routes of one peer; a peer over it is disconnected
    #[arg(long, value_name = "NUMBER", value_parser = parse, allow_negative_numbers = true)]
    #[arg(default_value_t = Limits::default().routes_per_peer as u32, env = "METALBOND_MAX_ROUTES_PER_PEER")]
    max_routes_per_peer: u32,
    /// Maximum number of routes of all peers together; over it, sessions of the address with the most routes are closed
    #[arg(long, value_name = "NUMBER", value_parser = parse, allow_negative_numbers = true)]
    #[arg(default_value_t = Limits::default().routes as u32, env = "METALBOND_MAX_ROUTES")]
    max_routes: u32,
    /// Maximum number of next hops of one destination; over it, sessions of the address with the most of them are closed
    #[arg(long, value_name = "NUMBER", value_parser = parse, allow_negative_numbers = true)]
    #[arg(default_value_t = Limits::default().next_hops as u32, env = "METALBOND_MAX_NEXT_HOPS")]
    max_next_hops: u32,
    /// Maximum number of VNIs to which one peer subscribes, and of VNIs in which it announces; a peer over it is disconnected
    #[arg(long, value_name = "NUMBER", value_parser = parse, allow_negative_numbers = true)]
    #[arg(default_value_t = Limits::default().vnis_per_peer as u32, env = "METALBOND_MAX_VNIS_PER_PEER")]
    max_vnis_per_peer: u32,
    /// Maximum number of VNIs in which all peers together announce; over it, sessions of the address with the most are closed
    #[arg(long, value_name = "NUMBER", value_parser = parse, allow_negative_numbers = true)]
    #[arg(default_value_t = Limits::default().vnis as u32, env = "METALBOND_MAX_VNIS")]
    max_vnis: u32,
    /// Maximum number of subscriptions of all peers together; over it, sessions of the address with the most are closed
    #[arg(long, value_name = "NUMBER", value_parser = parse, allow_negative_numbers = true)]
    #[arg(default_value_t = Limits::default().subscriptions as u32, env = "METALBOND_MAX_SUBSCRIPTIONS")]
    max_subscriptions: u32,
}

impl PatienceArgs {
    fn apply(&self, config: Config) -> Config {
        let seconds = |n: u32| Duration::from_secs(n.into());
        Config {
            handshake_timeout: seconds(self.handshake_timeout),
            send_hold: seconds(self.send_hold_time),
            limits: Limits { ban_time_max: seconds(self.ban_time_max), ..config.limits },
            ..config
        }
    }
}

impl ClientLimitArgs {
    pub(crate) fn apply(&self, config: Config) -> Config {
        let config = self.patience.apply(config);
        Config { limits: Limits { routes: self.max_routes as usize, ..config.limits }, ..config }
    }
}

impl ServerLimitArgs {
    pub(crate) fn apply(&self, config: Config) -> Config {
        let config = self.patience.apply(config);
        let limits = Limits {
            routes: self.max_routes as usize,
            connections: self.max_connections as usize,
            connections_per_address: self.max_connections_per_address as usize,
            connections_per_second: self.max_connections_per_second,
            routes_per_peer: self.max_routes_per_peer as usize,
            next_hops: self.max_next_hops as usize,
            subscriptions: self.max_subscriptions as usize,
            vnis: self.max_vnis as usize,
            vnis_per_peer: self.max_vnis_per_peer as usize,
            ..config.limits
        };
        Config { limits, ..config }
    }
}

fn parse(text: &str) -> Result<u32, String> {
    spec::number(text, 1, u32::MAX)
}

fn parse_or_zero(text: &str) -> Result<u32, String> {
    spec::number(text, 0, u32::MAX)
}

/// Raises this process's limit on file descriptors as far as permitted, because each connection needs one.
pub(crate) fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A failure is ignored: the old limit stays, and a lack of descriptors is logged and temporary.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Logs how many sessions ended for each reason that should not occur.
pub(crate) async fn log_closed(node: &MetalBond) {
    let ordinary = |kind| matches!(kind, CloseKind::Transport | CloseKind::ResetRequested | CloseKind::Shutdown);
    let closed = node.inspect(|node| node.closed().collect::<Vec<_>>()).await.unwrap_or_default();
    let counts: Vec<_> = closed.iter().filter(|(kind, _)| !ordinary(*kind)).map(|(k, n)| format!("{k} {n}")).collect();
    if !counts.is_empty() {
        info!("connections that were refused or closed: {}", counts.join(", "));
    }
}
