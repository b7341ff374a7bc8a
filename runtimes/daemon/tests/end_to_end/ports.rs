//! Ports for servers that are started again on the same one.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;

/// A free address of 127.0.0.1 outside of the range from which the system gives ports to outgoing connections: there,
/// a client that dials while the server is away could be given the server's port.
pub(crate) fn fixed(test: u16) -> SocketAddr {
    let start = 20_000 + (process::id() % 500) as u16 * 20 + test;
    (start..30_500)
        .step_by(20)
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|addr| TcpListener::bind(addr).is_ok())
        .expect("one of five hundred ports is free")
}
