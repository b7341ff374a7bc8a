//! The walk from a cursor towards the journal's end: what a subscriber is to be sent, destination by destination.
//!
//! Invariant: after a walk, what the subscriber was sent is what [`Position`] says; two viewers with equal positions are sent the same,
//! except for the cuts and exceptions of [`Walked`].

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Rib;
use super::cursor::{Position, Sent};
use super::next_hops::NextHops;
use super::table::{Hop, Table, TableId};
use super::visibility::Viewer;
use crate::{NextHop, Prefix, Vni};

/// The order in which several changes of one destination are sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Order {
    /// For peers that keep several next hops: the destination is never without one.
    AdditionsFirst,
    /// For peers that delete by prefix: an addition before a removal would be lost.
    RemovalsFirst,
}

/// A change to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    /// Whether the route is added; otherwise it is removed.
    pub(crate) there: bool,
    pub(crate) vni: Vni,
    pub(crate) prefix: &'a Prefix,
    pub(crate) next_hop: &'a NextHop,
}

/// Takes the changes that a walk finds.
pub(crate) trait Sink {
    /// Whether there is room for one more change.
    fn has_room(&self) -> bool;
    /// Returns the size of what it took, in a measure of its own.
    fn len(&self) -> usize;
    /// Takes a change.
    fn send(&mut self, change: Change<'_>);
}

/// Where a walk ended.
#[derive(Clone, Debug)]
pub(crate) struct Walked {
    pub(crate) to: Position,
    /// Whether that is the journal's end.
    pub(crate) at_tail: bool,
    /// The last change that was sent.
    furthest: u64,
    /// For a walk of [`Viewer::ANYBODY`]: what is different for peers with own routes on the way.
    apart: Option<Arc<Apart>>,
}

/// Peers whose own routes lie on the way, by their keys.
#[derive(Debug)]
struct Apart {
    /// Peers for which cuts are not enough. Sorted.
    exceptions: Vec<u64>,
    /// Sorted.
    cuts: Vec<Cut>,
}

/// A part of what a walk sent that is not for one peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Cut {
    key: u64,
    /// Where the part begins and ends, in the sink's measure.
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The number of changes in it.
    pub(crate) changes: u32,
}

impl Walked {
    /// Returns the last change that was sent.
    pub(super) fn furthest(&self) -> u64 {
        self.furthest
    }

    /// Returns the number of bytes on the heap.
    pub(crate) fn heap_len(&self) -> usize {
        let apart = self.apart.as_deref();
        apart.map_or(0, |apart| apart.exceptions.capacity() * 8 + apart.cuts.capacity() * size_of::<Cut>())
    }

    /// Whether `viewer` would have been sent something else, beyond the cuts.
    pub(crate) fn is_exception(&self, viewer: Viewer) -> bool {
        let (Viewer::Client(key), Some(apart)) = (viewer, &self.apart) else { return false };
        apart.exceptions.binary_search(&key).is_ok()
    }

    /// Returns the parts of what [`Viewer::ANYBODY`] is sent that are not for `viewer`, in order.
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
    /// Walks on from `position` until `sink` is full, the journal's end is reached, or `steps` entries are passed.
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
            walk.position.pause(walk.table.journal().tail());
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
    /// Returns whether the journal's end was reached.
    fn run(&mut self, steps: &mut usize) -> bool {
        let table = self.table;
        for entry in table.journal().after(self.position.at()) {
            if *steps == 0 {
                return false;
            }
            *steps -= 1;
            let live = table.live_hop(&entry);
            if let Some(hop) = live
                && !self.visit(entry.hop, hop, steps)
            {
                return false;
            }
            self.position.pass(entry.seq, live);
        }
        self.position.reach(table.journal().tail());
        true
    }

    /// Sends what is to be sent of `hop`, whose number is `first`, and, with it, of the hops of its destination that changed later. False:
    /// there was no room for all of it.
    fn visit(&mut self, first: u32, hop: &Hop, steps: &mut usize) -> bool {
        if hop.next().is_none() {
            let sent = self.position.sent(hop);
            let difference = difference(hop, sent, self.viewer);
            if difference.is_some() && !self.sink.has_room() {
                return false;
            }
            let from = self.sink.len();
            if let Some(there) = difference {
                self.send(hop, there);
            }
            if self.viewer == Viewer::ANYBODY {
                self.note_apart(hop, sent, from);
            }
            return true;
        }
        if self.difference(hop).is_none() {
            // It was sent with an earlier one, most likely. The later ones come in their own order.
            return true;
        }
        let additions_first = self.order == Order::AdditionsFirst;
        for there in [additions_first, !additions_first] {
            let mut next = Some(first);
            while let Some(id) = next {
                let hop = self.table.hop(id);
                if self.difference(hop) == Some(there) {
                    if !self.sink.has_room() {
                        return false;
                    }
                    self.send(hop, there);
                    self.position.send_ahead(hop, there);
                }
                next = hop.next();
                *steps = steps.saturating_sub(1);
            }
        }
        true
    }

    /// Notes for which peers it would have been something else that [`Viewer::ANYBODY`], after `sent`, was sent of a hop which is its
    /// destination's only one, or the last.
    fn note_apart(&mut self, hop: &Hop, sent: Sent, from: usize) {
        let (now, prev) = (hop.now().exception(), hop.prev().exception());
        let anybody = difference(hop, sent, Viewer::ANYBODY);
        for key in now.into_iter().chain(prev.filter(|_| prev != now)) {
            match difference(hop, sent, Viewer::Client(key)) {
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

    /// Returns whether the viewer is to be sent an addition (or a removal) of a hop, if what it is sent of others depends on that.
    fn difference(&mut self, hop: &Hop) -> Option<bool> {
        if self.viewer == Viewer::ANYBODY {
            for key in [hop.now().exception(), hop.prev().exception()].into_iter().flatten() {
                if self.exceptions.last() != Some(&key) {
                    self.exceptions.push(key);
                }
            }
        }
        difference(hop, self.position.sent(hop), self.viewer)
    }

    fn send(&mut self, hop: &Hop, there: bool) {
        self.furthest = self.furthest.max(hop.seq());
        self.sink.send(Change {
            there,
            vni: self.table.vni(),
            prefix: self.table.dest(hop.dest()).prefix(),
            next_hop: self.next_hops.get(hop.next_hop()),
        });
    }
}

/// Returns whether a viewer that was `sent` something of a hop is to be sent an addition (or a removal).
fn difference(hop: &Hop, sent: Sent, viewer: Viewer) -> Option<bool> {
    let there = hop.now().is_visible_to(viewer);
    let known = match sent {
        Sent::Added => true,
        Sent::Nothing => false,
        Sent::AsBefore => hop.prev().is_visible_to(viewer),
        Sent::Unknown => return Some(there),
    };
    (known != there).then_some(there)
}
