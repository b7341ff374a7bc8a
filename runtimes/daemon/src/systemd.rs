//! The service manager: sockets that it hands over, and what it is told. Without one, nothing happens.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Context as _;
use listenfd::ListenFd;
use metalbond_tokio::{ApiMisuse, MetalBond, Node, SessionState};
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

/// How often it is told how things stand.
const STATUS: Duration = Duration::from_secs(10);

/// Sockets of socket activation (LISTEN_FDS).
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// For the protocol.
    pub(crate) listen: Vec<TcpListener>,
    /// The one named `http` (`FileDescriptorName=` of its unit).
    pub(crate) http: Option<TcpListener>,
}

impl Sockets {
    /// Takes them from the environment. To be called before there are other threads.
    pub(crate) fn take() -> anyhow::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let (mut all, mut sockets) = (ListenFd::from_env(), Self::default());
        for place in 0..all.len() {
            let name = names.next().unwrap_or_default();
            let taken = all.take_tcp_listener(place);
            let taken =
                taken.with_context(|| format!("socket {place} '{name}' that was handed over is no TCP listener"))?;
            match taken {
                Some(listener) if name == "http" => sockets.http = Some(listener),
                Some(listener) => sockets.listen.push(listener),
                None => {}
            }
        }
        Ok(sockets)
    }
}

/// The daemon does its work from now on: a server listens; a client wants what it is to want, whether or not a server is there,
/// for that may take as long as it likes.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Settings are being read again; `ready` says when that is done.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!("the service manager is not told of the reload: {error}"),
    }
}

/// The daemon is about to end.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says how things stand from time to time, and that the daemon lives, which is when its node answers; until the node is gone.
pub(crate) async fn report(node: MetalBond) {
    let watchdog = sd_notify::watchdog_enabled();
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let period = watchdog.map_or(STATUS, |within| STATUS.min(within / 2));
    let mut look = interval(period.max(Duration::from_millis(1)));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        match timeout(period, node.inspect(status)).await {
            Ok(Ok(status)) => {
                tell(&[NotifyState::Status(&status)]);
                if watchdog.is_some() {
                    tell(&[NotifyState::Watchdog]);
                }
            }
            Ok(Err(ApiMisuse::Closed)) => return,
            // No sign of life is what the watchdog is for.
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

fn status(node: &Node) -> String {
    let accepted = node.sessions().filter(|session| session.peer.is_none()).map(|session| session.state);
    let states: Vec<_> = node.peers().map(|peer| peer.state).chain(accepted).collect();
    let established = states.iter().filter(|state| **state == SessionState::Established).count();
    let (routes, vnis) = (node.route_count(), node.vnis().count());
    format!("{established} of {} peers established, {routes} routes in {vnis} networks", states.len())
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!("the service manager can't be told: {error}");
    }
}
