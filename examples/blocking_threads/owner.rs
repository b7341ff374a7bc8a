//! The owner: the thread that has the node, and the one that carries out what it says.
//!
//! ```text
//!   listener, diallers --+
//!   a reader per socket  +--> bounded mailbox --> owner: the node, and who is connected
//!   a writer per socket -+                          |
//!         ^-------------- one Transmit -------------+
//! ```
//!
//! Everybody may wait for the owner; the owner waits for nobody but its mailbox. So there is no deadlock, and no mutex.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time;

use metalbond::{
    Action, Close, Command, CommandError, Config, ConfigError, ConnId, Input, Instant, Node, Reply, RouteChange,
    Transmit, TransportEnd,
};

use crate::connection::{DRAIN, accept, dial, read, write};

/// Events that the mailbox holds, and that one turn takes.
const TURN: usize = 256;

/// Starts a node on a thread of its own; `on_change` is called there, and must not wait for it.
pub(crate) fn start(
    on_change: impl FnMut(RouteChange) + Send + 'static,
) -> Result<(Handle, JoinHandle<()>), ConfigError> {
    // A random seed, so that nobody can foresee how the node's hash maps fill. The standard library has one.
    let config = Config { seed: RandomState::new().hash_one(0), ..Config::default() };
    let (mailbox, events) = sync_channel(TURN);
    let (alive, gone) = sync_channel(0);
    let owner = Owner {
        node: Node::new(config, Instant::EPOCH)?,
        start: time::Instant::now(),
        mailbox: mailbox.clone(),
        alive,
        links: HashMap::new(),
        accepted: 0,
        on_change: Box::new(on_change),
        has_ended: false,
    };
    Ok((Handle { mailbox }, thread::spawn(move || owner.run(&events, &gone))))
}

/// The way to a node. To be used from any thread but its owner's.
#[derive(Clone)]
pub(crate) struct Handle {
    mailbox: SyncSender<Event>,
}

impl Handle {
    pub(crate) fn command(&self, command: Command) -> Result<Reply, CommandError> {
        let (answer, reply) = sync_channel(1);
        self.mailbox.send(Event::Command(command, answer)).map_err(|_| CommandError::Closed)?;
        reply.recv().unwrap_or(Err(CommandError::Closed))
    }

    pub(crate) fn listen(&self, addr: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(addr)?;
        let local = listener.local_addr()?;
        self.command(Command::SetListening(true)).map_err(io::Error::other)?;
        let mailbox = self.mailbox.clone();
        thread::spawn(move || accept(&listener, &mailbox));
        Ok(local)
    }
}

/// What the mailbox holds.
pub(crate) enum Event {
    Accepted(TcpStream, SocketAddr),
    Dialled(ConnId, io::Result<(TcpStream, SocketAddr)>),
    /// From a reader or a writer. If the connection is closed by now, the node ignores it.
    Input(Input),
    /// A writer has failed. The connection ends when its reader has read what the peer had sent.
    Broken(ConnId, TransportEnd),
    Command(Command, SyncSender<Result<Reply, CommandError>>),
}

/// A connection that the node knows of.
enum Link {
    Dialling,
    Open { stream: Arc<TcpStream>, writer: SyncSender<Transmit>, broken: Option<TransportEnd> },
}

/// The owner of everything.
struct Owner {
    node: Node,
    start: time::Instant,
    mailbox: SyncSender<Event>,
    /// Writers hold clones, on which nothing is ever sent: its end is the end of them all.
    alive: SyncSender<Infallible>,
    links: HashMap<ConnId, Link>,
    accepted: u64,
    on_change: Box<dyn FnMut(RouteChange) + Send>,
    has_ended: bool,
}

impl Owner {
    fn run(mut self, events: &Receiver<Event>, gone: &Receiver<Infallible>) {
        while !self.has_ended {
            let first = match self.node.poll_timeout() {
                Some(at) => events.recv_timeout(at.saturating_since(self.now())).ok(),
                None => events.recv().ok(),
            };
            for event in first.into_iter().chain(events.try_iter()).take(TURN) {
                self.take(event);
            }
            // Behind what was received: no peer is silent whose bytes have been waiting here.
            if self.node.poll_timeout().is_some_and(|at| at <= self.now()) {
                self.feed(Input::Tick);
            }
            while let Some(transmit) = self.node.poll_transmit() {
                if let Some(Link::Open { writer, .. }) = self.links.get(&transmit.conn) {
                    // Never waits: there is room for one, and the node hands out no second before the first is written.
                    // A writer that is gone has ended the connection, and the reader says so.
                    let _ = writer.send(transmit);
                }
            }
            while let Some(change) = self.node.poll_change() {
                (self.on_change)(change);
            }
        }
        // The last connections may take this long to drain.
        drop(self);
        let _ = gone.recv_timeout(DRAIN);
    }

    fn now(&self) -> Instant {
        Instant::from_epoch(self.start.elapsed())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Accepted(stream, remote) => {
                let conn = ConnId::accepted(self.accepted);
                self.accepted += 1;
                self.open(conn, stream);
                self.feed(Input::Accepted { conn, remote });
            }
            Event::Dialled(conn, result) => {
                // The node may have given up meanwhile.
                if self.links.remove(&conn).is_none() {
                    return;
                }
                let input = match result {
                    Ok((stream, remote)) => {
                        self.open(conn, stream);
                        Input::Connected { conn, remote }
                    }
                    Err(e) => Input::DialFailed { conn, why: e.to_string().into() },
                };
                self.feed(input);
            }
            Event::Input(mut input) => {
                if let Input::Closed { conn, end } = &mut input
                    && let Some(Link::Open { broken: Some(first), .. }) = self.links.remove(conn)
                {
                    *end = first;
                }
                self.feed(input);
            }
            Event::Broken(conn, end) => {
                if let Some(Link::Open { broken, .. }) = self.links.get_mut(&conn) {
                    *broken = Some(end);
                }
            }
            Event::Command(command, answer) => {
                let reply = self.feed(Input::Command(command)).unwrap_or(Err(CommandError::Closed));
                // Whoever asked may have ended.
                let _ = answer.send(reply);
            }
        }
    }

    /// Tells the node, and does what it says. Returns the reply, if it was a command.
    fn feed(&mut self, input: Input) -> Option<Result<Reply, CommandError>> {
        let mut answer = None;
        for action in self.node.handle_input(self.now(), input) {
            match action {
                Action::Dial { conn, endpoint, .. } => {
                    self.links.insert(conn, Link::Dialling);
                    let mailbox = self.mailbox.clone();
                    thread::spawn(move || mailbox.send(Event::Dialled(conn, dial(&endpoint))));
                }
                Action::Close { conn, how } => {
                    // Without its link, the writer ends with care when it has written what it holds.
                    if let Some(Link::Open { stream, .. }) = self.links.remove(&conn)
                        && how == Close::Now
                    {
                        // Fails if the peer was first.
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                }
                Action::State(transition) => eprintln!("{transition}"),
                Action::Refused(refusal) => eprintln!("refused {refusal}"),
                Action::Reply(reply) => answer = Some(reply),
                Action::Terminated => self.has_ended = true,
            }
        }
        answer
    }

    fn open(&mut self, conn: ConnId, stream: TcpStream) {
        // Fails only if the connection is already broken, which the reader will find.
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(stream);
        let (writer, transmits) = sync_channel(1);
        let (reading, read_all) = sync_channel(0);
        let (input, output) = (Arc::clone(&stream), Arc::clone(&stream));
        let (mailbox, alive) = (self.mailbox.clone(), self.alive.clone());
        thread::spawn(move || read(conn, &input, &mailbox, reading));
        let mailbox = self.mailbox.clone();
        thread::spawn(move || write(conn, &output, &transmits, &mailbox, &read_all, alive));
        self.links.insert(conn, Link::Open { stream, writer, broken: None });
    }
}
