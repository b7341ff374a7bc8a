//! A host and its process: what it runs, what it subscribes to and announces, and how processes start and stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metalbond::{Close, Command, Config, Echo, Input, Pacing, PeerId, Vni};

use super::model::Routes;
use super::ops;
use super::raw::RawClient;
use super::seat::{Recording, Seat};
use super::world::World;

/// So slow that a sync takes several bursts even here.
const SLOW: Pacing = Pacing { rate: 2000, burst: Pacing::MIN };

/// So short that a world of a few operations reaches it.
const SEND_HOLD: Duration = Duration::from_secs(20);

/// What a host runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Server,
    /// A client with the default settings.
    Client,
    /// A client without a stale time, whose routes its servers retain for 10 s.
    NoHold,
    /// A client without a stale time and a restart time.
    Quick,
    /// A client whose HELLO says that it listens.
    Listening,
    /// A client without the capability.
    Legacy,
    /// A client without the capability that sends everything in one write.
    Pipelining,
}

impl Kind {
    pub(crate) fn is_raw(self) -> bool {
        matches!(self, Self::Legacy | Self::Pipelining)
    }
}

pub(crate) enum Life {
    Node(Box<Seat>),
    Raw(Box<RawClient>),
    /// No process. If the host has power, its system answers packets.
    Off {
        power: bool,
    },
}

pub(crate) struct Host {
    pub(crate) kind: Kind,
    pub(crate) life: Life,
    pub(crate) paused: bool,
    /// False if the process reads nothing from its connections, and does everything else.
    pub(crate) reads: bool,
    /// The process dies in the middle of its nth iteration from now.
    pub(crate) doom: Option<u8>,
    pub(crate) wants: BTreeSet<Vni>,
    pub(crate) announces: Routes,
    pub(crate) servers: BTreeSet<usize>,
    pub(crate) peers: BTreeMap<usize, PeerId>,
    pub(crate) starts: u64,
    /// The numbers of its address and certificate, see `ops::address` and `ops::names`.
    pub(crate) address: u8,
    pub(crate) names: u8,
    /// How long its next process says that it is converging, see `ops::convergence_secs`.
    pub(crate) converging: u8,
    /// In its next connections, neither it nor its clients see capabilities.
    pub(crate) is_reference: bool,
}

impl Host {
    pub(crate) fn new(kind: Kind, servers: usize) -> Self {
        let dials = if kind == Kind::Server || kind.is_raw() { 0 } else { servers };
        Self {
            kind,
            life: Life::Off { power: true },
            paused: false,
            reads: true,
            doom: None,
            wants: BTreeSet::new(),
            announces: Routes::new(),
            servers: (0..dials).collect(),
            peers: BTreeMap::new(),
            starts: 0,
            address: 0,
            names: 0,
            converging: 0,
            is_reference: false,
        }
    }
}

fn config(kind: Kind, convergence_time: Duration, is_hasty: bool) -> Config {
    let (hold, restart_time) = match kind {
        Kind::NoHold => (0, 10),
        Kind::Quick => (0, 0),
        _ => (60, 10),
    };
    let (hold, restart_time) = (Some(Duration::from_secs(hold)), Duration::from_secs(restart_time));
    let config =
        Config { stale_time: hold, restart_time, convergence_time, send_hold_time: SEND_HOLD, ..Config::default() };
    if !is_hasty {
        return config;
    }
    Config {
        keepalive: config.keepalive * 4,
        stale_time: config.stale_time.map(|time| time / 10),
        restart_time: config.restart_time / 10,
        session_stale_time: config.session_stale_time / 10,
        convergence_time: config.convergence_time / 10,
        ..config
    }
}

impl World {
    /// Starts a new process on the host, if it has none.
    pub(crate) fn start(&mut self, host: usize, keep: bool) {
        let (prompt, saboteur) = (self.setup.prompt, self.saboteur.clone());
        let now = self.now;
        let is_hasty = self.is_hasty;
        let pacing = self.setup.pacing.then_some(SLOW);
        let echo = [Echo::None, Echo::LoadBalancers, Echo::All][((self.setup.seed >> 32) % 3) as usize];
        let h = &mut self.hosts[host];
        if !matches!(h.life, Life::Off { .. }) {
            return;
        }
        if !keep {
            h.wants.clear();
            h.announces.clear();
        }
        (h.paused, h.reads, h.doom) = (false, true, None);
        h.starts += 1;
        h.peers.clear();
        if h.kind.is_raw() {
            let pipelines = h.kind == Kind::Pipelining;
            let raw = RawClient::new(now, pipelines, h.wants.clone(), h.announces.clone());
            h.life = Life::Raw(Box::new(raw));
            return;
        }
        let convergence_time = Duration::from_secs(ops::convergence_secs(h.converging));
        let seed = host as u64 * 1000 + h.starts;
        let config = Config { seed, pacing, echo, ..config(h.kind, convergence_time, is_hasty) };
        let saboteur = saboteur.filter(|_| h.kind == Kind::Server);
        let mut seat = Box::new(Seat::new(config, now, prompt, saboteur));
        let listens = matches!(h.kind, Kind::Server | Kind::Listening);
        let peers = h.servers.iter().map(|s| Command::AddPeer { endpoint: format!("s{s}").into() });
        let commands = listens.then_some(Command::SetListening(true)).into_iter().chain(peers);
        let commands = commands.chain(h.wants.iter().map(|v| Command::Subscribe(*v)));
        let commands = commands.chain(h.announces.iter().map(|r| Command::Announce(*r)));
        seat.inbox.extend(commands.map(Input::Command));
        h.life = Life::Node(seat);
    }

    /// Ends the process. Its system closes its connections, except if it has no power.
    pub(crate) fn stop(&mut self, host: usize, power: bool) {
        for i in 0..self.conns.len() {
            for end in [0, 1] {
                if self.conns[i].hosts[end] == host && self.conns[i].open[end] {
                    self.close(i, end, Close::Now);
                    self.conns[i].dead |= !power;
                }
            }
        }
        self.retire(host, power);
    }

    /// Returns the recordings of all nodes of the world, which ends.
    pub(crate) fn recordings(mut self) -> Vec<Recording> {
        (0..self.hosts.len()).for_each(|host| self.stop(host, true));
        self.recordings
    }

    /// Continues the process, and its clock if that stood still.
    pub(crate) fn resume(&mut self, host: usize) {
        self.hosts[host].paused = false;
        if let Life::Node(seat) = &mut self.hosts[host].life {
            seat.clock.go_on(self.now);
        }
    }

    fn retire(&mut self, host: usize, power: bool) {
        let life = std::mem::replace(&mut self.hosts[host].life, Life::Off { power });
        if let Life::Node(seat) = life {
            self.reached.add(&seat.watch.model.reached);
            self.recordings.push(seat.recording);
        }
    }
}
