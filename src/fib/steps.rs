//! The operations of a FIB in their order: those to be done next, and those that the kernel has yet to answer.

use alloc::collections::VecDeque;

use super::routes::Key;
use super::targets::TargetId;

/// An operation, by the FIB's own names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    AddObject(TargetId),
    RemoveObject(TargetId),
    /// Has a group have the next hops of another target.
    ReplaceGroup(TargetId, TargetId),
    /// [`TargetId::NONE`] removes the route.
    SetRoute(Key, TargetId),
    /// Removes the destination's first surplus route.
    RemoveSurplus(Key),
}

#[derive(Debug, Default)]
pub(super) struct Steps {
    ready: VecDeque<Step>,
    under_way: VecDeque<Step>,
}

impl Steps {
    /// Adds an operation after all others.
    pub(super) fn push(&mut self, step: Step) {
        self.ready.push_back(step);
    }

    /// Returns the next operation, which is under way from now on.
    pub(super) fn begin(&mut self) -> Option<Step> {
        let step = self.ready.pop_front()?;
        self.under_way.push_back(step);
        Some(step)
    }

    /// Returns the earliest operation that is under way, which has ended.
    pub(super) fn end(&mut self) -> Option<Step> {
        self.under_way.pop_front()
    }

    /// Returns whether nothing is to be done, and nothing is under way.
    pub(super) fn are_done(&self) -> bool {
        self.ready.is_empty() && self.under_way.is_empty()
    }
}
