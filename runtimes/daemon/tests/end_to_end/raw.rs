//! A client that sends and receives literal bytes over a plain socket. It announces no capabilities.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::process::DEADLINE;

const HELLO: u8 = 1;
pub(crate) const KEEPALIVE: u8 = 2;
pub(crate) const UPDATE: u8 = 5;

/// A frame: its type and its payload.
pub(crate) type Frame = (u8, Vec<u8>);

/// An open session.
pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Opens a session with a keepalive interval of 100 s, so that no keepalive has to be sent during a test.
    pub(crate) fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut raw = Self { stream };
        raw.send(&[1, 0, 2, HELLO, 0x08, 100]);
        assert_eq!(raw.receive().0, HELLO);
        raw.send(&[1, 0, 0, KEEPALIVE]);
        assert_eq!(raw.receive(), (KEEPALIVE, vec![]));
        raw
    }

    /// Subscribes to a VNI below 128.
    pub(crate) fn subscribe(&mut self, vni: u8) {
        self.send(&[1, 0, 2, 3, 0x08, vni]);
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Returns the next frame.
    pub(crate) fn receive(&mut self) -> Frame {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).unwrap();
        let [version, high, low, kind] = head;
        assert_eq!(version, 1);
        let mut payload = vec![0; u16::from_be_bytes([high, low]).into()];
        self.stream.read_exact(&mut payload).unwrap();
        (kind, payload)
    }
}
