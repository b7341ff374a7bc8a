//! Behaviours with real sockets: towards peers that a test drives by bytes, through lines that are stalled or cut, and on sockets of other
//! programs. Also those of recordings, which a thread writes.

mod hostile;
mod lifecycle;
mod limits;
mod listen;
mod policy;
mod reconnect;
mod record;
mod shutdown;
mod slow;
mod stale_time;
#[cfg(target_os = "linux")]
mod window;

use std::net::{SocketAddr, TcpListener};

use metalbond_conformance::RawPeer;

use crate::TLS;
use crate::behaviours::support::tls;
use crate::driver::{ListenError, MetalBond};

pub(crate) async fn listen_on(node: &MetalBond, listener: TcpListener) -> Result<SocketAddr, ListenError> {
    if TLS { node.listen_tls_on(listener).await } else { node.listen_on(listener).await }
}

/// Connects, and sends nothing.
pub(crate) async fn silent(server: SocketAddr) -> std::io::Result<RawPeer> {
    let peer = RawPeer::silent(server).await?;
    Ok(if TLS { peer.over(server, &tls().client.expect("it dials")) } else { peer })
}

/// Connects as a client, and does its part of the handshake.
pub(crate) async fn established(server: SocketAddr) -> RawPeer {
    let mut peer = silent(server).await.expect("the server listens");
    peer.establish().await;
    peer
}
