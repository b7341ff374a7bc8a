//! The phases of a run: connect, announce, move, withdraw. Each phase lasts until every subscriber has exactly the
//! expected routes.

use std::time::{Duration, Instant};

use metalbond::Route;
use metalbond_tokio::TlsConfig;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::BenchArgs;
use super::churn::{Churn, Moves};
use super::clients::Clients;
use super::phase::{Measured, Phase, cpu_time};
use super::plan::{Digest, Plan};
use super::progress::Bar;
use super::subscriber::Seen;
use crate::inspect::to_stderr;
use crate::output::Action;

/// Interval at which due moves are made.
const TICK: Duration = Duration::from_millis(1);

/// A benchmark run.
pub(super) struct Load<'a> {
    args: &'a BenchArgs,
    plan: Plan,
    /// The time from which next hops count nanoseconds.
    start: Instant,
    pub(super) clients: Clients,
}

impl<'a> Load<'a> {
    pub(super) fn new(args: &'a BenchArgs, tls: Option<TlsConfig>) -> Self {
        Self { args, plan: Plan::new(args.vni), start: Instant::now(), clients: Clients::new(args, tls) }
    }

    /// Runs all phases.
    pub(super) async fn run(&mut self) -> anyhow::Result<Measured> {
        let BenchArgs { server, routes, announcers, subscribers, vni, .. } = self.args;
        to_stderr(format_args!(
            "loading {server} with {routes} routes in network {vni}; \
             announcers: {announcers}, subscribers: {subscribers}"
        ));
        let connect = self.connect().await?;
        let mut churn = Churn::new(self.plan, self.args.rate.unwrap_or(0), *routes);
        let announce = self.announce(&churn).await?;
        let moves = match self.args.rate {
            Some(_) => Some((self.churn(&mut churn).await?, churn.moved())),
            None => None,
        };
        let withdraw = self.withdraw(&churn).await?;
        Ok(Measured { connect, announce, moves, withdraw })
    }

    async fn connect(&mut self) -> anyhow::Result<Phase> {
        let (began, cpu) = (Instant::now(), cpu_time());
        let bar = Bar::new("connect", u64::from(self.args.announcers + self.args.subscribers));
        self.clients.connect(self.args, self.plan, self.start, bar).await?;
        Ok(Phase::between(began, Instant::now(), cpu))
    }

    /// Returns how many routes are advertised to all subscribers together.
    fn deliveries(&self) -> u64 {
        u64::from(self.args.routes) * self.clients.subscribers() as u64
    }

    /// Returns the routes of each announcer.
    fn routes(&self, churn: &Churn) -> Vec<Vec<Route>> {
        let announcers = self.clients.announcers().len();
        (0..announcers).map(|announcer| churn.routes(announcer, announcers).collect()).collect()
    }

    /// Announces or withdraws the routes of all announcers at the same time.
    async fn each(&self, action: Action, routes: Vec<Vec<Route>>) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        for (node, routes) in self.clients.announcers().iter().cloned().zip(routes) {
            tasks.spawn(async move {
                match action {
                    Action::Add => node.announce_routes(routes).await,
                    Action::Remove => node.withdraw_routes(routes).await.map_err(Into::into),
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    }

    async fn announce(&self, churn: &Churn) -> anyhow::Result<Phase> {
        let (routes, expected) = (self.routes(churn), churn.digest());
        let bar = Bar::new("announce", self.deliveries());
        let (began, cpu) = (Instant::now(), cpu_time());
        let announced = self.each(Action::Add, routes);
        let delivered = self.clients.until(expected, &bar, |seen| seen.iter().map(|seen| seen.routes).sum());
        let ((), end) = tokio::try_join!(announced, delivered)?;
        Ok(Phase::between(began, end, cpu))
    }

    /// Moves routes at a steady rate. The new next hop of each route encodes the time of the move.
    async fn churn(&self, churn: &mut Churn) -> anyhow::Result<Phase> {
        let announcers = self.clients.announcers();
        let bar = Bar::new("move", self.args.duration.into());
        let (began, cpu) = (Instant::now(), cpu_time());
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut moving = async || {
            let mut shown = 0;
            while began.elapsed() < self.args.duration() {
                ticks.tick().await;
                let elapsed = began.elapsed();
                let now = self.start.elapsed().as_nanos() as u64;
                for (node, Moves { from, to }) in announcers.iter().zip(churn.due(elapsed, now, announcers.len())) {
                    // Announced before the old one is withdrawn, so that no destination is ever without a next hop.
                    node.announce_routes(to).await?;
                    node.withdraw_routes(from).await?;
                }
                if elapsed.as_secs() > shown {
                    shown = elapsed.as_secs();
                    bar.at(shown);
                    self.clients.check_sessions().await?;
                }
            }
            anyhow::Ok(())
        };
        moving().await?;
        let end = self.clients.until(churn.digest(), &bar, |_| self.args.duration.into()).await?;
        Ok(Phase::between(began, end, cpu))
    }

    async fn withdraw(&self, churn: &Churn) -> anyhow::Result<Phase> {
        let (routes, all) = (self.routes(churn), self.deliveries());
        let bar = Bar::new("withdraw", all);
        let (began, cpu) = (Instant::now(), cpu_time());
        let withdrawn = self.each(Action::Remove, routes);
        let left = |seen: &[Seen]| seen.iter().map(|seen| seen.routes).sum();
        let delivered = self.clients.until(Digest::default(), &bar, |seen| all.saturating_sub(left(seen)));
        let ((), end) = tokio::try_join!(withdrawn, delivered)?;
        Ok(Phase::between(began, end, cpu))
    }
}
