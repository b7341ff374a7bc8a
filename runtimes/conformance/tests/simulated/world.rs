//! The world: one or two servers and up to three clients on a simulated network, and the conditions that hold at rest.
//!
//! Properties: the tables of all nodes converge to the announced routes, and each stream of changes to its node's table; a node at rest
//! uses no more than it needs; when all nodes have ended, nothing remains.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use metalbond_conformance::simulated::{Answer, End, Fault, Simulation};
use metalbond_driver::{
    CloseKind, Closed, Config, ConnId, Direction, Endpoint, MetalBond, PeerSnapshot, Route, Runtime, SessionState,
};

use super::life::Life;
use super::ops::{self, Call, Failure, Op, Outcome, Query, Reading};
use super::reader;
use super::record::Wanted;

/// The parameters of a run besides its operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Setup {
    pub(crate) servers: usize,
    pub(crate) clients: usize,
    pub(crate) seed: u64,
}

impl Setup {
    /// Returns true if the nodes send no KEEPALIVE for a minute. A lost wakeup then shows, because no other message wakes the task.
    fn is_patient(self) -> bool {
        self.seed.is_multiple_of(3)
    }

    /// Returns a time that is longer than all timers of sessions.
    fn patience(self) -> Duration {
        Duration::from_secs(if self.is_patient() { 180 } else { 8 })
    }
}

pub(crate) struct World {
    simulation: Simulation,
    start: Instant,
    setup: Setup,
    lives: Vec<Option<Life>>,
    /// Nodes that others have replaced, until they have ended.
    dying: Vec<Life>,
    starts: u64,
}

const PORT: u16 = 4711;
/// The address of a host that does not exist.
const UNUSED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 250));
const LITTLE: Duration = Duration::from_micros(1);
/// A time that is longer than a dial may take.
const LATE: Duration = Duration::from_millis(2500);
/// The most checks until everything has to be at rest.
const REST_MAX: usize = 30;

fn ip(node: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, node as u8 + 1])
}

fn config(setup: Setup, number: usize, starts: u64) -> Config {
    let chance = setup.seed.rotate_left(7 * number as u32) as usize;
    let second = Duration::from_secs(1);
    Config {
        keepalive: if setup.is_patient() { 60 * second } else { second * (1 + chance % 2) as u32 },
        handshake_timeout: second,
        send_hold_time: 3 * second,
        backoff_min: Duration::from_millis(20),
        backoff_max: Duration::from_millis(300),
        stale_time: Some(second),
        session_stale_time: 2 * second,
        restart_time: second,
        restart_time_max: 2 * second,
        convergence_time: second * (chance / 2 % 2) as u32,
        shutdown_timeout: [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(800)][chance / 4 % 3],
        // The seed is not 0, because the driver would replace 0 by a random one.
        seed: 1 + setup.seed.wrapping_add(number as u64 + starts) % 1000,
        ..Config::default()
    }
}

/// Runs operations, then runs until everything is at rest, and ends all nodes. Returns the digest of everything that has happened.
pub(crate) fn run(setup: Setup, ops: &[Op]) -> u64 {
    let mut world = World::new(setup);
    for op in ops {
        world.act(*op);
        world.check();
    }
    world.rest();
    if (setup.seed >> 8).is_multiple_of(3) {
        world.cut();
    }
    world.end();
    world.simulation.digest()
}

impl World {
    fn new(setup: Setup) -> Self {
        let simulation = Simulation::new(setup.seed);
        let start = simulation.host(ip(setup.servers + setup.clients)).now();
        let mut world = Self { simulation, start, setup, lives: Vec::new(), dying: Vec::new(), starts: 0 };
        for number in 0..setup.servers + setup.clients {
            world.lives.push(None);
            world.start(number);
        }
        (0..setup.servers).for_each(|server| world.name(server, Outcome::Right));
        world
    }

    fn is_server(&self, number: usize) -> bool {
        number < self.setup.servers
    }

    /// Starts a node. A server listens; a client dials the first server, and is subscribed.
    fn start(&mut self, number: usize) {
        if let Some(mut life) = self.lives[number].take() {
            life.drop_all();
            self.dying.push(life);
        }
        self.starts += 1;
        let config = config(self.setup, number, self.starts);
        let mut endpoints = vec![];
        if !self.is_server(number) {
            endpoints.extend((0..2).map(|server| Endpoint::from(SocketAddr::new(ip(server), PORT))));
            endpoints.extend((0..2).map(|server| name(server).parse().expect("it is an endpoint")));
        }
        // A name that does not exist, and addresses at which no server listens.
        endpoints.push("nowhere.test:4711".parse().expect("it is an endpoint"));
        endpoints.push(SocketAddr::new(ip(number), 9).into());
        endpoints.push(SocketAddr::new(UNUSED, 9).into());
        let addresses = if self.is_server(number) {
            [SocketAddr::new(ip(number), PORT), SocketAddr::new(ip(number), 0)]
        } else {
            // A client does not listen: it gets addresses that are not its own.
            [SocketAddr::new(UNUSED, PORT); 2]
        };
        let seat = (number, ip(number));
        let mut life = Life::start(&self.simulation, self.start, seat, config, endpoints.into(), addresses);
        if self.is_server(number) {
            life.call(Call::Listen(0));
        } else {
            life.call(Call::AddPeer(0));
            life.call(Call::Subscribe(0));
        }
        self.lives[number] = Some(life);
    }

    fn act(&mut self, op: Op) {
        let now = self.simulation.now();
        let count = self.lives.len();
        let node = |n: u8| usize::from(n) % count;
        let simulation = &self.simulation;
        match op {
            Op::Call(n, call) => self.with(n, |life| life.call(call)),
            Op::Ask(n, query) => self.with(n, |life| life.ask(query)),
            Op::AskMany(n, many) => self.with(n, |life| {
                let queries = [Query::Peers, Query::Inspect, Query::IsSubscribed];
                (0..many).for_each(|i| life.ask(queries[usize::from(i) % 3]));
            }),
            Op::Abandon(n, call, polls) => {
                if let Some(life) = &mut self.lives[node(n)] {
                    life.abandon(call, polls, || simulation.run_steps(usize::from(polls)));
                }
            }
            Op::Keep(n, call) => self.with(n, |life| life.keep(call)),
            Op::DropKept(n) => self.with(n, Life::drop_kept),
            Op::Flood(n, kind) => self.with(n, |life| life.flood(kind)),
            Op::Clone(n) => self.with(n, Life::clone_handle),
            Op::DropClone(n) => self.with(n, Life::drop_clone),
            Op::DropAll(n) => self.with(n, Life::drop_all),
            Op::Read(n, reading) => self.with(n, |life| life.read(reading)),
            Op::Kill(n) => self.with(n, |life| life.kill(now)),
            Op::Start(n) => self.start(node(n)),
            Op::Fail(a, b, failure) => self.fail(node(a), node(b), failure),
            Op::Heal => self.simulation.clear_faults(),
            Op::Name(n, outcome) => self.name(usize::from(n) % 2, outcome),
            Op::Steps(n) => self.simulation.run_steps(4 * usize::from(n)),
            Op::Advance(n) => self.run_for(ops::advance(n)),
        }
    }

    fn with(&mut self, n: u8, act: impl FnOnce(&mut Life)) {
        let node = usize::from(n) % self.lives.len();
        if let Some(life) = &mut self.lives[node] {
            act(life);
        }
    }

    fn fail(&self, a: usize, b: usize, failure: Failure) {
        let connections = self.simulation.connections();
        let connection = connections.get(b % connections.len().max(1)).copied();
        let address = SocketAddr::new(ip(a), PORT);
        let fault = match failure {
            Failure::Stall => Fault::Stalled(ip(a), ip(b)),
            Failure::Partition => {
                self.simulation.set_fault(Fault::Stalled(ip(b), ip(a)));
                Fault::Stalled(ip(a), ip(b))
            }
            Failure::StallConnection => {
                let Some(connection) = connection else { return };
                Fault::StalledConnection(connection, if a.is_multiple_of(2) { End::Client } else { End::Server })
            }
            Failure::Reset => {
                if let Some(connection) = connection {
                    self.simulation.reset(connection);
                }
                return;
            }
            Failure::Refuse => Fault::Refused(address),
            Failure::Hang => Fault::Unanswered(address),
            Failure::CannotAccept => Fault::NoDescriptorsToAccept(ip(a)),
            Failure::CannotOpen => Fault::NoDescriptorsToOpen(ip(a)),
        };
        self.simulation.set_fault(fault);
    }

    fn name(&self, server: usize, outcome: Outcome) {
        let delay = Duration::from_millis(2);
        let answer = match outcome {
            Outcome::Right => Answer::Addresses(delay, vec![ip(server)]),
            Outcome::Late => Answer::Addresses(LATE, vec![ip(server)]),
            Outcome::WrongFirst => Answer::Addresses(delay, vec![UNUSED, ip(server)]),
            Outcome::Failure => Answer::Failure(delay),
            Outcome::Never => Answer::Never,
        };
        self.simulation.set_answer(host_name(server), answer);
    }

    fn check(&mut self) {
        assert!(self.simulation.panics().is_empty(), "{}", self.simulation.panics().join("\n"));
        let now = self.simulation.now();
        self.lives.iter_mut().flatten().chain(&mut self.dying).for_each(|life| life.check(now));
        self.dying.retain(|life| {
            let is_over = life.has_ended(now) && life.reader.end().is_some();
            if life.has_ended(now) {
                life.read(Reading::On);
            }
            !is_over
        });
    }

    /// Lets time pass. Checks everything whenever an answer or an end would be late.
    fn run_for(&mut self, time: Duration) {
        let end = self.simulation.now() + time;
        while self.simulation.now() < end {
            let now = self.simulation.now();
            let dues = self.lives.iter().flatten().chain(&self.dying).filter_map(Life::next_due);
            let due = dues.map(|due| due + LITTLE).filter(|due| *due > now).min();
            self.simulation.run_until(due.unwrap_or(end).min(end));
            self.check();
        }
    }

    /// Ends all failures, and checks that everything converges.
    fn rest(&mut self) {
        self.simulation.clear_faults();
        (0..2).for_each(|server| self.name(server, Outcome::Right));
        for life in self.lives.iter_mut().flatten() {
            life.drop_kept();
            life.reader.settle();
        }
        self.run_for(Duration::from_secs(3));
        for number in 0..self.lives.len() {
            self.retire(number);
        }
        for server in 0..self.setup.servers {
            if self.lives[server].is_none() {
                self.start(server);
            }
        }
        self.run_for(Duration::from_secs(1));
        for server in 0..self.setup.servers {
            let life = self.lives[server].as_mut().expect("servers are started");
            let listens = life.context.record.lock().unwrap().listens;
            if !listens {
                life.call(Call::Listen(0));
            }
            life.call(Call::SetPolicy(0));
        }
        let pause = self.setup.patience() / 8;
        let mut sessions = Vec::new();
        for look in 1.. {
            self.run_for(pause);
            match self.compare() {
                Ok(()) => sessions.push(self.sessions()),
                Err(why) if look >= REST_MAX => panic!("{why}, {REST_MAX} looks after all failures have ended"),
                // The earlier successes may have been by chance.
                Err(_) => sessions.clear(),
            }
            if sessions.len() == 5 {
                break;
            }
        }
        assert_eq!(sessions[0], sessions[4], "a session ends though nothing fails");
        self.check_usage();
    }

    /// Moves a node that has ended, or is about to end, to the ended ones.
    fn retire(&mut self, number: usize) {
        let Some(life) = &self.lives[number] else { return };
        let record = &life.context.record;
        let ends = match life.handle() {
            _ if record.lock().unwrap().has_to_end() => true,
            Some(handle) => self.simulation.block_on(handle.node.announced_routes()) == Err(Closed),
            None => true,
        };
        if !ends {
            return;
        }
        let mut life = self.lives[number].take().expect("it is there");
        life.drop_all();
        self.dying.push(life);
    }

    fn nodes(&self) -> impl Iterator<Item = (&Life, MetalBond)> {
        self.lives.iter().flatten().filter_map(|life| Some((life, life.handle()?.node)))
    }

    fn ask<T, E: Debug>(&self, answer: impl Future<Output = Result<T, E>>) -> T {
        self.simulation.block_on(answer).expect("the node runs")
    }

    /// Compares the tables of the nodes with the announced routes.
    fn compare(&self) -> Result<(), String> {
        let announced: Vec<(usize, Vec<Route>, Vec<usize>)> = self
            .nodes()
            .map(|(life, node)| {
                let routes = self.ask(node.announced_routes());
                (life.number, routes, self.servers_of(life, &node))
            })
            .collect();
        let (dialled, accepted): (Vec<ConnId>, _) = self.sessions().into_iter().partition(|conn| conn.is_dialled());
        if dialled.len() != accepted.len() {
            return Err(format!("of {dialled:?} and {accepted:?}, one has no other end"));
        }
        for (life, node) in self.nodes() {
            let number = life.number;
            self.compare_wanted(life, &node);
            self.check_closes(&node);
            self.compare_sessions(life, &node)?;
            let servers = if self.is_server(number) { vec![number] } else { self.servers_of(life, &node) };
            let own = self.ask(node.announced_routes());
            let mut all = BTreeSet::new();
            for vni in self.ask(node.subscribed_vnis()) {
                let from_server = |(other, _, theirs): &&(usize, Vec<Route>, Vec<usize>)| {
                    *other != number && servers.iter().any(|server| server == other || theirs.contains(server))
                };
                let routes = announced.iter().filter(from_server).flat_map(|(_, routes, _)| routes);
                let is_foreign = |route: &&Route| route.vni == vni && !own.contains(route);
                let expected: BTreeSet<Route> = routes.filter(is_foreign).copied().collect();
                let learned: BTreeSet<Route> = self.ask(node.route_table().learned(vni)).into_iter().collect();
                if learned != expected {
                    return Err(format!("node {number} knows {}, not {}", list(&learned), list(&expected)));
                }
                all.extend(learned);
            }
            if life.reader.end() != Some(reader::End::Dropped) && life.reader.routes() != all {
                let read = life.reader.routes();
                return Err(format!("node {number}: changes say {}, not {}", list(&read), list(&all)));
            }
        }
        Ok(())
    }

    /// Returns the connections of all sessions.
    fn sessions(&self) -> Vec<ConnId> {
        let peers = self.nodes().flat_map(|(_, node)| self.ask(node.peers()));
        peers.filter(|peer| peer.state() == SessionState::Established).filter_map(|p| Some(p.session()?.conn)).collect()
    }

    /// Checks that no session ended because of wrong bytes: nodes send only valid ones, and all bytes arrive in order.
    fn check_closes(&self, node: &MetalBond) {
        let closed: Vec<_> = self.ask(node.inspect(|node| node.closed().collect()));
        for (kind, count) in closed {
            let is_wrong = matches!(kind, CloseKind::Decode | CloseKind::Misbehaved | CloseKind::Limit(_));
            assert!(!is_wrong || count == 0, "{count} sessions ended: {kind}");
        }
    }

    fn compare_wanted(&self, life: &Life, node: &MetalBond) {
        let subscriptions = self.ask(node.subscribed_vnis()).into_iter().map(Wanted::Subscription);
        let announcements = self.ask(node.announced_routes()).into_iter().map(Wanted::Announcement);
        life.context.record.lock().unwrap().compare(&subscriptions.chain(announcements).collect());
    }

    /// Returns the servers with which a node has a session.
    fn servers_of(&self, life: &Life, node: &MetalBond) -> Vec<usize> {
        let peers = self.ask(node.peers());
        let is_open = |peer: &&metalbond_driver::Peer| {
            peer.direction() == Direction::Dialled && peer.state() == SessionState::Established
        };
        let remotes: Vec<_> = peers.iter().filter(is_open).filter_map(|peer| peer.remote()).collect();
        let _ = life;
        (0..self.setup.servers).filter(|server| remotes.iter().any(|remote| remote.ip() == ip(*server))).collect()
    }

    /// Checks that a client has a session with each of its servers that exists.
    fn compare_sessions(&self, life: &Life, node: &MetalBond) -> Result<(), String> {
        for peer in self.ask(node.peers()) {
            let PeerSnapshot::Dialled(info, _) = peer.snapshot() else { continue };
            let is_there = (0..self.setup.servers).any(|server| {
                *info.endpoint == *SocketAddr::new(ip(server), PORT).to_string() || *info.endpoint == *name(server)
            });
            if is_there && info.state != SessionState::Established {
                return Err(format!("node {} has no session with {}", life.number, info.endpoint));
            }
        }
        Ok(())
    }

    /// Checks what each node uses.
    fn check_usage(&mut self) {
        for _ in 0..100 {
            if self.compare_usage().is_ok() {
                return;
            }
            // A writer or a dial may be under way.
            self.run_for(Duration::from_millis(7));
        }
        if let Err(why) = self.compare_usage() {
            panic!("{why}");
        }
    }

    fn compare_usage(&self) -> Result<(), String> {
        self.nodes().try_for_each(|(life, node)| {
            let peers = self.ask(node.peers());
            let is_connected = |state| !matches!(state, SessionState::Connecting | SessionState::Retry);
            let sessions = peers.iter().filter(|peer| is_connected(peer.state())).count();
            let dials = peers.iter().filter(|peer| peer.state() != SessionState::Established).count();
            life.check_rest(sessions, dials)
        })
    }

    /// Cuts all nodes from each other, and checks that none keeps resources for the others.
    fn cut(&mut self) {
        for a in 0..self.lives.len() {
            (0..self.lives.len()).filter(|b| *b != a).for_each(|b| self.fail(a, b, Failure::Stall));
        }
        for life in self.lives.iter_mut().flatten() {
            life.call(if self.setup.seed.is_multiple_of(5) { Call::RemovePeer(0) } else { Call::Reset(0) });
            life.call(Call::AddPeer(2));
        }
        (0..2).for_each(|server| self.name(server, Outcome::Never));
        // In the other runs, the nodes have not noticed the cut when they end.
        if self.setup.seed.is_multiple_of(2) {
            self.run_for(self.setup.patience());
            self.check_usage();
        }
    }

    /// Ends all nodes, each in one of several ways, and checks that nothing remains.
    fn end(&mut self) {
        let now = self.simulation.now();
        for number in 0..self.lives.len() {
            let Some(mut life) = self.lives[number].take() else { continue };
            match (self.setup.seed >> (2 * number)) % 4 {
                0 => life.call(Call::Shutdown),
                1 => life.call(Call::ShutdownWithCleanup),
                2 => life.kill(now),
                _ => {}
            }
            life.drop_all();
            self.dying.push(life);
        }
        self.run_for(Duration::from_millis(1));
        self.run_for(Duration::from_secs(2));
        self.dying.iter().for_each(|life| life.reader.settle());
        self.run_for(Duration::from_secs(12));
        if let Some(life) = self.dying.first() {
            panic!("node {} or its reader goes on: {:?}", life.number, life.host.usage());
        }
        let limit = self.simulation.now() + Duration::from_secs(10);
        assert!(self.simulation.run_until_idle(limit), "something is left after all nodes: {:?}", self.simulation);
        assert!(self.simulation.connections().is_empty(), "a connection outlives the nodes");
    }
}

fn name(server: usize) -> String {
    format!("{}:{PORT}", host_name(server))
}

fn host_name(server: usize) -> &'static str {
    ["first.test", "second.test"][server]
}

fn list(routes: &BTreeSet<Route>) -> String {
    let routes: Vec<_> = routes.iter().map(Route::to_string).collect();
    format!("[{}]", routes.join(", "))
}
