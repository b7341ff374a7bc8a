//! What the actor's mailbox holds: one enum, whatever the runtime. Answers are closures, so that this crate needs no
//! channel of its own.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use bytes::Bytes;
use metalbond::{ApiMisuse, Command, ConnId, Histogram, Node, Reply, TransportEnd};

use crate::{ListenError, TlsConfig, Transport};

/// Gives an answer to whoever asked. Runs on the actor and never waits.
pub type Answer<T> = Box<dyn FnOnce(T) + Send>;

/// A message to the actor. `S` is the runtime's TCP stream.
///
/// What is said of a connection that the actor has closed meanwhile is ignored.
pub enum Message<S> {
    /// A listener has a new connection.
    Accepted {
        /// It.
        stream: S,
        /// Where it comes from.
        remote: SocketAddr,
        /// What is spoken on that listener.
        transport: Transport,
    },
    /// A dialler is done.
    Dialled {
        /// The name that the node gave to the connection.
        conn: ConnId,
        /// The connection and the address that was reached, or why none was, in the words of the system.
        result: Result<(S, SocketAddr), Box<str>>,
    },
    /// A reader has bytes.
    Received {
        /// Where they came.
        conn: ConnId,
        /// They.
        bytes: Bytes,
    },
    /// A reader is at the end.
    Ended {
        /// Of this connection.
        conn: ConnId,
        /// How.
        end: TransportEnd,
    },
    /// A writer has written what the socket did not take at once.
    Written {
        /// Where to.
        conn: ConnId,
        /// Or why not.
        result: io::Result<()>,
    },
    /// A connection that was closed with care is gone.
    Drained {
        /// Which.
        conn: ConnId,
    },
    /// A handle wants a listener.
    Listen {
        /// On this address.
        addr: SocketAddr,
        /// What is spoken there.
        transport: Transport,
        /// The address with the port that it got.
        answer: Answer<Result<SocketAddr, ListenError>>,
    },
    /// A handle has a socket to listen on.
    ListenOn {
        /// It.
        listener: TcpListener,
        /// What is spoken there.
        transport: Transport,
        /// Its address.
        answer: Answer<Result<SocketAddr, ListenError>>,
    },
    /// A handle replaces the configuration of TLS.
    SetTls {
        /// So.
        config: TlsConfig,
        /// It is so; or the node speaks otherwise since its start.
        answer: Answer<Result<(), ApiMisuse>>,
    },
    /// A handle wants something of the node.
    Command {
        /// It.
        command: Command,
        /// `None` for a notice.
        answer: Option<Answer<Result<Reply, ApiMisuse>>>,
    },
    /// A handle wants several things at once, at most [`BATCH`](crate::BATCH).
    Batch {
        /// They.
        commands: Vec<Command>,
        /// How many of them changed something; or what kept the node from going on with the rest.
        answer: Answer<Result<usize, ApiMisuse>>,
    },
    /// A handle wants to look at the node.
    Inspect(Box<dyn FnOnce(&Node) + Send>),
    /// A handle wants to know how long turns took.
    TurnTimes(Answer<Histogram>),
    /// The end: asked for by a handle, or because the last handle is gone.
    Shutdown {
        /// Leave for good, rather than for a restart.
        cleanup: bool,
        /// All is closed.
        answer: Option<Answer<()>>,
    },
}

impl<S> Message<S> {
    /// How many bytes of a turn's budget it takes.
    pub fn weight(&self) -> usize {
        match self {
            Self::Received { bytes, .. } => bytes.len(),
            // A command costs about as much as the frame of 40 bytes or so that carries it between nodes.
            Self::Batch { commands, .. } => commands.len() * 40,
            _ => 0,
        }
    }
}

impl<S> fmt::Debug for Message<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { remote, .. } => write!(f, "Accepted({remote})"),
            Self::Dialled { conn, result } => write!(f, "Dialled({conn}, {})", result.is_ok()),
            Self::Received { conn, bytes } => write!(f, "Received({conn}, {})", bytes.len()),
            Self::Ended { conn, end } => write!(f, "Ended({conn}, {end})"),
            Self::Written { conn, result } => write!(f, "Written({conn}, {result:?})"),
            Self::Drained { conn } => write!(f, "Drained({conn})"),
            Self::Listen { addr, transport, .. } => write!(f, "Listen({addr}, {transport:?})"),
            Self::ListenOn { listener, .. } => write!(f, "ListenOn({:?})", listener.local_addr()),
            Self::SetTls { .. } => f.write_str("SetTls"),
            Self::Command { command, .. } => write!(f, "Command({command:?})"),
            Self::Batch { commands, .. } => write!(f, "Batch({})", commands.len()),
            Self::Inspect(_) => f.write_str("Inspect"),
            Self::TurnTimes(_) => f.write_str("TurnTimes"),
            Self::Shutdown { cleanup, .. } => write!(f, "Shutdown({cleanup})"),
        }
    }
}
