//! The service manager: sockets that it hands over, and what it is told. Without one, nothing happens.

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

/// How often it is told how things stand.
const STATUS: Duration = Duration::from_secs(10);

/// How long it may take to hear what it is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many connections may wait to be accepted, as for sockets of our own.
const BACKLOG: i32 = 1024;

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
    ///
    /// # Errors
    /// If one can't listen for TCP, or several are to be for HTTP.
    pub(crate) fn take() -> anyhow::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let (mut all, mut sockets) = (ListenFd::from_env(), Self::default());
        for place in 0..all.len() {
            let name = names.next().unwrap_or_default();
            let taken = take_listener(&mut all, place);
            let taken =
                taken.with_context(|| format!("socket {place} '{name}' that was handed over is no TCP listener"))?;
            match taken {
                Some(_) if name == "http" && sockets.http.is_some() => {
                    bail!("socket {place} 'http' that was handed over is the second of this name")
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
    // Changes little if it does listen, and fails if it can't: one that is connected, of a unit with Accept=yes.
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(Some(listener))
}

/// The daemon does its work from now on: a server listens; a client wants what it is to want, whether or not a server is there,
/// for that may take as long as it likes.
pub(crate) async fn ready() {
    tell(|| notify(&[NotifyState::Ready])).await;
}

/// Settings are being read again; `ready` says when that is done.
pub(crate) async fn reloading() {
    tell(|| notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?])).await;
}

/// The daemon is about to end.
pub(crate) async fn stopping() {
    tell(|| notify(&[NotifyState::Stopping])).await;
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
    let mut is_broken = false;
    loop {
        look.tick().await;
        match timeout(period, status(&node)).await {
            // However long that takes: there is never more than one that waits.
            Ok(Ok(status)) => on_a_thread(move || say(&status, watchdog.is_some()), &mut is_broken).await,
            Ok(Err(Closed)) => return,
            // The watchdog ends a daemon whose node does not answer.
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

/// Says something to a manager, if there is one; goes on if it doesn't listen.
async fn tell(say: impl FnOnce() -> io::Result<()> + Send + 'static) {
    if std::env::var_os("NOTIFY_SOCKET").is_some() && timeout(PATIENCE, on_a_thread(say, &mut false)).await.is_err() {
        warn!("the service manager doesn't listen");
    }
}

/// On a thread that may wait, for this one has sessions. Logs the first failure of a row: `is_broken` says whether there was one.
async fn on_a_thread(say: impl FnOnce() -> io::Result<()> + Send + 'static, is_broken: &mut bool) {
    // Otherwise the program has ended.
    if let Ok(said) = spawn_blocking(say).await {
        let was_broken = std::mem::replace(is_broken, said.is_err());
        if let Err(error) = said
            && !was_broken
        {
            warn!("the service manager can't be told: {error}");
        }
    }
}
