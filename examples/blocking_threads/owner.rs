//! The owner: the thread that has the node, and the one that carries out what it says.
//!
//! ```text
//!   listener, diallers --+
//!   a reader per socket  +--> bounded mailbox --> owner: the node, and who is connected
//!   a writer per socket -+                          |
//!         ^-------------- one Transmit -------------+
//! ```
//!
//! All other threads may wait for the owner; the owner waits only for its mailbox. So there is no deadlock and no
//! mutex.

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

/// Size of the mailbox, and maximum number of events in one iteration.
const TURN: usize = 256;

/// Starts a node on its own thread. `on_change` is called on that thread and must not block.
pub(crate) fn start(
    on_change: impl FnMut(RouteChange) + Send + 'static,
) -> Result<(Handle, JoinHandle<()>), ConfigError> {
    // A random seed, so that peers can't predict how the node's hash maps are filled. The standard library provides
    // one.
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

/// A handle of a node, for use in other threads than its owner's.
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

/// An event in the mailbox.
pub(crate) enum Event {
    Accepted(TcpStream, SocketAddr),
    Dialled(ConnId, io::Result<(TcpStream, SocketAddr)>),
    /// From a reader or a writer. If the connection has been closed meanwhile, the node ignores it.
    Input(Input),
    /// A writer has failed. The connection ends after its reader has read everything that the peer sent.
    Broken(ConnId, TransportEnd),
    Command(Command, SyncSender<Result<Reply, CommandError>>),
}

/// The state of a connection that the node knows.
enum Link {
    Dialling,
    Open { stream: Arc<TcpStream>, writer: SyncSender<Transmit>, broken: Option<TransportEnd> },
}

/// The owner of the node and of all connections.
struct Owner {
    node: Node,
    start: time::Instant,
    mailbox: SyncSender<Event>,
    /// Writers have clones of it, and nothing is ever sent. The receiver fails once all clones are dropped, when all
    /// writers have ended.
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
            // After the received bytes: a peer whose bytes are waiting here must not time out.
            if self.node.poll_timeout().is_some_and(|at| at <= self.now()) {
                self.feed(Input::Tick);
            }
            while let Some(transmit) = self.node.poll_transmit() {
                if let Some(Link::Open { writer, .. }) = self.links.get(&transmit.conn) {
                    // Never blocks: the channel has room for one transmit, and the node returns the next one only after
                    // the first is written. If the writer has ended, so has the connection, and the reader reports it.
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
                // The node may have given up the dial meanwhile.
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
                // Fails if the caller has stopped waiting.
                let _ = answer.send(reply);
            }
        }
    }

    /// Passes an input to the node and performs the resulting actions. Returns the reply if the input was a command.
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
                    // With its link removed, the writer ends in an orderly way after its last transmit.
                    if let Some(Link::Open { stream, .. }) = self.links.remove(&conn)
                        && how == Close::Now
                    {
                        // Fails if the peer has closed it before.
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                }
                Action::State(transition) => eprintln!("{transition}"),
                Action::Denied(refusal) => eprintln!("refused {refusal}"),
                Action::Reply(reply) => answer = Some(reply),
                // Without measurements, the node sends to clients of the reference slowly.
                Action::MeasureWindow { .. } => {}
                Action::Terminated => self.has_ended = true,
            }
        }
        answer
    }

    fn open(&mut self, conn: ConnId, stream: TcpStream) {
        // Fails only if the connection is already broken, which the reader will notice.
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
