//! The errors of listening.

use std::io;
use std::net::SocketAddr;

/// Why a node does not listen on an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The operating system reports an error: the port is in use, the address is not one of this host, and so on.
    #[error("cannot listen on {addr}: {source}")]
    System {
        /// The address.
        addr: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The socket that was given is not a TCP socket, or cannot listen.
    #[error("cannot listen on the socket that was given: {0}")]
    Socket(io::Error),
    /// The node was started without a [configuration of TLS](crate::StartOptions) for a server.
    #[error("cannot listen for TLS: the node was started without a server configuration for it")]
    NoTls,
    /// The node is shut down, or about to be.
    #[error("the node is shut down")]
    Closed,
}
