//! A server and a client in one thread, without a runtime, sockets or a clock: time is a number, and the network is a
//! queue. Shows how a route is passed on, keepalives, a cable that is unplugged for half a minute, and the effect on
//! routes.
//!
//! `cargo run --example two_nodes`

use std::collections::VecDeque;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use metalbond::wire::{Decoded, Deframer, Message};
use metalbond::{Action, Command, Config, ConnId, Input, Instant, NextHop, Node, Prefix, Route, TransportEnd, Vni};

const SERVER: usize = 0;
const CLIENT: usize = 1;
const NAMES: [&str; 2] = ["server", "client"];
const NETWORK: Vni = Vni(23);

fn main() -> Result<(), Box<dyn Error>> {
    let next_hop = NextHop::standard("2001:db8::1".parse()?);
    let first = Route { vni: NETWORK, prefix: "10.0.23.1/32".parse()?, next_hop };
    let second = Route { prefix: "10.0.23.2/32".parse()?, ..first };

    let mut world = World::new()?;
    world.command(SERVER, Command::SetListening(true));
    world.command(SERVER, Command::Announce(first));
    world.command(CLIENT, Command::Subscribe(NETWORK));
    world.command(CLIENT, Command::AddPeer { endpoint: "server:4711".into() });
    world.run_until(12);

    world.say("the cable is pulled. The server's routes change, and it cannot say so");
    world.is_cut = true;
    world.command(SERVER, Command::Withdraw(first));
    world.command(SERVER, Command::Announce(second));
    world.run_until(40);
    world.say(&format!("the client still holds {:?}", world.routes()));

    world.say("the cable is back");
    world.is_cut = false;
    world.run_until(46);
    assert_eq!(world.routes(), [second.prefix]);
    Ok(())
}

struct World {
    now: Instant,
    nodes: [Node; 2],
    /// Pending events with the number of the node that they are for.
    events: VecDeque<(usize, Input)>,
    /// The connection's ids at the server and at the client, while it exists.
    link: Option<[ConnId; 2]>,
    is_cut: bool,
    accepted: u64,
}

impl World {
    fn new() -> Result<Self, metalbond::ConfigError> {
        // Without a convergence time, the server's table counts as complete from the start, so missing routes are
        // removed.
        let (convergence_time, backoff_min) = (Duration::ZERO, Duration::from_secs(2));
        let config = |seed| Config { seed, convergence_time, backoff_min, ..Config::default() };
        let nodes = [Node::new(config(1), Instant::EPOCH)?, Node::new(config(2), Instant::EPOCH)?];
        Ok(Self { now: Instant::EPOCH, nodes, events: VecDeque::new(), link: None, is_cut: false, accepted: 0 })
    }

    fn command(&mut self, node: usize, command: Command) {
        self.events.push_back((node, Input::Command(command)));
    }

    fn run_until(&mut self, seconds: u64) {
        let end = Instant::from_epoch(Duration::from_secs(seconds));
        loop {
            while let Some((node, input)) = self.events.pop_front() {
                self.step(node, input);
            }
            // No event is pending: time jumps to the earlier deadline of the two nodes.
            let deadlines = [SERVER, CLIENT].map(|n| self.nodes[n].poll_timeout().map(|at| (at, n)));
            match deadlines.into_iter().flatten().min() {
                Some((at, node)) if at <= end => {
                    self.now = at.max(self.now);
                    self.events.push_back((node, Input::Tick));
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn step(&mut self, node: usize, input: Input) {
        for action in self.nodes[node].handle_input(self.now, input) {
            match action {
                Action::Dial { conn, .. } => self.dial(conn),
                Action::Close { conn, .. } => self.close(node, conn),
                Action::State(transition) => self.say(&format!("{}: {transition}", NAMES[node])),
                Action::Denied(refusal) => self.say(&format!("{}: refused {refusal}", NAMES[node])),
                Action::Reply(reply) => assert!(reply.is_ok(), "{reply:?}"),
                // Only for clients without `ordered`, and optional.
                Action::MeasureWindow { .. } | Action::Terminated => {}
            }
        }
        while let Some(transmit) = self.nodes[node].poll_transmit() {
            let far = 1 - node;
            let to = self.link.filter(|link| link[node] == transmit.conn && !self.is_cut).map(|link| link[far]);
            for bytes in transmit.chunks {
                let lost = if to.is_some() { "" } else { " (lost)" };
                self.say(&format!("{} -> {}: {}{lost}", NAMES[node], NAMES[far], messages(&bytes)));
                self.events.extend(to.map(|conn| (far, Input::Received { conn, bytes })));
            }
            // The sender's system accepts the data in any case.
            self.events.push_back((node, Input::Sent { conn: transmit.conn }));
        }
        while let Some(change) = self.nodes[node].poll_change() {
            let hops: Vec<_> = change.next_hops().iter().map(NextHop::to_string).collect();
            let now = if hops.is_empty() { "is gone".into() } else { format!("is behind {}", hops.join(", ")) };
            self.say(&format!("{}: {} {now}", NAMES[node], change.prefix));
        }
    }

    fn dial(&mut self, conn: ConnId) {
        if self.is_cut {
            return self.events.push_back((CLIENT, Input::DialFailed { conn, why: "no route to host".into() }));
        }
        let accepted = ConnId::accepted(self.accepted);
        self.accepted += 1;
        self.link = Some([accepted, conn]);
        let [server, client] = [([192, 0, 2, 1], 4711), ([192, 0, 2, 2], 49152)].map(SocketAddr::from);
        self.events.push_back((SERVER, Input::Accepted { conn: accepted, remote: client }));
        self.events.push_back((CLIENT, Input::Connected { conn, remote: server }));
    }

    fn close(&mut self, node: usize, conn: ConnId) {
        // The other end notices it, if the cable is plugged in.
        if let Some(link) = self.link.take_if(|link| link[node] == conn)
            && !self.is_cut
        {
            self.events.push_back((1 - node, Input::Closed { conn: link[1 - node], end: TransportEnd::Eof }));
        }
    }

    fn routes(&self) -> Vec<Prefix> {
        self.nodes[CLIENT].learned(NETWORK).map(|route| route.prefix).collect()
    }

    fn say(&self, text: &str) {
        println!("{:>6.1} s  {text}", self.now.since_epoch().as_secs_f32());
    }
}

/// Returns the names of the messages in a chunk.
fn messages(mut bytes: &[u8]) -> String {
    let mut deframer = Deframer::default();
    let names = std::iter::from_fn(|| match Message::decode(deframer.next(&mut bytes).ok()??) {
        Ok(Decoded::Message(message)) => Some(message.kind().to_string()),
        _ => None,
    });
    names.collect::<Vec<_>>().join(", ")
}
