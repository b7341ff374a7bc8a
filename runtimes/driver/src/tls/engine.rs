//! TLS of one connection: ciphertext in, plaintext out, and the other way round. It does no I/O and knows no time. Its memory is bounded,
//! whatever the peer sends.

use std::io::{BufRead, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use metalbond::{PeerName, Transmit, TransmitMode, TransportEnd};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection, Side};

use super::Opened;
use super::names::names;
use super::words::{far, words};

/// The most received bytes that wait for the handshake. A handshake needs a few KiB.
const HELD_MAX: usize = 64 * 1024;

/// The TLS state of a connection. It ends at the first error: bytes after that are not decrypted.
#[derive(Debug)]
pub(super) struct Tls {
    connection: Connection,
    side: Side,
    /// The received bytes that wait for the handshake.
    held: BytesMut,
    /// The first received byte. It shows whether the peer speaks TLS at all.
    first: Option<u8>,
}

impl Tls {
    pub(super) fn server(config: Arc<ServerConfig>) -> Result<Self, Box<str>> {
        ServerConnection::new(config).map(|server| Self::new(server.into(), Side::Server)).map_err(|e| wrong(&e))
    }

    pub(super) fn client(config: Arc<ClientConfig>, server: ServerName<'static>) -> Result<Self, Box<str>> {
        ClientConnection::new(config, server)
            .map(|client| Self::new(client.into(), Side::Client))
            .map_err(|e| wrong(&e))
    }

    fn new(mut connection: Connection, side: Side) -> Self {
        // Bytes to send are bounded without a limit here: one transmit at a time, and a few messages of TLS itself.
        connection.set_buffer_limit(None);
        Self { connection, side, held: BytesMut::new(), first: None }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    pub(super) fn hold(&mut self, bytes: &[u8]) -> Result<bool, TransportEnd> {
        if self.held.len() + bytes.len() > HELD_MAX {
            let words = format!("TLS: the {} sends too much before the handshake is done", far(self.side));
            return Err(TransportEnd::Error(words.into()));
        }
        let was_empty = self.held.is_empty();
        self.held.extend_from_slice(bytes);
        Ok(was_empty && !bytes.is_empty())
    }

    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    pub(super) fn step(&mut self) -> Opened {
        let held = std::mem::take(&mut self.held);
        self.open(&held)
    }

    pub(super) fn open(&mut self, mut bytes: &[u8]) -> Opened {
        self.first = self.first.or(bytes.first().copied());
        let mut plain = BytesMut::new();
        let end = loop {
            // `read_tls` takes a few KiB at a time, and nothing after the end that the peer has announced.
            let taken = self.connection.read_tls(&mut bytes);
            let state = self.connection.process_new_packets();
            self.read_plain(&mut plain, bytes.len());
            match (taken, state) {
                (_, Err(error)) => break Some(TransportEnd::Error(words(&error, self.side, self.first))),
                (_, Ok(state)) if state.peer_has_closed() => break Some(TransportEnd::Eof),
                (Ok(0), _) if !bytes.is_empty() => break Some(TransportEnd::Error("TLS: a record is too long".into())),
                (Err(error), _) => break Some(TransportEnd::Error(format!("TLS: {error}").into())),
                _ if bytes.is_empty() => break None,
                _ => {}
            }
        };
        Opened { plain: plain.freeze(), end }
    }

    /// Appends the decrypted bytes to `plain`. An error of `fill_buf` means that there are no more for now.
    fn read_plain(&mut self, plain: &mut BytesMut, more: usize) {
        let mut reader = self.connection.reader();
        while let Ok(chunk) = reader.fill_buf() {
            let len = chunk.len();
            if len == 0 {
                return;
            }
            // A record is larger than its content, so one allocation is usually enough.
            if plain.is_empty() {
                plain.reserve(len + more);
            }
            plain.extend_from_slice(chunk);
            reader.consume(len);
        }
    }

    /// Encrypts a transmit. In segments, each chunk is a record of its own, because the program after the peer's TLS may expect whole
    /// frames.
    pub(super) fn seal(&mut self, transmit: &Transmit) {
        let mut writer = self.connection.writer();
        match transmit.mode {
            TransmitMode::Stream => {
                let slices: Vec<_> = transmit.chunks.iter().map(|chunk| std::io::IoSlice::new(chunk)).collect();
                // Cannot fail: the buffer is in memory and has no limit.
                let _ = writer.write_vectored(&slices);
            }
            TransmitMode::Segments => {
                for chunk in &transmit.chunks {
                    let _ = writer.write(chunk);
                }
            }
        }
    }

    pub(super) fn take(&mut self) -> Option<Bytes> {
        let mut bytes = Vec::new();
        while self.connection.wants_write() {
            // Cannot fail: `bytes` is in memory.
            let _ = self.connection.write_tls(&mut bytes);
        }
        (!bytes.is_empty()).then(|| bytes.into())
    }

    pub(super) fn close(&mut self) {
        self.connection.send_close_notify();
    }

    pub(super) fn end(&self, end: TransportEnd) -> TransportEnd {
        let is_cut = matches!(end, TransportEnd::Eof | TransportEnd::Reset);
        match self.side {
            _ if !is_cut || !self.is_handshaking() => end,
            Side::Client => TransportEnd::Error(
                "TLS: the server ended the connection during the handshake: it may speak plain MetalBond".into(),
            ),
            // A client that sent nothing only checked whether the port is open.
            Side::Server if self.first.is_none() => end,
            Side::Server => TransportEnd::Error("TLS: the client ended the connection during the handshake".into()),
        }
    }

    pub(super) fn names(&self) -> Option<Arc<[PeerName]>> {
        self.connection.peer_certificates()?.first().map(names)
    }
}

/// Returns the log text for a configuration that rustls refuses.
fn wrong(error: &Error) -> Box<str> {
    format!("TLS: {error}").into()
}
