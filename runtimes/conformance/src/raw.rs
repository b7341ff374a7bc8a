//! A peer that a test drives by bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use smol::net::TcpStream;
use socket2::SockRef;

use crate::{RawStream, within};

/// A HELLO of a client with a keepalive interval of 60 s. This and the other messages are written byte by byte, as in the protocol's
/// description.
pub const HELLO: &[u8] = &[1, 0, 2, 1, 8, 60];
/// A KEEPALIVE.
pub const KEEPALIVE: &[u8] = &[1, 0, 0, 2];
/// A SUBSCRIBE to [`VNI`](crate::VNI).
pub const SUBSCRIBE: &[u8] = &[1, 0, 2, 3, 8, 23];

/// A connection to a node that a test drives by bytes.
#[derive(Debug)]
pub struct RawPeer {
    /// The connection.
    pub stream: RawStream,
}

impl RawPeer {
    /// Connects, and sends nothing.
    ///
    /// # Errors
    /// The system's error, for example if no server listens at the address.
    pub async fn silent(server: SocketAddr) -> io::Result<Self> {
        TcpStream::connect(server).await.map(|tcp| Self { stream: RawStream::new(tcp) })
    }

    /// Adds TLS to a connection to `server`. The handshake begins at the first read or write.
    #[must_use]
    pub fn over(self, server: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        Self { stream: self.stream.over(server.ip(), config) }
    }

    /// Does the client's part of the handshake.
    pub async fn establish(&mut self) {
        self.send(HELLO).await;
        assert_eq!(self.frame().await[3], 1, "HELLO");
        self.send(KEEPALIVE).await;
        assert_eq!(self.frame().await, KEEPALIVE);
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the node reads");
    }

    /// Reads one frame.
    pub async fn frame(&mut self) -> Vec<u8> {
        within("a frame", async {
            let mut frame = vec![0; 4];
            self.stream.read_exact(&mut frame).await.expect("the node goes on");
            let len = u16::from_be_bytes([frame[1], frame[2]]);
            frame.resize(4 + usize::from(len), 0);
            self.stream.read_exact(&mut frame[4..]).await.expect("frames are whole");
            frame
        })
        .await
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        // Fails only if the connection is broken already.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Reads until the node has closed or reset the connection. Returns the number of bytes received.
    pub async fn end(&mut self) -> usize {
        within("the end of the connection", async {
            let (mut buf, mut all) = ([0; 4096], 0);
            while let Ok(n @ 1..) = self.stream.read(&mut buf).await {
                all += n;
            }
            all
        })
        .await
    }
}
