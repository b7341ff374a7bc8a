//! The clients of a benchmark run: nodes in this process, each with its own session.

use std::mem;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use hdrhistogram::Histogram;
use metalbond::{PeerInfo, SessionInfo};
use metalbond_tokio::{Changes, Config, Endpoint, MetalBond, StartOptions, TlsConfig, start_with};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::BenchArgs;
use super::plan::{Digest, Plan};
use super::progress::Bar;
use super::subscriber::{self, Seen, Subscriber};

/// Interval at which clients are checked while they connect.
const CONNECT_LOOK: Duration = Duration::from_millis(2);
/// Interval at which the progress is updated.
const LOOK: Duration = Duration::from_millis(100);
/// Interval at which all sessions are checked. Longer than [`LOOK`], because each client has to be queried.
const SESSIONS_LOOK: Duration = Duration::from_millis(500);

/// All clients of a run.
pub(super) struct Clients {
    server: Endpoint,
    tls: Option<TlsConfig>,
    timeout: Duration,
    /// The announcers, then the subscribers.
    nodes: Vec<MetalBond>,
    announcers: usize,
    /// The progress of each subscriber.
    seen: Vec<watch::Receiver<Seen>>,
    following: Vec<JoinHandle<Histogram<u64>>>,
}

impl Clients {
    pub(super) fn new(args: &BenchArgs, tls: Option<TlsConfig>) -> Self {
        let (nodes, seen, following) = (Vec::new(), Vec::new(), Vec::new());
        let (server, announcers) = (args.server.clone(), args.announcers as usize);
        Self { server, tls, timeout: args.timeout(), nodes, announcers, seen, following }
    }

    pub(super) fn announcers(&self) -> &[MetalBond] {
        &self.nodes[..self.announcers]
    }

    pub(super) const fn subscribers(&self) -> usize {
        self.seen.len()
    }

    /// Starts all clients and waits until they are connected. Fails if the first client's first dial fails.
    pub(super) async fn connect(
        &mut self,
        args: &BenchArgs,
        plan: Plan,
        since: Instant,
        bar: Bar,
    ) -> anyhow::Result<()> {
        self.start().await?;
        while !self.is_open(0, true).await? {
            sleep(CONNECT_LOOK).await;
        }
        for _ in 1..self.announcers {
            self.start().await?;
        }
        for _ in 0..args.subscribers {
            let (node, changes) = self.start().await?;
            node.subscribe(args.vni).await?;
            let (subscriber, delivered, seen) = Subscriber::new(plan, since);
            self.seen.push(seen);
            self.following.push(tokio::spawn(subscriber.follow(changes, delivered)));
        }
        let mut open = 0;
        let mut news = Instant::now();
        while open < self.nodes.len() {
            if self.is_open(open, news.elapsed() > self.timeout).await? {
                open += 1;
                bar.at(open as u64);
                news = Instant::now();
            } else {
                sleep(CONNECT_LOOK).await;
            }
        }
        Ok(())
    }

    /// Starts one more client, which dials the server. Its restart time is 0, so that the server removes its routes as
    /// soon as it disconnects.
    async fn start(&mut self) -> anyhow::Result<(MetalBond, Changes)> {
        let options = StartOptions::default().tls(self.tls.clone().unwrap_or_default());
        let (node, changes) = start_with(Config { restart_time: Duration::ZERO, ..Config::default() }, options)?;
        self.nodes.push(node.clone());
        node.add_peer(self.server.clone()).await?;
        Ok((node, changes))
    }

    /// Returns true if a client's session is open and the initial sync is complete. Fails if the first client finds no
    /// server at its address, or if `is_last` is set and the session is not open.
    async fn is_open(&self, n: usize, is_last: bool) -> anyhow::Result<bool> {
        let (peer, session) = self.peer(n).await?;
        // A server of the reference implementation does not announce the end of the initial sync.
        let has_all = n < self.announcers || peer.synced || session.is_some_and(|session| !session.ordered);
        if peer.sessions > 0 && has_all {
            return Ok(true);
        }
        let (server, clients) = (&self.server, self.nodes.len());
        match peer.last_close {
            Some(why) if n == 0 => bail!("cannot load {server}: {why}"),
            Some(why) if is_last => bail!("client {} of {clients} has no session with {server}: {why}", n + 1),
            None if is_last && n > 0 => bail!("client {} of {clients} has no session with {server}", n + 1),
            _ => Ok(false),
        }
    }

    /// Returns a client's view of the server, and its session.
    async fn peer(&self, n: usize) -> anyhow::Result<(PeerInfo, Option<SessionInfo>)> {
        let (peer, session) = self.nodes[n].inspect(|node| (node.peers().next(), node.sessions().next())).await?;
        Ok((peer.ok_or_else(|| anyhow!("client {n} has no server"))?, session))
    }

    /// Waits until each subscriber's table has the digest `expected`, and returns the time when the last one reached
    /// it. Fails if a session is lost or if nothing arrives for too long. `done` computes the progress from what the
    /// subscribers have seen.
    pub(super) async fn until(
        &self,
        expected: Digest,
        bar: &Bar,
        done: impl Fn(&[Seen]) -> u64,
    ) -> anyhow::Result<Instant> {
        let all = async {
            let mut last = Instant::now();
            for (n, seen) in self.seen.iter().enumerate() {
                let mut seen = seen.clone();
                let seen = seen.wait_for(|seen| seen.digest == expected).await;
                last = last.max(seen.with_context(|| format!("subscriber {n} has ended"))?.at);
            }
            Ok(last)
        };
        tokio::select! {
            all = all => all,
            // A separate future, because a busy client takes long to answer.
            error = self.stalled(expected, bar, done) => Err(error),
            error = self.lost() => Err(error),
        }
    }

    /// Shows the progress until nothing has arrived for too long. Returns that as an error.
    async fn stalled(&self, expected: Digest, bar: &Bar, done: impl Fn(&[Seen]) -> u64) -> anyhow::Error {
        let (mut changes, mut news) = (0, Instant::now());
        loop {
            sleep(LOOK).await;
            let seen: Vec<Seen> = self.seen.iter().map(|seen| *seen.borrow()).collect();
            bar.at(done(&seen));
            let before = mem::replace(&mut changes, seen.iter().map(|seen| seen.changes).sum::<u64>());
            if changes > before {
                news = Instant::now();
            } else if news.elapsed() > self.timeout {
                let lack = seen.iter().filter(|seen| seen.digest != expected).count();
                let what = format!("{lack} of {} subscribers still wait for routes", seen.len());
                return anyhow!("nothing has come for {} s, and {what}", self.timeout.as_secs());
            }
        }
    }

    /// Waits until a session is lost. Returns the reason.
    async fn lost(&self) -> anyhow::Error {
        loop {
            sleep(SESSIONS_LOOK).await;
            if let Err(error) = self.check_sessions().await {
                return error;
            }
        }
    }

    /// Fails if a session was lost.
    pub(super) async fn check_sessions(&self) -> anyhow::Result<()> {
        for n in 0..self.nodes.len() {
            let (peer, _) = self.peer(n).await?;
            if let (1.., Some(why)) = (peer.sessions, peer.last_close) {
                let kind = if n < self.announcers { "an announcer" } else { "a subscriber" };
                bail!("the session of {kind} with {} was lost: {why} (if for a limit, its log says so)", self.server);
            }
        }
        Ok(())
    }

    /// Stops all clients. Returns how long moved routes took to reach the subscribers.
    pub(super) async fn end(self) -> anyhow::Result<Histogram<u64>> {
        let mut ends = JoinSet::new();
        for node in self.nodes {
            ends.spawn(async move { node.shutdown_with_cleanup().await });
        }
        while ends.join_next().await.is_some() {}
        let mut delays = subscriber::delays();
        for following in self.following {
            delays.add(following.await?)?;
        }
        Ok(delays)
    }
}
