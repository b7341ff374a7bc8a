//! Who announces one route: a list in the order of the origins' numbers, so that finding one of thousands is quick.

use smallvec::SmallVec;

use super::origin::OriginId;

/// An announcer, and where the route stands in its own list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Announced {
    pub(super) origin: u32,
    pub(super) place: u32,
}

#[derive(Default, Debug)]
pub(super) struct Announcers(SmallVec<[Announced; 2]>);

impl Announcers {
    fn position(&self, origin: OriginId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&origin.0, |announced| announced.origin)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Announced> + '_ {
        self.0.iter().copied()
    }

    pub(super) fn contains(&self, origin: OriginId) -> bool {
        self.position(origin).is_ok()
    }

    /// Whether this node is among them.
    pub(super) fn has_local(&self) -> bool {
        self.0.first().is_some_and(|first| first.origin == OriginId::LOCAL.0)
    }

    /// Where the route stands in the origin's list, if the origin announces it.
    pub(super) fn place(&self, origin: OriginId) -> Option<u32> {
        self.position(origin).ok().map(|at| self.0[at].place)
    }

    /// The origin announces the route now, or it has another place in its list.
    pub(super) fn set(&mut self, origin: OriginId, place: u32) {
        match self.position(origin) {
            Ok(at) => self.0[at].place = place,
            Err(at) => self.0.insert(at, Announced { origin: origin.0, place }),
        }
    }

    pub(super) fn remove(&mut self, origin: OriginId) {
        if let Ok(at) = self.position(origin) {
            self.0.remove(at);
            if self.0.spilled() && self.0.len() < self.0.capacity() / 4 {
                self.0.shrink_to_fit();
            }
        }
    }
}
