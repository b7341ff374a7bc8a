//! A client that sends and receives literal bytes over a plain socket. It announces no capabilities.

use std::net::SocketAddr;

use metalbond_conformance::{RawPeer, block_on};

pub(crate) const KEEPALIVE: u8 = 2;
pub(crate) const UPDATE: u8 = 5;

/// A frame: its type and its payload.
pub(crate) type Frame = (u8, Vec<u8>);

/// An open session. Its keepalive interval is so long that no keepalive has to be sent during a test.
pub(crate) struct Raw(RawPeer);

impl Raw {
    /// Opens a session.
    pub(crate) fn connect(server: SocketAddr) -> Self {
        block_on(async {
            let mut peer = RawPeer::silent(server).await.unwrap();
            peer.establish().await;
            Self(peer)
        })
    }

    /// Subscribes to a VNI below 128.
    pub(crate) fn subscribe(&mut self, vni: u8) {
        self.send(&[1, 0, 2, 3, 0x08, vni]);
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        block_on(self.0.send(bytes));
    }

    /// Returns the next frame.
    pub(crate) fn receive(&mut self) -> Frame {
        let frame = block_on(self.0.frame());
        (frame[3], frame[4..].to_vec())
    }
}
