//! Work that is as long as a table: done in slices, one at each tick. Routes not yet reached still count as announced.

use alloc::collections::BTreeSet;

use smallvec::SmallVec;

use super::Node;
use super::conn::Conn;
use super::permits::Filter;
use super::upstream::Wire;
use crate::rib::OriginId;
use crate::{ConnId, Vni};

/// Routes looked at in one slice: some tenths of a millisecond.
pub(super) const SLICE: usize = 4096;
/// Received bytes that are met with one route more: an UPDATE has 20 at least, so that routes go faster than others come,
/// and those who come and go in a hurry don't pile them up.
const BYTES_PER_ROUTE: usize = 10;
/// The most routes of a slice: some 10 ms.
const SLICE_MAX: usize = 1 << 17;

#[derive(Debug)]
pub(super) enum Job {
    /// Withdraw an origin's stale routes; then perhaps forget it.
    Sweep { origin: OriginId, release: bool },
    /// Withdraw an origin's stale routes in these VNIs that a live server doesn't have.
    Contradict { origin: OriginId, by: OriginId, vnis: BTreeSet<Vni>, from: usize },
    /// Withdraw what an accepted peer announced in VNIs that it has left.
    Withdraw { origin: OriginId },
    /// Forget what servers told of a VNI that is not subscribed to any more.
    Drop { vni: Vni, from: u32 },
    /// Hold a connection to what the policy allows now.
    Hold(ConnId),
    /// Withdraw what an origin may not announce any more.
    Filter(Filter),
    /// Withdraw all that this node announces.
    Leave,
}

impl Job {
    /// Whether it needs this origin to be there.
    pub(super) fn concerns(&self, id: OriginId) -> bool {
        match self {
            Self::Sweep { origin, .. } => *origin == id,
            Self::Contradict { origin, by, .. } => *origin == id || *by == id,
            // Of dialled servers only.
            Self::Withdraw { .. } | Self::Hold(_) | Self::Filter(_) | Self::Drop { .. } | Self::Leave => false,
        }
    }

    /// Whether it forgets routes of this VNI.
    pub(super) fn drops(&self, vni: Vni) -> bool {
        matches!(self, Self::Drop { vni: dropped, .. } if *dropped == vni)
    }
}

impl Node {
    /// One slice of what is to do.
    pub(super) fn run_jobs(&mut self) {
        let mut budget = (SLICE + core::mem::take(&mut self.received) / BYTES_PER_ROUTE).min(SLICE_MAX);
        while let Some(job) = self.jobs.front_mut() {
            let done = match job {
                Job::Sweep { origin, release } => {
                    let done = self.rib.sweep(*origin, &mut budget);
                    if done && *release {
                        self.rib.release_origin(*origin);
                    }
                    done
                }
                Job::Contradict { origin, by, vnis, from } => {
                    self.rib.contradict(*origin, *by, vnis, from, &mut budget)
                }
                Job::Withdraw { origin } => self.rib.withdraw_taken(*origin, &mut budget),
                Job::Drop { vni, from } => {
                    let filters = |conn: &&alloc::boxed::Box<Conn>| {
                        conn.upstream.as_ref().is_some_and(|upstream| upstream.wire(*vni) == Some(Wire::Filtered))
                    };
                    let kept: SmallVec<[_; 4]> =
                        self.conns.values().filter(filters).filter_map(|conn| conn.origin).collect();
                    self.rib.drop_dialled(*vni, &kept, from, &mut budget)
                }
                Job::Hold(conn) => {
                    let conn = *conn;
                    self.hold(conn);
                    budget = budget.saturating_sub(16);
                    true
                }
                Job::Filter(filter) => filter.run(&mut self.rib, &mut budget),
                Job::Leave => {
                    self.own.sweep(OriginId::LOCAL, &mut budget) && self.rib.sweep(OriginId::LOCAL, &mut budget)
                }
            };
            if !done {
                return;
            }
            match self.jobs.pop_front() {
                // A subscription, or the farewell, may have waited for this.
                Some(Job::Drop { .. } | Job::Leave) => {
                    for conn in self.conns.values_mut() {
                        conn.mark_ready(&mut self.ready);
                    }
                }
                Some(Job::Filter(filter)) => self.filtered(&filter),
                _ => {}
            }
        }
    }
}
