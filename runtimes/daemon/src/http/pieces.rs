//! A table in pieces: each is looked at in one go, and between two of them the node does what it has to.

use metalbond::{Announcer, Bookmark, Moved, NextHop, Prefix, Vni};
use smallvec::SmallVec;

use super::App;
use super::filter::Filter;
use super::refusal::Result;

/// Destinations that are looked at in one go: some 0.1 ms.
const PIECE: usize = 1024;

/// A destination, copied as it was.
pub(super) struct Found {
    pub(super) prefix: Prefix,
    pub(super) next_hops: SmallVec<[(NextHop, SmallVec<[Announcer; 1]>); 1]>,
}

/// What was found, and where to go on; `None`: that was the end.
pub(super) type Piece = std::result::Result<(Vec<Found>, Option<Bookmark>), Moved>;

impl App {
    /// The next at most `max` destinations that match, of those that are looked at in one go.
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
