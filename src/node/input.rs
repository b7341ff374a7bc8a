//! The inputs of a node: one enum that is the driver's message, the format of a recording, and the vocabulary of the tests.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::SocketAddr;

use bytes::Bytes;

use crate::{ConnId, PeerId, PeerName, Policy, Route, TransportEnd, Vni};

/// An event for [`Node::handle_input`](crate::Node::handle_input).
///
/// Events of a connection that does not exist, or has ended, are ignored: a driver may be late.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Input {
    /// Time has passed: [`poll_timeout`](crate::Node::poll_timeout) is due. Feed what has been received before it.
    Tick,
    /// A connection was accepted. `conn` is a new [`ConnId::accepted`].
    Accepted {
        /// The connection.
        conn: ConnId,
        /// The far end's address.
        remote: SocketAddr,
    },
    /// The transport has verified the far end's certificate (TLS). To be fed before anything is received from the connection.
    Identified {
        /// The connection.
        conn: ConnId,
        /// All names in the certificate; perhaps none of a kind that a policy knows.
        names: Arc<[PeerName]>,
    },
    /// The dial that [`Action::Dial`](crate::Action::Dial) asked for succeeded.
    Connected {
        /// The dial's connection.
        conn: ConnId,
        /// The address that was reached.
        remote: SocketAddr,
    },
    /// The dial failed. The node asks for another one when it is time.
    DialFailed {
        /// The dial's connection.
        conn: ConnId,
        /// The operating system's error message.
        why: Box<str>,
    },
    /// Bytes were received, cut anywhere. The work of the call is bounded by their number: feed 64 KiB or so at a time.
    Received {
        /// The connection.
        conn: ConnId,
        /// The bytes, in the order of the stream.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde::hex"))]
        bytes: Bytes,
    },
    /// The [`Transmit`](crate::Transmit) that was handed out last for this connection is written. Gives the node the
    /// credit for the next.
    Sent {
        /// The connection.
        conn: ConnId,
    },
    /// The transport has ended. Need not be fed for a connection that an
    /// [`Action::Close`](crate::Action::Close) named, and has no effect then.
    Closed {
        /// The connection.
        conn: ConnId,
        /// How it ended.
        end: TransportEnd,
    },
    /// A command of the application. Answered by exactly one [`Action::Reply`](crate::Action::Reply) among the
    /// actions of the same call.
    Command(Command),
}

/// A command of the application. What it configures outlives sessions: it holds whether or not a server is there.
///
/// A command whose reply is [`Reply::Changed`](crate::Reply::Changed) is idempotent: repeated, it succeeds, and changes nothing.
/// Every command fails with [`CommandError::Closed`](crate::CommandError::Closed) once a shutdown has begun.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Command {
    /// Dial this server, and keep at it. `endpoint` is the driver's business (`host:port`), resolved at each dial.
    /// Reply: [`Reply::Peer`](crate::Reply::Peer). Fails with [`ApiMisuse::PeerExists`](crate::ApiMisuse::PeerExists) or
    /// [`CommandError::Limit`](crate::CommandError::Limit).
    AddPeer {
        /// `host:port`.
        endpoint: Box<str>,
    },
    /// Remove this server, and its routes at once. Reply: [`Reply::Changed`](crate::Reply::Changed).
    RemovePeer(PeerId),
    /// Close this server's connection, if any, and dial it again at once. Fails with
    /// [`ApiMisuse::NoSuchPeer`](crate::ApiMisuse::NoSuchPeer).
    ResetPeer(PeerId),
    /// Close one connection, dialled or accepted. A client's routes stay for its restart time, as if it had closed it. No
    /// effect if it is gone.
    ResetConn(ConnId),
    /// Subscribe to a VNI. Reply: [`Reply::Changed`](crate::Reply::Changed). Fails with
    /// [`CommandError::Limit`](crate::CommandError::Limit).
    Subscribe(Vni),
    /// Unsubscribe from a VNI. Its routes are reported as removed. Reply: [`Reply::Changed`](crate::Reply::Changed).
    Unsubscribe(Vni),
    /// Report all destinations of a VNI again, each with its whole set of next hops as added. Fails with
    /// [`ApiMisuse::NotSubscribed`](crate::ApiMisuse::NotSubscribed).
    Resync(Vni),
    /// Announce a route of this node's own. Reply: [`Reply::Changed`](crate::Reply::Changed). Fails with
    /// [`CommandError::Limit`](crate::CommandError::Limit) or [`ApiMisuse::MartianNextHop`](crate::ApiMisuse::MartianNextHop).
    Announce(Route),
    /// Withdraw a route of this node's own. Reply: [`Reply::Changed`](crate::Reply::Changed).
    Withdraw(Route),
    /// Whether this node listens, as its HELLO says from now on (`isServer`). Its
    /// [`convergence_time`](crate::Config::convergence_time) begins at the first `true`.
    SetListening(bool),
    /// Replace the [`Policy`], for peers that are connected as well. Routes that they announce and may not announce any more are withdrawn. A peer
    /// that may do nothing is closed. A session is closed, to begin anew, if something was refused to it that it may do now, or if it is
    /// subscribed to a VNI that it may not be subscribed to. That takes some ticks.
    SetPolicy(Option<Policy>),
    /// End: close all sessions, then [`Action::Terminated`](crate::Action::Terminated). With `cleanup`, withdraw this
    /// node's announcements first and wait, within [`Config::shutdown_timeout`](crate::Config::shutdown_timeout),
    /// for its servers to have read that; a second command without `cleanup` cuts that short.
    Shutdown {
        /// Leave for good, rather than for a restart.
        cleanup: bool,
    },
}
