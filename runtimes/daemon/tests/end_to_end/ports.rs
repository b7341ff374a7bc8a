//! Free ports, and fixed ones for servers that are restarted on the same one.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;

use crate::process::Server;

impl Server {
    /// Starts a server on a free port of 127.0.0.1.
    pub(crate) fn on_loopback(args: &[&str]) -> Self {
        Self::start(&["127.0.0.1:0"], args)
    }
}

/// Returns a free address of 127.0.0.1 outside the range of ephemeral ports. Otherwise a client that dials while the
/// server is down could get the server's port.
pub(crate) fn fixed(test: u16) -> SocketAddr {
    let start = 20_000 + (process::id() % 500) as u16 * 20 + test;
    (start..30_500)
        .step_by(20)
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|addr| TcpListener::bind(addr).is_ok())
        .expect("one of five hundred ports is free")
}
