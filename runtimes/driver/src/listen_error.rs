//! Why a node cannot listen.

use std::io;
use std::net::SocketAddr;

/// Why a node does not listen on an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The system refuses it: the port is taken, the address is not of this host, and so on.
    #[error("cannot listen on {addr}: {source}")]
    System {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A socket that was handed over can't be listened on.
    #[error("cannot listen on the socket that was given: {0}")]
    Socket(io::Error),
    /// There is no certificate to show: the node was started without a server configuration.
    #[error("cannot listen for TLS: the node was started without a server configuration for it")]
    NoTls,
    /// The node is shut down, or about to be.
    #[error("the node is shut down")]
    Closed,
}
