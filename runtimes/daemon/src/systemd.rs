//! The service manager: socket activation, and notifications of the daemon's state. Without a service manager, nothing
//! happens.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context as _, bail};
use listenfd::ListenFd;
use metalbond_tokio::{Closed, MetalBond, Node, SessionState};
use sd_notify::{NotifyState, notify};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

/// Interval of status notifications.
const STATUS: Duration = Duration::from_secs(10);

/// Timeout for sending a notification.
const PATIENCE: Duration = Duration::from_secs(1);

/// Length of the accept queue, the same as for the daemon's own sockets.
const BACKLOG: i32 = 1024;

/// Sockets of socket activation (LISTEN_FDS).
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Sockets for the protocol.
    pub(crate) listen: Vec<TcpListener>,
    /// The socket named `http` (`FileDescriptorName=` of its unit).
    pub(crate) http: Option<TcpListener>,
}

impl Sockets {
    /// Takes the sockets from the environment. Must be called before there are other threads.
    ///
    /// # Errors
    ///
    /// If a socket is not a TCP listener, or if there are several for HTTP.
    pub(crate) fn take() -> anyhow::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let (mut all, mut sockets) = (ListenFd::from_env(), Self::default());
        for place in 0..all.len() {
            let name = names.next().unwrap_or_default();
            let taken = take_listener(&mut all, place);
            let taken = taken
                .with_context(|| format!("socket {place} '{name}' from the service manager is not a TCP listener"))?;
            match taken {
                Some(_) if name == "http" && sockets.http.is_some() => {
                    bail!("socket {place} 'http' from the service manager is the second with this name")
                }
                Some(listener) if name == "http" => sockets.http = Some(listener),
                Some(listener) => sockets.listen.push(listener),
                None => {}
            }
        }
        Ok(sockets)
    }
}

fn take_listener(all: &mut ListenFd, place: usize) -> anyhow::Result<Option<TcpListener>> {
    let Some(listener) = all.take_tcp_listener(place)? else { return Ok(None) };
    // Fails for a socket that can't listen, for example a connection from a unit with Accept=yes.
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(Some(listener))
}

/// Notifies the service manager that the daemon is ready: a server listens; a client has applied its settings, but does
/// not need a session, which may take any time.
pub(crate) async fn ready() {
    send(|| notify(&[NotifyState::Ready])).await;
}

/// Notifies that settings are being reloaded. `ready` notifies the end of that.
pub(crate) async fn reloading() {
    send(|| notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?])).await;
}

/// Notifies that the daemon is about to end.
pub(crate) async fn stopping() {
    send(|| notify(&[NotifyState::Stopping])).await;
}

/// Sends the status at an interval, and a watchdog notification if the node answers. Returns when the node has ended.
pub(crate) async fn report(node: MetalBond) {
    let watchdog = sd_notify::watchdog_enabled();
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let period = watchdog.map_or(STATUS, |within| STATUS.min(within / 2));
    let mut look = interval(period.max(Duration::from_millis(1)));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_broken = false;
    loop {
        look.tick().await;
        match timeout(period, status(&node)).await {
            // May take any time: there is never more than one waiting notification.
            Ok(Ok(status)) => on_a_thread(move || say(&status, watchdog.is_some()), &mut is_broken).await,
            Ok(Err(Closed)) => return,
            // Without a notification, the watchdog ends the daemon.
            Err(_) => {}
        }
    }
}

async fn status(node: &MetalBond) -> Result<String, Closed> {
    let count = |node: &Node| {
        let peers: usize = SessionState::ALL.iter().map(|state| node.peer_count(*state)).sum();
        (node.peer_count(SessionState::Established), peers, node.route_count(), node.vni_count())
    };
    let (established, peers, routes, vnis) = node.inspect(count).await?;
    Ok(format!("{established} of {peers} peers established, {routes} routes in {vnis} networks"))
}

fn say(status: &str, lives: bool) -> io::Result<()> {
    let said = [NotifyState::Status(status), NotifyState::Watchdog];
    notify(if lives { &said } else { &said[..1] })
}

/// Sends a notification if there is a service manager. Gives up after a timeout.
async fn send(say: impl FnOnce() -> io::Result<()> + Send + 'static) {
    if std::env::var_os("NOTIFY_SOCKET").is_some() && timeout(PATIENCE, on_a_thread(say, &mut false)).await.is_err() {
        warn!("the service manager does not read notifications");
    }
}

/// Sends a notification on a thread that may block, unlike this one, which runs sessions. Logs the first failure of a
/// series; `is_broken` is true after a failure.
async fn on_a_thread(say: impl FnOnce() -> io::Result<()> + Send + 'static, is_broken: &mut bool) {
    // Fails only if the program is ending.
    if let Ok(said) = spawn_blocking(say).await {
        let was_broken = std::mem::replace(is_broken, said.is_err());
        if let Err(error) = said
            && !was_broken
        {
            warn!("cannot notify the service manager: {error}");
        }
    }
}
