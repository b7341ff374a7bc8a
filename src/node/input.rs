//! The inputs of a node: one enum that is the driver's message, the format of a recording, and the vocabulary of the tests.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::SocketAddr;

use bytes::Bytes;

use crate::{ConnId, PeerId, PeerName, Policy, Route, TransportEnd, Vni};

/// An event for [`Node::handle_input`](crate::Node::handle_input).
///
/// Events of a connection that does not exist, or has ended, are ignored, because a driver may pass them late.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Input {
    /// The time of [`poll_timeout`](crate::Node::poll_timeout) has come. Pass received bytes before it: they may keep a session alive whose hold
    /// time ends now.
    Tick,
    /// A connection was accepted.
    Accepted {
        /// The connection: a new [`ConnId::accepted`].
        conn: ConnId,
        /// The far end's address.
        remote: SocketAddr,
    },
    /// The transport has verified the far end's certificate (TLS). Pass it before the first [`Received`](Self::Received) of the connection.
    Identified {
        /// The connection.
        conn: ConnId,
        /// All names in the certificate that are of a kind of [`PeerName`]. May be empty.
        names: Arc<[PeerName]>,
    },
    /// The dial that [`Action::Dial`](crate::Action::Dial) asked for succeeded.
    Connected {
        /// The dial's connection.
        conn: ConnId,
        /// The address that was reached.
        remote: SocketAddr,
    },
    /// The dial failed. The node returns another [`Action::Dial`](crate::Action::Dial) after the back-off.
    DialFailed {
        /// The dial's connection.
        conn: ConnId,
        /// The operating system's error message.
        why: Box<str>,
    },
    /// Bytes were received, a part of the stream of any length. The work of the call grows with their number: pass about 64 KiB at most.
    Received {
        /// The connection.
        conn: ConnId,
        /// The bytes, in the order of the stream.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde::hex"))]
        bytes: Bytes,
    },
    /// The last [`Transmit`](crate::Transmit) of this connection is written. The node may now return the next one.
    Sent {
        /// The connection.
        conn: ConnId,
    },
    /// The numbers that [`Action::MeasureWindow`](crate::Action::MeasureWindow) asked for.
    Window {
        /// The connection.
        conn: ConnId,
        /// The far end's receive window in bytes, as this end knows it: `tcpi_snd_wnd` of Linux's TCP_INFO (since 5.4).
        window: u32,
        /// How many bytes were written and are not acknowledged, whether sent or not: TIOCOUTQ.
        unacknowledged: u32,
    },
    /// The transport has ended. Not needed, and without effect, for a connection that an [`Action::Close`](crate::Action::Close) has closed.
    Closed {
        /// The connection.
        conn: ConnId,
        /// How it ended.
        end: TransportEnd,
    },
    /// A command of the application. The actions of the same call contain exactly one [`Action::Reply`](crate::Action::Reply).
    Command(Command),
}

/// A command of the application. Servers, subscriptions and announcements stay until another command removes them, whether or not there is a
/// session.
///
/// A command whose reply is [`Reply::Changed`](crate::Reply::Changed) is idempotent: repeated, it succeeds, and changes nothing. Where no
/// reply is named, it is [`Reply::Done`](crate::Reply::Done). Once a shutdown has begun, commands fail with
/// [`CommandError::Closed`](crate::CommandError::Closed).
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Command {
    /// Add a server: dial it now, and again whenever it has no connection.
    /// Reply: [`Reply::Peer`](crate::Reply::Peer). Fails with [`ApiMisuse::PeerExists`](crate::ApiMisuse::PeerExists) or
    /// [`CommandError::Limit`](crate::CommandError::Limit).
    AddPeer {
        /// `host:port`. The node does not read it, and passes it to the driver with each [`Action::Dial`](crate::Action::Dial).
        endpoint: Box<str>,
    },
    /// Remove this server, and its routes without a stale time. Reply: [`Reply::Changed`](crate::Reply::Changed).
    RemovePeer(PeerId),
    /// Close this server's connection, if any, and dial it again at once. Fails with
    /// [`ApiMisuse::NoSuchPeer`](crate::ApiMisuse::NoSuchPeer).
    ResetPeer(PeerId),
    /// Close one connection, dialled or accepted. A client's routes are retained for its restart time, as if the client had closed the
    /// connection. Without effect if the connection does not exist.
    ResetConn(ConnId),
    /// Subscribe to a VNI. Reply: [`Reply::Changed`](crate::Reply::Changed). Fails with
    /// [`CommandError::Limit`](crate::CommandError::Limit).
    Subscribe(Vni),
    /// Unsubscribe from a VNI. Its routes are reported as removed. Reply: [`Reply::Changed`](crate::Reply::Changed).
    Unsubscribe(Vni),
    /// Report all destinations of a VNI again, each with all of its next hops as added. Fails with
    /// [`ApiMisuse::NotSubscribed`](crate::ApiMisuse::NotSubscribed).
    Resync(Vni),
    /// Announce a route of this node's own. Reply: [`Reply::Changed`](crate::Reply::Changed). Fails with
    /// [`CommandError::Limit`](crate::CommandError::Limit) or [`ApiMisuse::MartianNextHop`](crate::ApiMisuse::MartianNextHop).
    Announce(Route),
    /// Withdraw a route of this node's own. Reply: [`Reply::Changed`](crate::Reply::Changed).
    Withdraw(Route),
    /// Set whether this node listens. Its HELLO to servers says so from now on (`isServer`). The first `true` begins the
    /// [`convergence_time`](crate::Config::convergence_time). Accepted sessions go on after `false`.
    SetListening(bool),
    /// Replace the [`Policy`]. `None`: peers may do everything. The new policy applies to connected peers as well, within some ticks. Routes
    /// that it denies are withdrawn. A peer that it permits nothing is disconnected. A session is closed, so that the peer opens a new one, if
    /// something was denied to the peer under another permit, or if the new policy denies a VNI that the peer is subscribed to.
    SetPolicy(Option<Policy>),
    /// Shut the node down: close all sessions, then return [`Action::Terminated`](crate::Action::Terminated). With `cleanup`, first withdraw
    /// this node's announcements, and wait until its servers have read that, at most for
    /// [`Config::shutdown_timeout`](crate::Config::shutdown_timeout). A second command without `cleanup` ends this wait.
    Shutdown {
        /// True if the node leaves for good. False for a restart: servers then retain its routes.
        cleanup: bool,
    },
}
