//! What is between a connection's socket and the node.

use std::sync::Arc;

use bytes::Bytes;
use metalbond::{PeerName, Transmit, TransportEnd};

#[cfg(feature = "tls")]
use crate::tls::engine::Tls;
use crate::unwritten::Unwritten;

/// The channel of one connection: nothing, or TLS. It turns what the socket has into what the node takes, and the other way
/// round; both must go through it in order.
#[derive(Debug)]
pub(crate) struct Channel {
    #[cfg(feature = "tls")]
    tls: Option<Box<Tls>>,
}

/// What came of bytes that were received.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What the node is to be told; may be empty.
    pub plain: Bytes,
    /// The connection is over behind it: the peer said so, or what it sent is wrong. What there is to
    /// [`take`](Channel::take) tells it why, and should still be written.
    pub end: Option<TransportEnd>,
}

/// Does it with TLS, if there is some.
macro_rules! with_tls {
    ($channel:expr, $tls:ident => $work:expr) => {
        #[cfg(feature = "tls")]
        if let Some($tls) = $channel {
            return $work;
        }
    };
}

impl Channel {
    /// Lets everything pass as it is.
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

    /// Whether there is still something to agree on: until then, what comes is to be [held](Self::hold).
    pub(crate) fn is_handshaking(&self) -> bool {
        with_tls!(&self.tls, tls => tls.is_handshaking());
        false
    }

    /// Keeps what came during the handshake, for [`step`](Self::step). True if nothing was kept before: it has to be called.
    ///
    /// # Errors
    /// How the connection ends: that is more than any peer has to send.
    pub(crate) fn hold(&mut self, bytes: &Bytes) -> Result<bool, TransportEnd> {
        with_tls!(&mut self.tls, tls => tls.hold(bytes));
        let _ = bytes;
        Ok(false)
    }

    /// Whether something is kept.
    pub(crate) fn is_holding(&self) -> bool {
        with_tls!(&self.tls, tls => tls.is_holding());
        false
    }

    /// Goes on with the handshake, with what is kept. Some tenths of a millisecond; a chain of certificates that is made to be slow takes some
    /// milliseconds.
    pub(crate) fn step(&mut self) -> Opened {
        with_tls!(&mut self.tls, tls => tls.step());
        Opened { plain: Bytes::new(), end: None }
    }

    /// What was received, behind the handshake.
    pub(crate) fn open(&mut self, bytes: Bytes) -> Opened {
        with_tls!(&mut self.tls, tls => tls.open(&bytes));
        Opened { plain: bytes, end: None }
    }

    /// What is to be written for a transmit; `None` if it has become part of what there is to [`take`](Self::take).
    pub(crate) fn seal(&mut self, transmit: Transmit) -> Option<Unwritten> {
        with_tls!(&mut self.tls, tls => {
            tls.seal(&transmit);
            None
        });
        Some(transmit.into())
    }

    /// What is to be written next: transmits, and what TLS has to say itself. To be asked after each other call. Only when all
    /// before it is written, so that what waits stays in one place.
    pub(crate) fn take(&mut self) -> Option<Unwritten> {
        with_tls!(&mut self.tls, tls => tls.take().map(Unwritten::from));
        None
    }

    /// Says that no more will come.
    pub(crate) fn close(&mut self) {
        with_tls!(&mut self.tls, tls => tls.close());
    }

    /// How a connection ended whose transport ended so: during the handshake, that says something of the far end.
    pub(crate) fn end(&self, end: TransportEnd) -> TransportEnd {
        with_tls!(&self.tls, tls => tls.end(end));
        end
    }

    /// The names in the certificate that the far end has shown, when the handshake is done; `None` if it has shown none.
    pub(crate) fn names(&self) -> Option<Arc<[PeerName]>> {
        with_tls!(&self.tls, tls => tls.names());
        None
    }
}
