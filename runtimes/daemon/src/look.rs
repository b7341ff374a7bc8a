//! Reads a node in pieces, between which the node does its work: a server may have 65,536 peers and millions of VNIs.

use std::time::{Duration, Instant};

use metalbond_tokio::{Announcer, Node, PeerSnapshot, peer_snapshots};

/// Maximum number of peers or tables in one piece.
pub(crate) const PIECE: usize = 256;

/// A piece ends early after this time, because the lag of peers with hundreds of VNIs takes long to read.
const TIME: Duration = Duration::from_millis(1);

/// Decides when a piece ends.
pub(crate) struct Piece {
    left: usize,
    end: Instant,
}

impl Piece {
    pub(crate) fn begin() -> Self {
        Self { left: PIECE, end: Instant::now() + TIME }
    }

    /// Notes that some items were read. Returns true if the piece ends here.
    pub(crate) fn is_over(&mut self, items: usize) -> bool {
        self.left = self.left.saturating_sub(items);
        self.left == 0 || Instant::now() >= self.end
    }
}

/// Reads the next peers after the peer `last`: the configured servers first, then the clients, in the order of their
/// ids. Returns the results of `show` and the last peer that was read, `None` if there are no more.
pub(crate) fn peers<T>(
    node: &Node,
    last: Option<Announcer>,
    show: impl Fn(&PeerSnapshot) -> T,
) -> (Vec<T>, Option<Announcer>) {
    let (mut some, mut end, mut piece) = (Vec::new(), None, Piece::begin());
    for peer in peer_snapshots(node, last) {
        end = Some(peer.announcer());
        some.push(show(&peer));
        if piece.is_over(1) {
            break;
        }
    }
    (some, end)
}
