//! The layer between a connection's socket and the node.

use std::sync::Arc;

use bytes::Bytes;
use metalbond::{PeerName, Transmit, TransportEnd};

#[cfg(feature = "tls")]
use crate::tls::engine::Tls;
use crate::unwritten::Unwritten;

/// The channel of one connection: none, or TLS. It turns the socket's bytes into the node's bytes, and the other way round; the bytes of
/// each direction must pass it in order.
#[derive(Debug)]
pub(crate) struct Channel {
    #[cfg(feature = "tls")]
    tls: Option<Box<Tls>>,
}

/// The result of received bytes.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The plaintext for the node; may be empty.
    pub plain: Bytes,
    /// The reason why the connection ends after these bytes: the peer closed it, or sent something wrong. The caller should still write the
    /// bytes of [`take`](Channel::take), which send the peer the reason.
    pub end: Option<TransportEnd>,
}

/// Returns the result of `$work` with TLS, if the channel has TLS.
macro_rules! with_tls {
    ($channel:expr, $tls:ident => $work:expr) => {
        #[cfg(feature = "tls")]
        if let Some($tls) = $channel {
            return $work;
        }
    };
}

impl Channel {
    /// Makes a channel that passes all bytes unchanged.
    pub(crate) const fn plain() -> Self {
        Self {
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls(tls: Tls) -> Self {
        Self { tls: Some(Box::new(tls)) }
    }

    /// Returns true until the handshake is done. Received bytes are to be [held](Self::hold) until then.
    pub(crate) fn is_handshaking(&self) -> bool {
        with_tls!(&self.tls, tls => tls.is_handshaking());
        false
    }

    /// Keeps bytes that were received during the handshake, for [`step`](Self::step). Returns true if no bytes were kept before: then
    /// `step` has to be called.
    ///
    /// # Errors
    /// The reason to end the connection, if more bytes are kept than any handshake needs.
    pub(crate) fn hold(&mut self, bytes: &Bytes) -> Result<bool, TransportEnd> {
        with_tls!(&mut self.tls, tls => tls.hold(bytes));
        let _ = bytes;
        Ok(false)
    }

    /// Returns true if bytes are kept.
    pub(crate) fn is_holding(&self) -> bool {
        with_tls!(&self.tls, tls => tls.is_holding());
        false
    }

    /// Goes on with the handshake, with the kept bytes. Takes some tenths of a millisecond; a chain of certificates that is made to be slow
    /// takes some milliseconds.
    pub(crate) fn step(&mut self) -> Opened {
        with_tls!(&mut self.tls, tls => tls.step());
        Opened { plain: Bytes::new(), end: None }
    }

    /// Decrypts bytes that were received after the handshake.
    pub(crate) fn open(&mut self, bytes: Bytes) -> Opened {
        with_tls!(&mut self.tls, tls => tls.open(&bytes));
        Opened { plain: bytes, end: None }
    }

    /// Encrypts a transmit. Returns the bytes to write, or `None` if they have become part of what [`take`](Self::take) returns.
    pub(crate) fn seal(&mut self, transmit: Transmit) -> Option<Unwritten> {
        with_tls!(&mut self.tls, tls => {
            tls.seal(&transmit);
            None
        });
        Some(transmit.into())
    }

    /// Returns the bytes to write next: transmits, and messages of TLS itself. To be called after each other call, but only when all
    /// earlier bytes are written, so that waiting bytes are in one place.
    pub(crate) fn take(&mut self) -> Option<Unwritten> {
        with_tls!(&mut self.tls, tls => tls.take().map(Unwritten::from));
        None
    }

    /// Adds the message that closes the sending direction.
    pub(crate) fn close(&mut self) {
        with_tls!(&mut self.tls, tls => tls.close());
    }

    /// Returns the reason for the end of a connection from the end of its transport. During a TLS handshake, the reason says what the peer
    /// may be.
    pub(crate) fn end(&self, end: TransportEnd) -> TransportEnd {
        with_tls!(&self.tls, tls => tls.end(end));
        end
    }

    /// Returns the names in the peer's certificate after the handshake; `None` if it has shown none.
    pub(crate) fn names(&self) -> Option<Arc<[PeerName]>> {
        with_tls!(&self.tls, tls => tls.names());
        None
    }
}
