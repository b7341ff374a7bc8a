//! A node, its sockets, and what one turn of the loop does with them. Nothing here waits.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use metalbond::{Action, ApiMisuse, Close, Command, Config, ConfigError, ConnId, Input, Instant, NextHop, Node, Reply};
use metalbond_driver::{
    AcceptLog, Budget, Clock, DRAIN, READ, SessionLog, accept_pause, change_batch, listen, remote, seeded,
};
use rustix::event::{PollFd, PollFlags};

use crate::link::{Link, Phase};

/// The owner of a node and its sockets.
pub(crate) struct Driver {
    name: &'static str,
    node: Node,
    clock: Clock,
    listener: Option<Listener>,
    links: BTreeMap<ConnId, Link>,
    accepted: u64,
    log: SessionLog,
    /// What is read comes here first.
    buf: Vec<u8>,
    turns: usize,
    has_more_changes: bool,
    has_terminated: bool,
}

struct Listener {
    socket: TcpListener,
    log: AcceptLog,
    /// The system could not accept: not before this.
    again: Option<Instant>,
}

impl Driver {
    pub(crate) fn new(name: &'static str) -> Result<Self, ConfigError> {
        let clock = Clock::start();
        Ok(Self {
            name,
            node: Node::new(seeded(Config::default()), clock.now())?,
            clock,
            listener: None,
            links: BTreeMap::new(),
            accepted: 0,
            log: SessionLog::default(),
            buf: vec![0; READ],
            turns: 0,
            has_more_changes: false,
            has_terminated: false,
        })
    }

    pub(crate) fn listen(&mut self, addr: SocketAddr) -> Result<SocketAddr, Box<dyn Error>> {
        let socket = listen(addr)?;
        let local = socket.local_addr()?;
        self.command(Command::SetListening(true))?;
        self.listener = Some(Listener { socket, log: AcceptLog::new(local), again: None });
        Ok(local)
    }

    /// At once: what follows from it is done in the next turns.
    pub(crate) fn command(&mut self, command: Command) -> Result<Reply, ApiMisuse> {
        self.feed(Input::Command(command)).unwrap_or(Err(ApiMisuse::Closed))
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Everything is closed.
    pub(crate) fn is_over(&self) -> bool {
        self.has_terminated && self.links.is_empty()
    }

    /// What each socket is waited for: first the listener's, if there is one.
    pub(crate) fn interests(&self) -> impl Iterator<Item = PollFd<'_>> {
        let listener = self.listener.iter().map(|listener| {
            let flags = if listener.again.is_none() { PollFlags::IN } else { PollFlags::empty() };
            PollFd::new(&listener.socket, flags)
        });
        listener.chain(self.links.values().map(|link| PollFd::new(link.socket(), link.interest())))
    }

    /// How long until something is due.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let now = self.clock.now();
        let listener = self.listener.iter().flat_map(|l| [l.again, l.log.poll_timeout()]);
        let drains = self.links.values().map(Link::poll_timeout);
        let changes = self.has_more_changes.then_some(now);
        let deadlines = [self.node.poll_timeout(), self.log.poll_timeout(), changes];
        let earliest = deadlines.into_iter().chain(listener).chain(drains).flatten().min()?;
        Some(earliest.saturating_since(now))
    }

    /// One bounded turn: what the sockets have, then time, then what the node has to say. `ready` says so of each of the
    /// [`interests`](Self::interests).
    pub(crate) fn turn(&mut self, ready: &mut impl Iterator<Item = bool>) {
        let now = self.clock.now();
        if let Some(listener) = &mut self.listener {
            // Time to try again.
            listener.again = listener.again.filter(|at| *at > now);
        }
        let accepts = self.listener.is_some() && ready.next() == Some(true);
        let mut conns: Vec<ConnId> =
            self.links.keys().zip(ready).filter_map(|(conn, is_ready)| is_ready.then_some(*conn)).collect();
        // Who comes first changes, so that a turn's bound is nobody's loss.
        self.turns += 1;
        let first = self.turns % conns.len().max(1);
        conns.rotate_left(first);

        let mut budget = Budget::messages();
        if accepts {
            self.accept(&mut budget);
        }
        for conn in conns {
            if budget.is_left() {
                self.serve(conn, &mut budget);
            }
        }

        let now = self.clock.now();
        if self.node.poll_timeout().is_some_and(|at| at <= now) && !self.has_terminated {
            self.feed(Input::Tick);
        }
        self.links.retain(|_, link| link.poll_timeout().is_none_or(|until| until > now));
        self.log.tick(now);
        if let Some(listener) = &mut self.listener {
            listener.log.tick(now);
        }

        // What the bound leaves, poll_timeout calls due now.
        let mut budget = Budget::transmits();
        while budget.is_left()
            && let Some(transmit) = self.node.poll_transmit()
        {
            budget.spend(transmit.len());
            let conn = transmit.conn;
            if self.links.get_mut(&conn).is_some_and(|link| link.start(transmit)) {
                self.feed(Input::Sent { conn });
            }
        }

        let (changes, were_all) = change_batch(|| self.node.poll_change());
        for change in changes {
            let next_hops: Vec<_> = change.next_hops().iter().map(NextHop::to_string).collect();
            println!("{}: {} {} via [{}]", self.name, change.vni, change.prefix, next_hops.join(", "));
        }
        self.has_more_changes = !were_all;
    }

    fn accept(&mut self, budget: &mut Budget) {
        while budget.is_left()
            && let Some(listener) = &mut self.listener
        {
            budget.spend(0);
            match listener.socket.accept() {
                Ok((stream, addr)) => {
                    listener.log.succeeded();
                    let conn = ConnId::accepted(self.accepted);
                    self.accepted += 1;
                    // Fails if it is already broken.
                    if let Ok(link) = Link::accepted(stream) {
                        self.links.insert(conn, link);
                        self.feed(Input::Accepted { conn, remote: remote(addr) });
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => {
                    let now = self.clock.now();
                    listener.log.failed(now, &e);
                    let pause = accept_pause(&e);
                    if !pause.is_zero() {
                        listener.again = Some(now + pause);
                        return;
                    }
                }
            }
        }
    }

    /// A socket is ready.
    fn serve(&mut self, conn: ConnId, budget: &mut Budget) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        if let Phase::Dialling(addr) = link.phase() {
            let input = match link.connected(addr) {
                Ok(remote) => Input::Connected { conn, remote },
                Err(e) => {
                    self.links.remove(&conn);
                    Input::DialFailed { conn, why: e.to_string().into() }
                }
            };
            self.feed(input);
            return;
        }
        let is_open = link.phase() == Phase::Open;
        let (is_sent, read) = (link.write(), link.read(&mut self.buf));
        budget.spend(read.as_ref().map_or(0, |n| *n));
        if read.is_err() {
            self.links.remove(&conn);
        }
        // Of a connection that the node has closed, it hears no more.
        if !is_open {
            return;
        }
        if is_sent {
            self.feed(Input::Sent { conn });
        }
        match read {
            Ok(0) => {}
            Ok(n) => {
                let bytes = Bytes::copy_from_slice(&self.buf[..n]);
                self.feed(Input::Received { conn, bytes });
            }
            Err(end) => {
                self.feed(Input::Closed { conn, end });
            }
        }
    }

    /// Tells the node, and does at once what it says. Returns the reply, if it was a command.
    fn feed(&mut self, input: Input) -> Option<Result<Reply, ApiMisuse>> {
        let mut inputs = VecDeque::from([input]);
        let mut answer = None;
        while let Some(input) = inputs.pop_front() {
            for action in self.node.handle_input(self.clock.now(), input) {
                match action {
                    Action::Dial { conn, endpoint, .. } => match Link::dial(&endpoint) {
                        Ok(link) => drop(self.links.insert(conn, link)),
                        Err(e) => inputs.push_back(Input::DialFailed { conn, why: e.to_string().into() }),
                    },
                    Action::Close { conn, how: Close::Drain } => {
                        let until = self.clock.now() + DRAIN;
                        self.links.get_mut(&conn).into_iter().for_each(|link| link.drain(until));
                    }
                    Action::Close { conn, how: Close::Now } => drop(self.links.remove(&conn)),
                    Action::State(transition) => self.log.transition(self.clock.now(), &transition),
                    Action::Refused(refusal) => self.log.refused(self.clock.now(), &refusal),
                    Action::Reply(reply) => answer = Some(reply),
                    Action::Terminated => {
                        self.has_terminated = true;
                        self.listener = None;
                        self.log.finish();
                    }
                }
            }
        }
        answer
    }
}
