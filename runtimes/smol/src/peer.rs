//! A peer as the embedder holds it: what was known of it when the owner was asked, and a way to reset it.

use std::ops::Deref;

use metalbond_driver::PeerSnapshot;

use crate::MetalBond;

/// A peer: its address, direction, state and figures as they were ([`PeerSnapshot`], to which it derefs).
#[derive(Clone, Debug)]
pub struct Peer {
    snapshot: PeerSnapshot,
    handle: MetalBond,
}

impl Peer {
    pub(crate) const fn new(snapshot: PeerSnapshot, handle: MetalBond) -> Self {
        Self { snapshot, handle }
    }

    /// Ends its session: a configured server is dialled again at once, a client may come back. A notice: nobody waits
    /// for the effect, and it has none if the session is gone. Dropped before it is done, it has not been sent.
    pub async fn reset(&self) {
        self.handle.notify(self.snapshot.reset()).await;
    }
}

impl Deref for Peer {
    type Target = PeerSnapshot;

    fn deref(&self) -> &PeerSnapshot {
        &self.snapshot
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Peer {
    /// As [`PeerSnapshot`].
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.snapshot.serialize(serializer)
    }
}
