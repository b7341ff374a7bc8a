//! Background jobs: work that is as long as a table or as the list of connections, done in slices, one at each tick. A route that a job has
//! not reached yet still counts as announced.
//!
//! Invariant: jobs are done in the order in which they were added. `dropping` has a VNI exactly as long as a [`Job::Drop`] for it is not done,
//! `is_leaving` is set exactly as long as a [`Job::Leave`] is not.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;

use super::Common;
use super::client::Client;
use super::discard::Discarded;
use super::server::{Filter, Server};
use crate::rib::OriginId;
use crate::{PeerId, Vni};

/// Routes that one slice looks at: up to half a millisecond.
pub(super) const SLICE: usize = 2048;
/// For every 10 bytes received, one more route of background work is done. An UPDATE has at least 20 bytes, so cleanup outpaces new routes, and
/// peers that come and go in a hurry do not pile routes up.
const BYTES_PER_ROUTE: usize = 10;
/// The most routes that one slice looks at: some milliseconds. Bytes received beyond it count for the slices that follow.
const SLICE_MAX: usize = 1 << 15;

/// A background job.
#[derive(Debug)]
pub(super) enum Job {
    /// Removes the routes of an origin that has ended, then the origin.
    Release(OriginId),
    /// Removes the stale routes of a configured server. Void if the server has lost a session since, of which `epoch` is the number.
    SweepStale { peer: PeerId, epoch: u64 },
    /// Removes the stale routes of a configured server in VNIs of which another server has just sent all routes, and not these.
    Contradict { peer: PeerId, by: PeerId, vnis: Arc<BTreeSet<Vni>>, from: usize },
    /// Withdraws what a client without `ordered` announced in VNIs that it has unsubscribed from.
    Withdraw(OriginId),
    /// Removes what servers announced in a VNI that the application has unsubscribed from.
    Drop { vni: Vni, from: u32 },
    /// Applies a new policy to the connections and departed clients.
    ApplyPolicy,
    /// Withdraws what an origin may not announce any more.
    Filter(Filter),
    /// Withdraws all routes of this node.
    Leave,
    /// Drops a large collection that is no longer needed.
    Discard(Discarded),
}

/// The jobs that are not done.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    queue: VecDeque<Job>,
    dropping: BTreeSet<Vni>,
    is_leaving: bool,
    /// Bytes received while there was a job, for which no slice has done more yet.
    received: usize,
}

impl Jobs {
    /// Adds a job. One `Drop` for each VNI is enough.
    pub(super) fn push(&mut self, job: Job) {
        match job {
            Job::Drop { vni, .. } if !self.dropping.insert(vni) => return,
            Job::Leave => self.is_leaving = true,
            _ => {}
        }
        self.queue.push_back(job);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns whether routes of a VNI are being removed because the application unsubscribed from it.
    pub(super) fn is_dropping(&self, vni: Vni) -> bool {
        self.dropping.contains(&vni)
    }

    /// Returns whether this node's routes are being withdrawn.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Takes out the filter that is under way, if there is one: only the first job has begun.
    pub(super) fn take_filter(&mut self) -> Option<Filter> {
        match self.queue.pop_front_if(|job| matches!(job, Job::Filter(_)))? {
            Job::Filter(filter) => Some(filter),
            _ => None,
        }
    }

    /// Notes that bytes were received: the next slice does more.
    pub(super) fn received(&mut self, bytes: usize) {
        self.received += if self.queue.is_empty() { 0 } else { bytes };
    }

    /// Drops all jobs: the node has ended.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn take_budget(&mut self) -> usize {
        let more = (self.received / BYTES_PER_ROUTE).min(SLICE_MAX - SLICE);
        self.received -= more * BYTES_PER_ROUTE;
        SLICE + more
    }

    /// Drops a collection that is no longer needed: at once if it is small, otherwise in slices.
    pub(super) fn discard(&mut self, discarded: Discarded) {
        if !discarded.is_small() {
            self.push(Job::Discard(discarded));
        }
    }

    /// Drops a set of VNIs, unless a job still needs it.
    pub(super) fn discard_shared(&mut self, vnis: Arc<BTreeSet<Vni>>) {
        if let Some(vnis) = Arc::into_inner(vnis) {
            self.discard(Discarded::Vnis(vnis));
        }
    }

    fn finish(&mut self, job: &Job) {
        match job {
            Job::Drop { vni, .. } => {
                self.dropping.remove(vni);
            }
            Job::Leave => self.is_leaving = false,
            _ => {}
        }
    }
}

/// Does one slice of the jobs.
pub(super) fn run(common: &mut Common, server: &mut Server, client: &mut Client) {
    let mut budget = common.jobs.take_budget();
    while budget > 0
        && let Some(mut job) = common.jobs.queue.pop_front()
    {
        // A job that has nothing to do costs something, too.
        budget -= 1;
        let is_done = match &mut job {
            Job::Release(origin) => {
                let is_done = common.rib.sweep(*origin, &mut budget);
                if is_done {
                    common.rib.release_origin(*origin);
                }
                is_done
            }
            Job::SweepStale { peer, epoch } => match client.origin_to_sweep(*peer, *epoch) {
                Some(origin) => common.rib.sweep(origin, &mut budget),
                None => true,
            },
            Job::Contradict { peer, by, vnis, from } => match (client.origin(*peer), client.origin(*by)) {
                (Some(origin), Some(by)) => common.rib.contradict(origin, by, vnis, from, &mut budget),
                _ => true,
            },
            Job::Withdraw(origin) => common.rib.withdraw_taken(*origin, &mut budget),
            Job::Drop { vni, from } => {
                let kept = client.origins_kept(*vni);
                common.rib.drop_dialled(*vni, &kept, from, &mut budget)
            }
            Job::ApplyPolicy => server.apply_policy(common, &mut budget),
            Job::Filter(filter) => server.filter(common, filter, &mut budget),
            Job::Leave => {
                common.own.sweep(OriginId::LOCAL, &mut budget) && common.rib.sweep(OriginId::LOCAL, &mut budget)
            }
            Job::Discard(discarded) => discarded.drop_some(&mut budget),
        };
        if !is_done {
            common.jobs.queue.push_front(job);
            return;
        }
        common.jobs.finish(&job);
        match job {
            Job::Drop { vni, .. } => client.dropped(common, vni),
            Job::Filter(filter) => server.filtered(common, &filter),
            Job::Leave => client.mark_all_ready(common),
            Job::Contradict { vnis, .. } => {
                common.jobs.discard_shared(vnis);
            }
            _ => {}
        }
    }
    if common.jobs.is_empty() {
        common.jobs.received = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_beyond_the_largest_slice_counts_for_the_slices_after_it() {
        let mut jobs = Jobs::default();
        jobs.received(1000);
        assert_eq!(jobs.take_budget(), SLICE, "without a job, received bytes do not count");
        jobs.push(Job::Leave);
        jobs.received((SLICE_MAX + 100) * BYTES_PER_ROUTE);
        assert_eq!(jobs.take_budget(), SLICE_MAX);
        assert_eq!(jobs.take_budget(), SLICE + SLICE + 100);
        assert_eq!(jobs.take_budget(), SLICE);
    }
}
