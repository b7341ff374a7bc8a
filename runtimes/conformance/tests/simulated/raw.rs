//! A peer that a test drives by bytes, with a simulated connection.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;

use metalbond_conformance::simulated::{Host, SimulatedStream};
use metalbond_driver::{Runtime, Stream};

/// A HELLO of a client of the reference implementation, with a keepalive interval of 60 s.
pub(crate) const HELLO: &[u8] = &[1, 0, 2, 1, 8, 60];
/// A HELLO of a server that answers KEEPALIVEs in order.
pub(crate) const SERVER_HELLO: &[u8] = &[1, 0, 7, 1, 8, 60, 16, 1, 0xa0, 6, 1];
pub(crate) const KEEPALIVE: &[u8] = &[1, 0, 0, 2];
/// A SUBSCRIBE to VNI 23.
pub(crate) const SUBSCRIBE: &[u8] = &[1, 0, 2, 3, 8, 23];

pub(crate) struct Raw(pub(crate) SimulatedStream);

impl Raw {
    /// Opens a session as a client.
    pub(crate) async fn client(host: &Host, server: SocketAddr) -> Self {
        let raw = Self(host.connect(server, None).await.expect("the server listens"));
        raw.send(HELLO).await.expect("the server reads");
        raw.send(KEEPALIVE).await.expect("the server reads");
        raw
    }

    /// Accepts a connection, and opens a session as a server.
    pub(crate) async fn server(host: &Host, listener: &<Host as Runtime>::Listener) -> Self {
        let raw = loop {
            if let Ok((stream, _)) = host.accept(listener).await {
                break Self(stream);
            }
        };
        raw.send(SERVER_HELLO).await.expect("the client reads");
        raw.send(KEEPALIVE).await.expect("the client reads");
        raw
    }

    pub(crate) async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.0.writable().await?;
            match self.0.try_write(&[IoSlice::new(bytes)], false) {
                Err(error) if is_transient(&error) => {}
                result => bytes = &bytes[result?..],
            }
        }
        Ok(())
    }

    /// Reads frames until one is of this type. Returns false at the end.
    pub(crate) async fn await_frame(&self, received: &mut Vec<u8>, kind: u8) -> io::Result<bool> {
        loop {
            while let Some(length) = frame_length(received) {
                let frame: Vec<u8> = received.drain(..length).collect();
                if frame[3] == kind {
                    return Ok(true);
                }
            }
            self.0.readable().await?;
            received.reserve(100);
            match self.0.try_read(received) {
                Err(error) if is_transient(&error) => {}
                Ok(0) => return Ok(false),
                result => _ = result?,
            }
        }
    }
}

/// Returns the length of the first frame, if it is complete.
pub(crate) fn frame_length(bytes: &[u8]) -> Option<usize> {
    let length = 4 + usize::from(u16::from_be_bytes([*bytes.get(1)?, *bytes.get(2)?]));
    (length <= bytes.len()).then_some(length)
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
