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
use crate::{Echo, NextHop, NextHopKind, Prefix, Vni};

/// What a peer expects of the changes that it is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Dialect {
    /// A peer with the capability `ordered`, which keeps several next hops of a destination: additions are sent before removals, so that the
    /// destination is never without one.
    Ordered,
    /// A peer without it, which deletes by prefix: removals are sent first, because an addition before a removal would be lost. A route that
    /// was withdrawn and announced again since it was last sent is removed and added.
    Legacy(Echo),
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
    /// Whether there is room for this many more changes.
    fn has_room(&self, changes: usize) -> bool;
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

/// Hops with short prefixes that are sent ahead of others, at most, but for those of the last destination: each takes memory until the walk
/// comes to it.
const SHORT_MAX: usize = 4096;

struct Walk<'a, S> {
    table: &'a Table,
    next_hops: &'a NextHops,
    position: Position,
    furthest: u64,
    viewer: Viewer,
    dialect: Dialect,
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
        dialect: Dialect,
        steps: &mut usize,
        sink: &mut impl Sink,
    ) -> Walked {
        let mut walk = Walk {
            table: &self.tables[table.0],
            next_hops: &self.next_hops,
            position: position.clone(),
            furthest: 0,
            viewer,
            dialect,
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
        if self.dialect != Dialect::Ordered && !self.visit_short(steps) {
            return false;
        }
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

    /// Sends the additions of an initial sync that have short prefixes, before those that came earlier. False: there was no room for all.
    fn visit_short(&mut self, steps: &mut usize) -> bool {
        let table = self.table;
        let mut next = self.position.short().and_then(|from| table.next_short(from));
        while let Some(place) = next {
            self.position.set_short(next);
            if *steps == 0 {
                return false;
            }
            if self.position.ahead() >= SHORT_MAX {
                break;
            }
            for (_, hop) in table.hops_of(place.dest()) {
                *steps = steps.saturating_sub(1);
                if self.due_of_several(hop) == Some(Due::Addition) {
                    if !self.sink.has_room(1) {
                        return false;
                    }
                    self.send(hop, true);
                    self.position.send_ahead(hop, true);
                }
            }
            next = table.short_after(place);
        }
        self.position.set_short(None);
        true
    }

    /// Sends what is to be sent of `hop`, whose number is `first`, and, with it, of the hops of its destination that changed later. False:
    /// there was no room for all of it.
    fn visit(&mut self, first: u32, hop: &Hop, steps: &mut usize) -> bool {
        if hop.next().is_none() {
            let sent = self.position.sent(hop);
            let is_echoed = self.is_echoed(hop);
            let viewer = if is_echoed { self.viewer.anybody() } else { self.viewer };
            let due = self.due(hop, sent, viewer);
            if due.is_some_and(|due| !self.sink.has_room(due.changes())) {
                return false;
            }
            let from = self.sink.len();
            if let Some(due) = due {
                if due == Due::Renewal {
                    self.send_removal(hop);
                }
                self.send(hop, due != Due::Removal);
            }
            if self.viewer == Viewer::ANYBODY && !is_echoed {
                self.note_apart(hop, sent, due, from);
            }
            return true;
        }
        if self.due_of_several(hop).is_none() {
            // It was sent with an earlier one, most likely. The later ones come in their own order.
            return true;
        }
        let additions_first = self.dialect == Dialect::Ordered;
        for there in [additions_first, !additions_first] {
            let mut next = Some(first);
            while let Some(id) = next {
                let hop = self.table.hop(id);
                // A renewal's addition is due when its removal was sent.
                if self.due_of_several(hop).is_some_and(|due| due.first() == there) {
                    if !self.sink.has_room(1) {
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

    /// Notes for which peers it would have been something else than `anybody`, which [`Viewer::ANYBODY`], after `sent`, was sent of a hop
    /// which is its destination's only one, or the last.
    fn note_apart(&mut self, hop: &Hop, sent: Sent, anybody: Option<Due>, from: usize) {
        let (now, prev) = (hop.now().exception(), hop.prev().exception());
        for key in now.into_iter().chain(prev.filter(|_| prev != now)) {
            match self.due(hop, sent, Viewer::Client(key)) {
                same if same == anybody => {}
                None => {
                    let (to, changes) = (self.sink.len(), anybody.map_or(0, |due| due.changes() as u32));
                    match self.cuts.last_mut() {
                        Some(last) if last.key == key && last.to == from => {
                            (last.to, last.changes) = (to, last.changes + changes);
                        }
                        _ => self.cuts.push(Cut { key, from, to, changes }),
                    }
                }
                Some(_) => self.exceptions.push(key),
            }
        }
    }

    /// Returns what of a hop is due to the viewer, if what it is sent of others depends on that.
    fn due_of_several(&mut self, hop: &Hop) -> Option<Due> {
        let is_echoed = self.is_echoed(hop);
        if self.viewer == Viewer::ANYBODY && !is_echoed {
            for key in [hop.now().exception(), hop.prev().exception()].into_iter().flatten() {
                if self.exceptions.last() != Some(&key) {
                    self.exceptions.push(key);
                }
            }
        }
        let viewer = if is_echoed { self.viewer.anybody() } else { self.viewer };
        self.due(hop, self.position.sent(hop), viewer)
    }

    /// Whether a client is also sent the hop if it is the only one that announces it.
    #[inline(always)]
    fn is_echoed(&self, hop: &Hop) -> bool {
        match self.dialect {
            Dialect::Ordered | Dialect::Legacy(Echo::None) => false,
            Dialect::Legacy(Echo::LoadBalancers) => {
                self.next_hops.get(hop.next_hop()).kind == NextHopKind::LoadBalancer
            }
            Dialect::Legacy(Echo::All) => true,
        }
    }

    /// Returns what of a hop is due to a viewer that was `sent` something of it. Inlined, because it is the hottest part of a walk.
    #[inline(always)]
    fn due(&self, hop: &Hop, sent: Sent, viewer: Viewer) -> Option<Due> {
        let there = hop.now().is_visible_to(viewer);
        let known = match sent {
            Sent::Added { .. } => true,
            Sent::Nothing => false,
            Sent::AsBefore => hop.prev().is_visible_to(viewer),
            // It is sent what is there, whatever it knows.
            Sent::Unknown => !there,
        };
        let is_renewed = || self.dialect != Dialect::Ordered && may_have_been_gone(hop, sent);
        match (known, there) {
            (false, true) if sent == Sent::Unknown && is_renewed() => Some(Due::Renewal),
            (false, true) => Some(Due::Addition),
            (true, false) => Some(Due::Removal),
            (true, true) if is_renewed() => Some(Due::Renewal),
            (true, true) | (false, false) => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn send_removal(&mut self, hop: &Hop) {
        self.send(hop, false);
    }

    #[inline(always)]
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

/// Whether a hop that is there may have been gone since the viewer was `sent` it.
fn may_have_been_gone(hop: &Hop, sent: Sent) -> bool {
    match sent {
        Sent::Added { may_have_been_gone } => may_have_been_gone,
        Sent::AsBefore => hop.is_back(),
        Sent::Nothing => false,
        Sent::Unknown => true,
    }
}

/// What is to be sent of a hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Addition,
    Removal,
    /// A removal, and then an addition.
    Renewal,
}

impl Due {
    /// Returns the number of changes.
    const fn changes(self) -> usize {
        if matches!(self, Self::Renewal) { 2 } else { 1 }
    }

    /// Whether the first change is an addition.
    fn first(self) -> bool {
        self == Self::Addition
    }
}
