//! The walk from a cursor towards the tail: what a subscriber has to be told, destination by destination.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::cursor::{Position, Told};
use super::table::{Hop, NIL, Table, TableId};
use super::visibility::Viewer;
use super::{Rib, intern::NextHops};
use crate::{NextHop, Prefix, Vni};

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
    /// How much it has been told, in a measure of its own.
    fn len(&self) -> usize;
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
    /// If it was told to anybody: for whom it is something else.
    apart: Option<Arc<Apart>>,
}

/// Peers whose own routes lie on the way, by their keys.
#[derive(Debug)]
struct Apart {
    /// Who would have been told something else. Sorted.
    exceptions: Vec<u64>,
    /// What is not for whom. Sorted.
    cuts: Vec<Cut>,
}

/// What is not for one peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Cut {
    key: u64,
    /// From here to there, in the sink's measure.
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// So many changes.
    pub(crate) changes: u32,
}

impl Walked {
    /// Bytes on the heap.
    pub(crate) fn heap_len(&self) -> usize {
        let apart = self.apart.as_deref();
        apart.map_or(0, |apart| apart.exceptions.capacity() * 8 + apart.cuts.capacity() * size_of::<Cut>())
    }

    /// Whether `viewer` would have been told differently than anybody, beyond the cuts.
    pub(crate) fn is_exception(&self, viewer: Viewer) -> bool {
        let (Viewer::Client(key), Some(apart)) = (viewer, &self.apart) else { return false };
        apart.exceptions.binary_search(&key).is_ok()
    }

    /// What of that which anybody is told is not for `viewer`, in order.
    pub(crate) fn cuts(&self, viewer: Viewer) -> &[Cut] {
        let (Viewer::Client(key), Some(apart)) = (viewer, &self.apart) else { return &[] };
        let cuts = &apart.cuts[apart.cuts.partition_point(|cut| cut.key < key)..];
        &cuts[..cuts.partition_point(|cut| cut.key == key)]
    }
}

struct Walk<'a, S> {
    table: &'a Table,
    next_hops: &'a NextHops,
    position: Position,
    furthest: u64,
    viewer: Viewer,
    order: Order,
    exceptions: Vec<u64>,
    cuts: Vec<Cut>,
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
            exceptions: Vec::new(),
            cuts: Vec::new(),
            sink,
        };
        let at_tail = walk.run(steps);
        if !at_tail {
            walk.position.pause(walk.table.journal.tail());
        }
        let Walk { position: to, furthest, mut exceptions, mut cuts, .. } = walk;
        exceptions.sort_unstable();
        exceptions.dedup();
        cuts.sort_unstable();
        let is_one_for_all = exceptions.is_empty() && cuts.is_empty();
        let apart = if is_one_for_all { None } else { Some(Arc::new(Apart { exceptions, cuts })) };
        Walked { furthest: furthest.max(to.at()), to, at_tail, apart }
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
            let table = self.table;
            let hop = &table.hops[first];
            let told = self.position.told(first, hop);
            let difference = difference(hop, told, self.viewer);
            if difference.is_some() && !self.sink.has_room() {
                return false;
            }
            let from = self.sink.len();
            if let Some(there) = difference {
                self.tell(first, there);
            }
            if self.viewer == Viewer::ANYBODY {
                self.tell_apart(hop, told, from);
            }
            return true;
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

    /// Anybody, who had been `told` before, was told of a hop that is its destination's only one, or the last. Notes for whom it
    /// is something else.
    fn tell_apart(&mut self, hop: &Hop, told: Told, from: usize) {
        let (now, prev) = (hop.now.exception(), hop.prev.exception());
        let anybody = difference(hop, told, Viewer::ANYBODY);
        for key in now.into_iter().chain(prev.filter(|_| prev != now)) {
            match difference(hop, told, Viewer::Client(key)) {
                same if same == anybody => {}
                None => {
                    let to = self.sink.len();
                    match self.cuts.last_mut() {
                        Some(last) if last.key == key && last.to == from => {
                            (last.to, last.changes) = (to, last.changes + 1);
                        }
                        _ => self.cuts.push(Cut { key, from, to, changes: 1 }),
                    }
                }
                Some(_) => self.exceptions.push(key),
            }
        }
    }

    /// Whether the viewer is to be told that a hop is there (or gone), where what it is told of others depends on it.
    fn difference(&mut self, id: u32) -> Option<bool> {
        let hop = &self.table.hops[id];
        if self.viewer == Viewer::ANYBODY {
            for key in [hop.now.exception(), hop.prev.exception()].into_iter().flatten() {
                if self.exceptions.last() != Some(&key) {
                    self.exceptions.push(key);
                }
            }
        }
        difference(hop, self.position.told(id, hop), self.viewer)
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

/// Whether somebody who has been `told` of a hop is to be told that it is there (or gone).
fn difference(hop: &Hop, told: Told, viewer: Viewer) -> Option<bool> {
    let there = hop.now.is_visible_to(viewer);
    let known = match told {
        Told::Yes => true,
        Told::No => false,
        Told::AsBefore => hop.prev.is_visible_to(viewer),
        Told::Unknown => return Some(there),
    };
    (known != there).then_some(there)
}
