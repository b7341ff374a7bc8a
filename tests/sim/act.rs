//! Performs operations on a world.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use metalbond::{Command, Input, PeerId, TransportEnd, Vni};

use super::host::{Kind, Life};
use super::link::{DOWN, UP};
use super::ops::{self, Cut, Op, Way};
use super::policies;
use super::reached::Situation;
use super::rng::Rng;
use super::wire::is_martian;
use super::world::{Setup, World};

/// Runs the operations one after the other, lets the world come to rest, and compares.
pub(crate) fn run(setup: Setup, ops: &[Op]) -> World {
    run_in(World::new(setup), ops)
}

pub(crate) fn run_in(mut world: World, ops: &[Op]) -> World {
    world.advance(Duration::from_secs(1));
    for op in ops {
        // The random numbers after an operation depend on it alone, so that other operations can be left out when
        // shrinking.
        let mut hasher = DefaultHasher::new();
        op.hash(&mut hasher);
        world.rng = Rng::new(world.setup.seed ^ hasher.finish());
        world.act(*op);
        world.settle();
    }
    // First with all links as they are, even if they are cut; then with the network in order again.
    world.come_to_rest();
    world.check_at_rest();
    world.heal_all();
    world.come_to_rest();
    world.check_at_rest();
    world
}

impl World {
    /// Performs one operation, in any state.
    pub(crate) fn act(&mut self, op: Op) {
        let host = |n: u8| usize::from(n) % self.hosts.len();
        let pair = |c: u8, s: u8| {
            let clients = self.hosts.len() - self.setup.servers;
            (self.setup.servers + usize::from(c) % clients, usize::from(s) % self.setup.servers)
        };
        match op {
            Op::Subscribe(h, v) => self.subscribe(host(h), v),
            Op::Unsubscribe(h, v) => self.unsubscribe(host(h), v),
            Op::Resync(h, v) => self.command(host(h), Command::Resync(ops::vni(v))),
            Op::Announce(h, v, p, n) => self.announce(host(h), v, p, n),
            Op::Withdraw(h, v, p, n) => self.withdraw(host(h), v, p, n),
            Op::Kill(h) => self.kill(host(h), true),
            Op::Vanish(h) => self.kill(host(h), false),
            Op::Start(h, keep) => self.start(host(h), keep),
            Op::CutLink(c, s, cut) => self.cut(pair(c, s), cut),
            Op::Heal(c, s) => {
                let pair = pair(c, s);
                self.paths.get_mut(&pair).unwrap().silent = [false; 2];
            }
            Op::Latency(c, s, n) if !self.setup.prompt => {
                let pair = pair(c, s);
                self.paths.get_mut(&pair).unwrap().latency = Duration::from_millis(ops::latency_ms(n));
            }
            Op::Chunks(c, s, chunking) if !self.setup.prompt => {
                let pair = pair(c, s);
                self.paths.get_mut(&pair).unwrap().chunking = chunking;
            }
            Op::Window(c, s, n) if !self.setup.prompt => {
                let pair = pair(c, s);
                self.paths.get_mut(&pair).unwrap().window = ops::window(n);
            }
            Op::Latency(..) | Op::Chunks(..) | Op::Window(..) => {}
            Op::Advance(n) => self.advance(Duration::from_millis(ops::step_ms(n))),
            Op::AddPeer(c, s) => self.add_peer(pair(c, s)),
            Op::RemovePeer(c, s) => self.on_peer(pair(c, s), true),
            Op::ResetPeer(c, s) => self.on_peer(pair(c, s), false),
            Op::ResetConn(h, n) => self.reset_conn(host(h), usize::from(n)),
            Op::Pause(h) => {
                let host = host(h);
                self.hosts[host].paused = !self.setup.prompt;
            }
            Op::Resume(h) => self.resume(host(h)),
            Op::Deafen(h) => self.set_deaf(host(h), true),
            Op::Hear(h) => self.set_deaf(host(h), false),
            Op::Shutdown(h, cleanup) => self.command(host(h), Command::Shutdown { cleanup }),
            Op::Partition(set, way) if !self.setup.prompt => self.partition(set, way),
            Op::Reunite => self.reunite(),
            Op::Delays(n) if !self.setup.prompt => {
                for ((_, server), path) in &mut self.paths {
                    path.latency = Duration::from_millis(ops::latency_ms((u32::from(n) >> (2 * server)) as u8));
                }
            }
            Op::Dribble(c, s, way) if !self.setup.prompt => {
                let pair = pair(c, s);
                self.paths.get_mut(&pair).unwrap().dribble(way);
            }
            Op::Partition(..) | Op::Delays(_) | Op::Dribble(..) => {}
            Op::Flow(c, s) => {
                let pair = pair(c, s);
                self.paths.get_mut(&pair).unwrap().dribbles = [false; 2];
            }
            Op::Jump(h, n) => self.jump(host(h), ops::jump_ms(n)),
            Op::Suspend(h) => self.suspend(host(h)),
            Op::StopReading(h) => {
                let host = host(h);
                self.hosts[host].reads = self.setup.prompt;
            }
            Op::ReadOn(h) => {
                let host = host(h);
                self.hosts[host].reads = true;
            }
            Op::Doom(h, n) => {
                let host = host(h);
                self.hosts[host].doom = Some(n % 8 + 1);
            }
            // Servers have the first numbers.
            Op::Policy(h, n) => {
                let server = usize::from(h) % self.setup.servers;
                // If one iteration handles several policies, it is not known which one the node has applied.
                if !self.hosts[server].paused {
                    self.command(server, Command::SetPolicy(policies::policy(n)));
                }
            }
            Op::Address(h, n) => {
                let host = host(h);
                self.hosts[host].address = n;
            }
            Op::Converge(h, n) => {
                let host = host(h);
                self.hosts[host].converging = n;
            }
            // Servers have the first numbers.
            Op::Reference(s, on) => {
                let server = usize::from(s) % self.setup.servers;
                self.hosts[server].is_reference = on;
            }
            Op::Refuse(h, n) => self.refuse(host(h), n),
            Op::Names(h, n) => {
                let host = host(h);
                self.hosts[host].names = n;
            }
            Op::Dial(a, b, on) => match self.two_servers(a, b) {
                Some(pair) if on => self.add_peer(pair),
                Some(pair) => self.on_peer(pair, true),
                None => {}
            },
            Op::CutServers(a, b, cut) => self.two_servers(a, b).into_iter().for_each(|pair| self.cut(pair, cut)),
            Op::LinkServers(a, b, n) if !self.setup.prompt => {
                if let Some(pair) = self.two_servers(a, b) {
                    let path = self.paths.get_mut(&pair).unwrap();
                    path.latency = Duration::from_millis(ops::latency_ms(n));
                    path.window = ops::window(n >> 2);
                    path.chunking = ops::chunking(n >> 4);
                }
            }
            Op::LinkServers(..) => {}
            Op::Rest => {
                self.come_to_rest();
                self.check_at_rest();
            }
        }
    }

    /// Returns a server and the nth other one, if there are two.
    fn two_servers(&self, a: u8, n: u8) -> Option<(usize, usize)> {
        let servers = self.setup.servers;
        let a = usize::from(a) % servers;
        (servers > 1).then(|| (a, (a + 1 + usize::from(n) % (servers - 1)) % servers))
    }

    fn subscribe(&mut self, host: usize, v: u8) {
        if let Life::Raw(raw) = &mut self.hosts[host].life {
            raw.subscribe(ops::vni(v));
        }
        self.hosts[host].wants.insert(ops::vni(v));
        self.command(host, Command::Subscribe(ops::vni(v)));
    }

    fn unsubscribe(&mut self, host: usize, v: u8) {
        let vni = ops::vni(v);
        let h = &mut self.hosts[host];
        if let Life::Raw(raw) = &mut h.life {
            raw.unsubscribe(vni);
        }
        if h.wants.remove(&vni) && h.kind.is_raw() {
            h.announces.retain(|r| r.vni != vni);
        }
        self.command(host, Command::Unsubscribe(vni));
    }

    fn announce(&mut self, host: usize, v: u8, p: u8, n: u8) {
        let route = ops::route(v, p, n);
        if let Life::Raw(raw) = &mut self.hosts[host].life {
            raw.announce(route);
        }
        if !is_martian(&route) {
            self.hosts[host].announces.insert(route);
        }
        self.command(host, Command::Announce(route));
    }

    fn withdraw(&mut self, host: usize, v: u8, p: u8, n: u8) {
        let route = ops::route(v, p, n);
        if let Life::Raw(raw) = &mut self.hosts[host].life {
            raw.withdraw(route);
        }
        self.hosts[host].announces.remove(&route);
        self.command(host, Command::Withdraw(route));
    }

    fn kill(&mut self, host: usize, power: bool) {
        if !matches!(self.hosts[host].life, Life::Off { .. }) {
            self.stop(host, power);
        }
    }

    fn cut(&mut self, pair: (usize, usize), cut: Cut) {
        let path = self.paths.get_mut(&pair).unwrap();
        let at = self.now + path.latency;
        let end = match cut {
            Cut::Fin => TransportEnd::Eof,
            Cut::Reset => TransportEnd::Reset,
            Cut::TimedOut => TransportEnd::TimedOut,
            // In a perfect network no peer stops reading.
            _ if self.setup.prompt => return,
            Cut::Silence => return path.silent = [true; 2],
            Cut::SilenceUp => return path.silent[UP] = true,
            Cut::SilenceDown => return path.silent[DOWN] = true,
            Cut::ServerKeeps => return self.forget(pair, 0),
            Cut::ClientKeeps => return self.forget(pair, 1),
        };
        for conn in self.conns.iter_mut().filter(|c| c.hosts == [pair.0, pair.1] && c.is_connected()) {
            for pipe in &mut conn.pipes {
                if cut == Cut::Fin { pipe.close(false) } else { pipe.abort(at, end.clone()) }
            }
        }
    }

    /// One end of each connection sees RST, and nothing ever reaches the other end.
    fn forget(&mut self, (client, server): (usize, usize), end: usize) {
        for i in 0..self.conns.len() {
            let conn = &mut self.conns[i];
            if conn.hosts != [client, server] || !conn.is_connected() {
                continue;
            }
            (conn.dead, conn.open[end]) = (true, false);
            match (&mut self.hosts[conn.hosts[end]].life, conn.ids[end]) {
                (Life::Node(seat), Some(conn)) => {
                    seat.inbox.push_back(Input::Closed { conn, end: TransportEnd::Reset });
                }
                (Life::Raw(raw), _) => raw.closed(self.now),
                _ => {}
            }
            self.reached.count(if end == 0 { Situation::ServerKeeps } else { Situation::ClientKeeps });
        }
    }

    /// Makes the host's application send a command that its node has to refuse.
    fn refuse(&mut self, host: usize, n: u8) {
        let command = match (n % 4, self.hosts[host].peers.keys().next()) {
            (0, Some(server)) => Command::AddPeer { endpoint: format!("s{server}").into() },
            (0 | 1, _) => Command::ResetPeer(PeerId(u32::MAX)),
            (2, _) => Command::Resync(Vni(99)),
            _ => Command::Announce(ops::route(n, n, ops::MARTIAN)),
        };
        self.command(host, command);
    }

    fn add_peer(&mut self, (client, server): (usize, usize)) {
        if self.hosts[client].kind.is_raw() || !self.hosts[client].servers.insert(server) {
            return;
        }
        self.command(client, Command::AddPeer { endpoint: format!("s{server}").into() });
    }

    fn on_peer(&mut self, (client, server): (usize, usize), remove: bool) {
        // A peer has no id while its addition is still in the mailbox.
        let Some(id) = self.hosts[client].peers.get(&server).copied() else { return };
        if remove {
            self.hosts[client].servers.remove(&server);
            self.hosts[client].peers.remove(&server);
            self.command(client, Command::RemovePeer(id));
        } else {
            self.command(client, Command::ResetPeer(id));
        }
    }

    fn reset_conn(&mut self, host: usize, n: usize) {
        let Life::Node(seat) = &self.hosts[host].life else { return };
        let conns: Vec<_> = seat.node.sessions().map(|s| s.conn).collect();
        if !conns.is_empty() {
            self.command(host, Command::ResetConn(conns[n % conns.len()]));
        }
    }

    fn set_deaf(&mut self, host: usize, deaf: bool) {
        if let Life::Node(seat) = &mut self.hosts[host].life {
            seat.deaf = deaf;
        }
    }

    fn partition(&mut self, set: u8, way: Way) {
        let is_in = |host: usize| u32::from(set) >> host & 1 == 1;
        for ((client, server), path) in &mut self.paths {
            let cut = match (is_in(*client), is_in(*server)) {
                (true, false) => [way != Way::In, way != Way::Out],
                (false, true) => [way != Way::Out, way != Way::In],
                _ => continue,
            };
            path.silent = [path.silent[UP] || cut[UP], path.silent[DOWN] || cut[DOWN]];
        }
    }

    fn reunite(&mut self) {
        for path in self.paths.values_mut() {
            path.silent = [false; 2];
        }
    }

    fn jump(&mut self, host: usize, ms: i64) {
        if let Life::Node(seat) = &mut self.hosts[host].life {
            let by = Duration::from_millis(ms.unsigned_abs());
            if ms < 0 { seat.clock.jump_back(self.now, by) } else { seat.clock.jump_ahead(self.now, by) }
        }
    }

    fn suspend(&mut self, host: usize) {
        if self.setup.prompt {
            return;
        }
        self.hosts[host].paused = true;
        if let Life::Node(seat) = &mut self.hosts[host].life {
            seat.clock.stop(self.now);
        }
    }

    pub(crate) fn heal_all(&mut self) {
        self.reunite();
        for host in 0..self.hosts.len() {
            if self.hosts[host].kind == Kind::Server {
                self.start(host, true);
            }
        }
    }
}
