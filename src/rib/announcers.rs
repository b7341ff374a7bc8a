//! The origins that announce each route of a table. Mostly it is one, which fits into the hop itself; several are a list of their own.
//!
//! Invariant: a list has two or more announcers, in the order of the origins' numbers, so that finding one of thousands is quick.

use smallvec::SmallVec;

use super::origins::OriginId;
use crate::pool::{Compaction, Pool};

/// An announcer, and where the route stands in the origin's own list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Announced {
    pub(super) origin: u32,
    pub(super) place: u32,
}

/// A route's announcers: the only one; or in place of an origin one of the following numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Announcers(Announced);

/// There is no announcer.
const NOBODY: u32 = u32::MAX;
/// There are several announcers: `place` is their list's.
const SEVERAL: u32 = u32::MAX - 1;

impl Default for Announcers {
    fn default() -> Self {
        Self(Announced { origin: NOBODY, place: 0 })
    }
}

/// The lists of the routes that several announce.
#[derive(Default, Debug)]
pub(super) struct Lists(Pool<List>);

#[derive(Debug)]
struct List {
    /// The route's hop.
    hop: u32,
    all: SmallVec<[Announced; 2]>,
}

fn position(all: &[Announced], origin: OriginId) -> Result<usize, usize> {
    all.binary_search_by_key(&origin.0, |announced| announced.origin)
}

/// Returns the route's place in the origin's list, if the origin is among them.
pub(super) fn place(all: &[Announced], origin: OriginId) -> Option<u32> {
    position(all, origin).ok().map(|at| all[at].place)
}

/// Whether this node is among them.
pub(super) fn has_local(all: &[Announced]) -> bool {
    all.first().is_some_and(|first| first.origin == OriginId::LOCAL.0)
}

impl Lists {
    /// Returns all announcers of a route, in the order of their numbers.
    pub(super) fn of<'a>(&'a self, announcers: &'a Announcers) -> &'a [Announced] {
        match announcers.0.origin {
            NOBODY => &[],
            SEVERAL => &self.0[announcers.0.place].all,
            _ => core::slice::from_ref(&announcers.0),
        }
    }

    /// Notes that the origin announces the route, which is `hop`'s, or has it in another place of its list.
    pub(super) fn set(&mut self, announcers: &mut Announcers, hop: u32, origin: OriginId, place: u32) {
        let announced = Announced { origin: origin.0, place };
        match announcers.0.origin {
            NOBODY => announcers.0 = announced,
            SEVERAL => {
                let all = &mut self.0[announcers.0.place].all;
                match position(all, origin) {
                    Ok(at) => all[at] = announced,
                    Err(at) => all.insert(at, announced),
                }
            }
            only if only == origin.0 => announcers.0 = announced,
            only => {
                let (mut all, other) = (SmallVec::new(), announcers.0);
                all.extend(if only < origin.0 { [other, announced] } else { [announced, other] });
                announcers.0 = Announced { origin: SEVERAL, place: self.0.insert(List { hop, all }) };
            }
        }
    }

    pub(super) fn remove(&mut self, announcers: &mut Announcers, origin: OriginId) {
        match announcers.0.origin {
            SEVERAL => {
                let place = announcers.0.place;
                let all = &mut self.0[place].all;
                if let Ok(at) = position(all, origin) {
                    all.remove(at);
                }
                if let [only] = all[..] {
                    *all = SmallVec::new();
                    announcers.0 = only;
                    self.0.release(place);
                } else if all.spilled() && all.len() < all.capacity() / 4 {
                    all.shrink_to_fit();
                }
            }
            only if only == origin.0 => *announcers = Announcers::default(),
            _ => {}
        }
    }

    /// Gives the hop of these announcers its new number.
    pub(super) fn rename_hop(&mut self, announcers: Announcers, to: u32) {
        if announcers.0.origin == SEVERAL {
            self.0[announcers.0.place].hop = to;
        }
    }

    /// Whether the lists take several times the memory that they need.
    pub(super) fn is_sparse(&self) -> bool {
        self.0.is_sparse()
    }

    /// Does a step of compaction. If a list was moved, passes its hop and the hop's new announcers to `renamed`.
    pub(super) fn compact(&mut self, renamed: impl FnOnce(u32, Announcers)) -> Compaction {
        let step = self.0.compact();
        if let Compaction::Moved { to, .. } = step {
            renamed(self.0[to].hop, Announcers(Announced { origin: SEVERAL, place: to }));
        }
        step
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> u32 {
        self.0.places()
    }
}
