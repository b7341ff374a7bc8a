//! What a dialled server has been asked for in this session: subscriptions on the wire, and the KEEPALIVEs whose answers
//! prove that it has done what came before them.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::Vni;

/// A VNI's subscription, as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wire {
    /// Subscribed to. Synced with the answer to the KEEPALIVE of this number, if it answers in order.
    Subscribed { sync: u64 },
    /// Subscribed to, and to be unsubscribed from.
    Unwanted,
    /// Unsubscribed from; may be subscribed to again after the answer to the KEEPALIVE of this number.
    Unsubscribing { until: u64 },
    /// Subscribed to, and for a time at least not wanted: UNSUBSCRIBE would withdraw what we announce there. Its updates
    /// are followed, seen or unseen.
    Filtered,
    /// Done with for this session: the server would lock up if it were subscribed to again.
    Spent,
}

#[derive(Debug)]
pub(super) struct Upstream {
    vnis: BTreeMap<Vni, Wire>,
    /// VNIs whose subscription may have to change on the wire.
    pub(super) todo: BTreeSet<Vni>,
    /// KEEPALIVEs sent, and answered.
    pub(super) sent: u64,
    pub(super) answered: u64,
    /// A KEEPALIVE is to follow what has been sent.
    pub(super) barrier_due: bool,
    /// Bytes sent that no answer has proven to be read yet: all, and those before the KEEPALIVE that asks for it.
    pub(super) unproven: usize,
    pub(super) probe: Option<(u64, usize)>,
    /// The node leaves for good when the KEEPALIVE of this number is answered.
    pub(super) goodbye: Option<u64>,
    /// The answer up to which syncs have been taken note of.
    noted: u64,
}

impl Upstream {
    /// For a session that has just been established, by the first KEEPALIVE.
    pub(super) fn new(wanted: impl Iterator<Item = Vni>) -> Self {
        Self {
            vnis: BTreeMap::new(),
            todo: wanted.collect(),
            sent: 1,
            answered: 1,
            barrier_due: false,
            unproven: 0,
            probe: None,
            goodbye: None,
            noted: 0,
        }
    }

    pub(super) fn wire(&self, vni: Vni) -> Option<Wire> {
        self.vnis.get(&vni).copied()
    }

    pub(super) fn set_wire(&mut self, vni: Vni, wire: Wire) {
        self.vnis.insert(vni, wire);
    }

    /// Whether updates of a VNI are wanted from this server.
    pub(super) fn is_asked_for(&self, vni: Vni) -> bool {
        matches!(self.vnis.get(&vni), Some(Wire::Subscribed { .. } | Wire::Filtered))
    }

    /// The number of the KEEPALIVE that will follow what is sent now.
    pub(super) fn next_barrier(&mut self) -> u64 {
        self.barrier_due = true;
        self.sent + 1
    }

    /// A KEEPALIVE was answered. VNIs whose UNSUBSCRIBE came before it may be subscribed to again.
    pub(super) fn answer(&mut self) {
        // One answer for each; more is the server's mistake.
        self.answered = (self.answered + 1).min(self.sent);
        if let Some((number, bytes)) = self.probe
            && number <= self.answered
        {
            self.unproven -= bytes;
            self.probe = None;
        }
        let answered = self.answered;
        let todo = &mut self.todo;
        self.vnis.retain(|vni, wire| {
            let done = matches!(wire, Wire::Unsubscribing { until } if *until <= answered);
            if done {
                todo.insert(*vni);
            }
            !done
        });
    }

    /// The VNIs that have been received in full since the last call.
    pub(super) fn take_synced(&mut self) -> BTreeSet<Vni> {
        let since = core::mem::replace(&mut self.noted, self.answered);
        let is_new = |wire: &Wire| matches!(wire, Wire::Subscribed { sync } if *sync > since && *sync <= self.answered);
        self.vnis.iter().filter(|(_, wire)| is_new(wire)).map(|(vni, _)| *vni).collect()
    }

    /// Whether everything that is wanted has been received in full. A VNI that is unsubscribed from and wanted again is
    /// not: its new subscription has yet to be sent.
    pub(super) fn is_synced(&self, is_wanted: impl Fn(Vni) -> bool) -> bool {
        let is_pending = |(vni, wire): (&Vni, &Wire)| match wire {
            Wire::Subscribed { sync } => *sync > self.answered,
            Wire::Unwanted | Wire::Unsubscribing { .. } | Wire::Spent => is_wanted(*vni),
            Wire::Filtered => false,
        };
        self.todo.is_empty() && !self.vnis.iter().any(is_pending)
    }
}
