//! The walk from a cursor towards the tail: what a subscriber has to be told, destination by destination.

use super::cursor::{Position, Told};
use super::table::{NIL, Table, TableId};
use super::visibility::Viewer;
use super::{Rib, intern::NextHops};
use crate::{NextHop, Prefix, Vni};
use smallvec::SmallVec;

/// In which order several changes of one destination are told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Order {
    /// Never a moment without a next hop, for those who keep several.
    AdditionsFirst,
    /// For those who delete by prefix: an addition before a removal would be lost.
    RemovalsFirst,
}

/// A change to tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    /// There, or gone.
    pub(crate) there: bool,
    pub(crate) vni: Vni,
    pub(crate) prefix: &'a Prefix,
    pub(crate) next_hop: &'a NextHop,
}

/// Takes what a walk tells.
pub(crate) trait Sink {
    /// Whether there is room for one more change.
    fn has_room(&self) -> bool;
    fn tell(&mut self, change: Change<'_>);
}

/// Where a walk ended.
#[derive(Clone, Debug)]
pub(crate) struct Walked {
    pub(crate) to: Position,
    /// Whether that is the tail.
    pub(crate) at_tail: bool,
    /// The last change that was told.
    pub(super) furthest: u64,
    /// Peers whose own routes lie on the way: to them it would have been told differently. Sorted.
    exceptions: SmallVec<[u64; 4]>,
}

impl Walked {
    /// Bytes on the heap.
    pub(crate) fn heap_len(&self) -> usize {
        if self.exceptions.spilled() { self.exceptions.len() * size_of::<u64>() } else { 0 }
    }

    /// Whether `viewer` would have been told differently than anybody.
    pub(crate) fn is_exception(&self, viewer: Viewer) -> bool {
        matches!(viewer, Viewer::Client(key) if self.exceptions.binary_search(&key).is_ok())
    }
}

struct Walk<'a, S> {
    table: &'a Table,
    next_hops: &'a NextHops,
    position: Position,
    furthest: u64,
    viewer: Viewer,
    order: Order,
    exceptions: SmallVec<[u64; 4]>,
    sink: &'a mut S,
}

impl Rib {
    /// Walks on from `position` until `sink` is full, the tail is reached, or `steps` entries are passed.
    pub(crate) fn walk(
        &self,
        table: TableId,
        position: &Position,
        viewer: Viewer,
        order: Order,
        steps: &mut usize,
        sink: &mut impl Sink,
    ) -> Walked {
        let mut walk = Walk {
            table: &self.tables[table.0],
            next_hops: &self.next_hops,
            position: position.clone(),
            furthest: 0,
            viewer,
            order,
            exceptions: SmallVec::new(),
            sink,
        };
        let at_tail = walk.run(steps);
        if !at_tail {
            walk.position.pause(walk.table.journal.tail());
        }
        let Walk { position: to, furthest, mut exceptions, .. } = walk;
        exceptions.sort_unstable();
        exceptions.dedup();
        Walked { furthest: furthest.max(to.at()), to, at_tail, exceptions }
    }
}

impl<S: Sink> Walk<'_, S> {
    /// Whether the tail was reached.
    fn run(&mut self, steps: &mut usize) -> bool {
        let table = self.table;
        for entry in table.journal.after(self.position.at()) {
            if *steps == 0 {
                return false;
            }
            *steps -= 1;
            let live = table.is_live(&entry).then_some(entry.hop);
            if let Some(hop) = live
                && !self.visit(hop, steps)
            {
                return false;
            }
            self.position.pass(entry.seq, live);
        }
        self.position.reach(table.journal.tail());
        true
    }

    /// Tells what is to tell of `first` and, with it, of the hops of its destination that changed later. False: there was
    /// no room for all of it.
    fn visit(&mut self, first: u32, steps: &mut usize) -> bool {
        if self.table.hops[first].next == NIL {
            return match self.difference(first) {
                Some(_) if !self.sink.has_room() => false,
                Some(there) => {
                    self.tell(first, there);
                    true
                }
                None => true,
            };
        }
        if self.difference(first).is_none() {
            // Told with an earlier one, most likely: the later ones have their own turn.
            return true;
        }
        let additions_first = self.order == Order::AdditionsFirst;
        for there in [additions_first, !additions_first] {
            let mut id = first;
            while id != NIL {
                if self.difference(id) == Some(there) {
                    if !self.sink.has_room() {
                        return false;
                    }
                    self.tell(id, there);
                    self.position.tell_ahead(id, there);
                }
                id = self.table.hops[id].next;
                *steps = steps.saturating_sub(1);
            }
        }
        true
    }

    /// Whether the viewer is to be told that a hop is there (or gone).
    fn difference(&mut self, id: u32) -> Option<bool> {
        let hop = &self.table.hops[id];
        for key in [hop.now.exception(), hop.prev.exception()].into_iter().flatten() {
            if self.exceptions.last() != Some(&key) {
                self.exceptions.push(key);
            }
        }
        let there = hop.now.is_visible_to(self.viewer);
        match self.position.told(id, hop, self.viewer) {
            Told::Yes => (!there).then_some(false),
            Told::No => there.then_some(true),
            Told::Unknown => Some(there),
        }
    }

    fn tell(&mut self, id: u32, there: bool) {
        let hop = &self.table.hops[id];
        self.furthest = self.furthest.max(hop.seq);
        self.sink.tell(Change {
            there,
            vni: self.table.vni,
            prefix: &self.table.dest(hop.dest).prefix,
            next_hop: self.next_hops.get(hop.next_hop),
        });
    }
}
