//! What a dialled server has been asked for in a session: each VNI's subscription as it stands on the wire, and which VNIs have to be looked at
//! because it may have to change.
//!
//! Invariant: `unsynced` counts the wires that are `Subscribed` with a KEEPALIVE that is not answered; `wanted_again` has the VNIs that are
//! `Unsubscribing` and wanted; `synced` has the VNIs that are `Subscribed`, of which the KEEPALIVE was answered since the last
//! [`take_synced`](Subscriptions::take_synced). An answer costs no more than what was sent before it in one transmit, however many VNIs are wanted.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::Vni;

/// A VNI's subscription, as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wire {
    /// Subscribed to. Synced with the answer to the KEEPALIVE of this number; never, if the server does not answer in order.
    Subscribed { sync: u64 },
    /// Subscribed to, and to be unsubscribed from.
    Unwanted,
    /// Unsubscribed from. May be subscribed to again after the answer to the KEEPALIVE of this number.
    Unsubscribing { until: u64 },
    /// Subscribed to and, for a time at least, not wanted: UNSUBSCRIBE would withdraw what this node announces there. Its updates
    /// are carried out, whether the application sees them or not.
    Filtered,
    /// Unsubscribed from for the rest of the session: the server would lock up if it were subscribed to again.
    Unsubscribed,
}

/// What is to be sent for a VNI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Subscribe,
    Unsubscribe,
}

#[derive(Debug)]
pub(in super::super) struct Subscriptions {
    is_ordered: bool,
    wires: BTreeMap<Vni, Wire>,
    /// VNIs whose subscription may have to change on the wire.
    todo: BTreeSet<Vni>,
    /// Wanted VNIs from this one on are to be looked at, too. `None`: none.
    todo_from: Option<Vni>,
    /// VNIs that are wanted again, and wait until the routes from an earlier subscription are removed.
    waiting: BTreeSet<Vni>,
    /// The number of the last KEEPALIVE that was answered.
    answered: u64,
    /// VNIs by the KEEPALIVE that they wait for. A wire that has changed since waits no more.
    syncs: Waiting,
    unsubscribings: Waiting,
    unsynced: usize,
    wanted_again: BTreeSet<Vni>,
    synced: BTreeSet<Vni>,
}

/// VNIs in the order of the KEEPALIVEs whose answer they wait for, those of one KEEPALIVE together.
#[derive(Default, Debug)]
struct Waiting(VecDeque<(u64, Vec<Vni>)>);

impl Waiting {
    fn push(&mut self, number: u64, vni: Vni) {
        match self.0.back_mut() {
            Some((last, vnis)) if *last == number => vnis.push(vni),
            _ => self.0.push_back((number, Vec::from([vni]))),
        }
    }

    /// Takes out the VNIs that wait for a KEEPALIVE up to the one of this number: those of one. `None`: there are none.
    fn pop(&mut self, answered: u64) -> Option<(u64, Vec<Vni>)> {
        self.0.pop_front_if(|(number, _)| *number <= answered)
    }
}

impl Subscriptions {
    /// For a session that has just been established: all wanted VNIs are to be looked at. `answered`: the number of the last KEEPALIVE that was
    /// answered.
    pub(super) fn new(is_ordered: bool, answered: u64) -> Self {
        Self {
            is_ordered,
            wires: BTreeMap::new(),
            todo: BTreeSet::new(),
            todo_from: Some(Vni(0)),
            waiting: BTreeSet::new(),
            answered,
            syncs: Waiting::default(),
            unsubscribings: Waiting::default(),
            unsynced: 0,
            wanted_again: BTreeSet::new(),
            synced: BTreeSet::new(),
        }
    }

    /// Returns whether updates of a VNI are taken from this server.
    pub(super) fn takes(&self, vni: Vni) -> bool {
        matches!(self.wires.get(&vni), Some(Wire::Subscribed { .. } | Wire::Filtered))
    }

    /// Returns whether updates of a VNI are carried out although it is not wanted.
    pub(super) fn is_filtered(&self, vni: Vni) -> bool {
        self.wires.get(&vni) == Some(&Wire::Filtered)
    }

    /// Notes that it has changed whether a VNI is wanted. `is_announced_in`: this node announces a route in it. Returns false if only a new
    /// session can subscribe to it.
    pub(super) fn look_at(&mut self, vni: Vni, is_wanted: bool, is_announced_in: bool) -> bool {
        match self.wires.get(&vni) {
            Some(Wire::Unsubscribed | Wire::Unwanted) if is_wanted && !self.is_ordered => return false,
            Some(Wire::Subscribed { .. }) if !is_wanted && !self.is_ordered && is_announced_in => {
                self.set(vni, Wire::Filtered);
            }
            Some(Wire::Subscribed { .. }) if !is_wanted => self.set(vni, Wire::Unwanted),
            Some(Wire::Unsubscribing { .. }) if is_wanted => {
                self.wanted_again.insert(vni);
            }
            Some(Wire::Unsubscribing { .. }) => {
                self.wanted_again.remove(&vni);
            }
            _ => {}
        }
        self.waiting.remove(&vni);
        self.todo.insert(vni);
        true
    }

    /// Takes out the next VNI to look at, in the order of their numbers. `next_wanted` returns the first wanted VNI from a number on.
    pub(super) fn pop(&mut self, next_wanted: impl FnOnce(Vni) -> Option<Vni>) -> Option<Vni> {
        self.todo_from = self.todo_from.and_then(next_wanted);
        match (self.todo.first().copied(), self.todo_from) {
            (Some(vni), from) if from.is_none_or(|from| vni < from) => self.todo.pop_first(),
            (_, Some(vni)) => {
                self.todo.remove(&vni);
                self.todo_from = vni.0.checked_add(1).map(Vni);
                Some(vni)
            }
            _ => None,
        }
    }

    /// Has a VNI looked at again that was taken out.
    pub(super) fn put_back(&mut self, vni: Vni) {
        self.todo.insert(vni);
    }

    /// Returns what is to be sent for a VNI. `is_dropping`: routes from an earlier subscription are still being removed.
    pub(super) fn change(&mut self, vni: Vni, is_wanted: bool, is_dropping: bool) -> Option<Change> {
        match self.wires.get(&vni) {
            None if is_wanted && is_dropping => {
                self.waiting.insert(vni);
                None
            }
            None if is_wanted => Some(Change::Subscribe),
            Some(Wire::Unwanted) => Some(Change::Unsubscribe),
            _ => None,
        }
    }

    /// Notes that the routes of a VNI from an earlier subscription are removed.
    pub(super) fn dropped(&mut self, vni: Vni) {
        if self.waiting.remove(&vni) {
            self.todo.insert(vni);
        }
    }

    /// Notes that a change of a VNI is made. `barrier`: the number of the KEEPALIVE that follows; not for a server without `ordered`.
    pub(super) fn changed(&mut self, vni: Vni, change: Change, barrier: Option<u64>, is_wanted: bool) {
        match (change, barrier) {
            (Change::Subscribe, Some(sync)) => {
                self.set(vni, Wire::Subscribed { sync });
                self.syncs.push(sync, vni);
            }
            (Change::Subscribe, None) => self.set(vni, Wire::Subscribed { sync: u64::MAX }),
            (Change::Unsubscribe, Some(until)) => {
                self.set(vni, Wire::Unsubscribing { until });
                self.unsubscribings.push(until, vni);
                if is_wanted {
                    self.wanted_again.insert(vni);
                }
            }
            (Change::Unsubscribe, None) => self.set(vni, Wire::Unsubscribed),
        }
    }

    fn set(&mut self, vni: Vni, wire: Wire) {
        let is_unsynced = |wire: &Wire| matches!(wire, Wire::Subscribed { sync } if *sync > self.answered);
        self.unsynced += usize::from(is_unsynced(&wire));
        if let Some(old) = self.wires.insert(vni, wire) {
            let is_unsynced = matches!(old, Wire::Subscribed { sync } if sync > self.answered);
            self.unsynced -= usize::from(is_unsynced);
        }
        self.synced.remove(&vni);
    }

    /// Notes that KEEPALIVEs up to this number are answered. VNIs whose UNSUBSCRIBE was sent before may be subscribed to again.
    pub(super) fn answered(&mut self, number: u64) {
        self.answered = number;
        while let Some((sync, vnis)) = self.syncs.pop(number) {
            for vni in vnis {
                if self.wires.get(&vni) == Some(&Wire::Subscribed { sync }) {
                    self.unsynced -= 1;
                    self.synced.insert(vni);
                }
            }
        }
        while let Some((until, vnis)) = self.unsubscribings.pop(number) {
            for vni in vnis {
                if self.wires.get(&vni) == Some(&Wire::Unsubscribing { until }) {
                    self.wires.remove(&vni);
                    self.wanted_again.remove(&vni);
                    self.todo.insert(vni);
                }
            }
        }
    }

    /// Returns the VNIs of which all routes were received since the last call.
    pub(super) fn take_synced(&mut self) -> BTreeSet<Vni> {
        core::mem::take(&mut self.synced)
    }

    /// Returns how many entries its collections have together, those that wait for one KEEPALIVE counted as one.
    pub(in super::super) fn len(&self) -> usize {
        let sets = [&self.todo, &self.waiting, &self.wanted_again, &self.synced];
        self.wires.len()
            + sets.map(BTreeSet::len).iter().sum::<usize>()
            + self.syncs.0.len()
            + self.unsubscribings.0.len()
    }

    /// Drops an entry of each collection, of a session that has ended.
    pub(in super::super) fn drop_one(&mut self) {
        self.wires.pop_first();
        for set in [&mut self.todo, &mut self.waiting, &mut self.wanted_again, &mut self.synced] {
            set.pop_first();
        }
        self.syncs.0.pop_front();
        self.unsubscribings.0.pop_front();
    }

    /// Returns whether all routes of all wanted VNIs were received. A VNI that was unsubscribed from and is wanted again has yet to be subscribed
    /// to. `next_wanted` returns the first wanted VNI from a number on.
    pub(super) fn is_synced(&self, next_wanted: impl FnOnce(Vni) -> Option<Vni>) -> bool {
        self.todo.is_empty()
            && self.waiting.is_empty()
            && self.unsynced == 0
            && self.wanted_again.is_empty()
            && self.todo_from.and_then(next_wanted).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What happens to one of a few VNIs.
    #[derive(Clone, Debug)]
    enum Event {
        Want(u32),
        Unwant(u32),
        Send(usize),
        Answer,
        Take,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0..5u32).prop_map(Event::Want),
            (0..5u32).prop_map(Event::Unwant),
            (0..6usize).prop_map(Event::Send),
            Just(Event::Answer),
            Just(Event::Take),
        ]
    }

    proptest! {
        #[test]
        fn queues_and_counts_agree_with_a_look_at_all_vnis(events in prop::collection::vec(event(), 0..80)) {
            let mut wanted = BTreeSet::from([Vni(1), Vni(3)]);
            let mut subscriptions = Subscriptions::new(true, 1);
            let (mut sent, mut answered, mut taken) = (1, 1, 1);
            for event in events {
                match event {
                    Event::Want(vni) => {
                        if wanted.insert(Vni(vni)) {
                            prop_assert!(subscriptions.look_at(Vni(vni), true, false));
                        }
                    }
                    Event::Unwant(vni) => {
                        if wanted.remove(&Vni(vni)) {
                            prop_assert!(subscriptions.look_at(Vni(vni), false, false));
                        }
                    }
                    Event::Send(n) => {
                        let mut has_sent = false;
                        for _ in 0..n {
                            let Some(vni) = subscriptions.pop(|from| wanted.range(from..).next().copied()) else { break };
                            let is_wanted = wanted.contains(&vni);
                            if let Some(change) = subscriptions.change(vni, is_wanted, false) {
                                subscriptions.changed(vni, change, Some(sent + 1), is_wanted);
                                has_sent = true;
                            }
                        }
                        sent += u64::from(has_sent);
                    }
                    Event::Answer => {
                        answered = (answered + 1).min(sent);
                        subscriptions.answered(answered);
                    }
                    Event::Take => {
                        let is_new = |wire: &Wire| matches!(wire, Wire::Subscribed { sync } if *sync > taken && *sync <= answered);
                        let new = subscriptions.wires.iter().filter(|(_, wire)| is_new(wire)).map(|(vni, _)| *vni);
                        let new: BTreeSet<_> = new.collect();
                        prop_assert_eq!(subscriptions.take_synced(), new);
                        taken = answered;
                    }
                }
                let is_pending = |(vni, wire): (&Vni, &Wire)| match wire {
                    Wire::Subscribed { sync } => *sync > answered,
                    Wire::Unwanted | Wire::Unsubscribing { .. } | Wire::Unsubscribed => wanted.contains(vni),
                    Wire::Filtered => false,
                };
                let next_wanted = |from: Vni| wanted.range(from..).next().copied();
                let is_synced = subscriptions.todo.is_empty()
                    && subscriptions.todo_from.and_then(next_wanted).is_none()
                    && !subscriptions.wires.iter().any(is_pending);
                prop_assert_eq!(subscriptions.is_synced(next_wanted), is_synced);
            }
        }
    }
}
