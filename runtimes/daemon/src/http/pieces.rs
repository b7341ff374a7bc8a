//! Reads a table in pieces. Each piece is one query; between two pieces the node does its work.

use metalbond::{Announcer, Bookmark, Moved, NextHop, Prefix, Vni};
use smallvec::SmallVec;

use super::App;
use super::filter::Filter;
use super::refusal::Result;

/// Maximum number of destinations in one piece, which takes about 0.1 ms.
const PIECE: usize = 1024;

/// A copy of a destination.
pub(super) struct Found {
    pub(super) prefix: Prefix,
    pub(super) next_hops: SmallVec<[(NextHop, SmallVec<[Announcer; 1]>); 1]>,
}

/// The destinations of a piece and the position of the next piece, `None` at the end of the table.
pub(super) type Piece = std::result::Result<(Vec<Found>, Option<Bookmark>), Moved>;

impl App {
    /// Reads one piece. Returns at most `max` destinations that match the filter.
    pub(super) async fn piece(&self, vni: Vni, from: Bookmark, filter: Filter, max: usize) -> Result<Piece> {
        self.look(move |node| {
            let (mut found, mut looked, mut at) = (Vec::new(), 0, from);
            for (behind, entry) in node.walk(vni, from)? {
                if found.len() == max || looked == PIECE {
                    return Ok((found, Some(at)));
                }
                (looked, at) = (looked + 1, behind);
                if filter.matches(&entry) {
                    let next_hops = entry.next_hops().map(|(hop, announcers)| (*hop, announcers.collect())).collect();
                    found.push(Found { prefix: *entry.prefix(), next_hops });
                }
            }
            Ok((found, None))
        })
        .await
    }
}
