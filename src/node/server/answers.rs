//! Answers to KEEPALIVEs that are withheld until the subscriptions before them are synced, because an answer is the End-of-RIB of a peer with
//! `ordered`.
//!
//! Invariant: answers are released in the order of their KEEPALIVEs. At most `MAX_RUNS` entries are kept, so that a peer cannot fill this node's
//! memory with KEEPALIVEs; when there would be more, an answer waits longer than it has to.

use alloc::collections::VecDeque;

/// The most entries.
const MAX_RUNS: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Answers that wait for a subscription's sync: the subscription's number, and how many answers wait.
    runs: VecDeque<(u64, u32)>,
}

impl Answers {
    /// Adds the answer to a KEEPALIVE. `last_unsynced`: the number of the last subscription that is not synced. Returns how many answers
    /// may be sent at once: one or none.
    pub(super) fn add(&mut self, last_unsynced: Option<u64>) -> u32 {
        let is_full = self.runs.len() >= MAX_RUNS;
        match (last_unsynced, self.runs.back_mut()) {
            (None, None) => return 1,
            (Some(until), Some((last, answers))) if *last == until => *answers = answers.saturating_add(1),
            (Some(until), Some((last, answers))) if is_full => {
                *last = until.max(*last);
                *answers = answers.saturating_add(1);
            }
            (Some(until), _) => self.runs.push_back((until, 1)),
            // All subscriptions are synced, but earlier answers are not released yet: this one goes after them.
            (None, Some((_, answers))) => *answers = answers.saturating_add(1),
        }
        0
    }

    /// Releases the answers that wait for subscriptions before `first_unsynced` only. Returns how many.
    pub(super) fn release(&mut self, first_unsynced: Option<u64>) -> u32 {
        let mut released = 0u32;
        while let Some(&(until, answers)) = self.runs.front()
            && first_unsynced.is_none_or(|first| until < first)
        {
            released = released.saturating_add(answers);
            self.runs.pop_front();
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_waits_for_the_subscriptions_before_it_and_for_earlier_answers() {
        let mut answers = Answers::default();
        assert_eq!(answers.add(None), 1);
        assert_eq!([Some(1), Some(1), Some(3), None].map(|last| answers.add(last)), [0; 4]);
        assert_eq!(answers.release(Some(1)), 0);
        assert_eq!(answers.release(Some(2)), 2);
        assert_eq!(answers.release(None), 2);
        assert_eq!(answers.add(None), 1);
    }

    #[test]
    fn the_memory_for_withheld_answers_is_bounded_and_none_is_lost() {
        let mut answers = Answers::default();
        for number in 1..=1000 {
            assert_eq!(answers.add(Some(number)), 0);
        }
        assert_eq!(answers.runs.len(), MAX_RUNS);
        assert_eq!(answers.release(None), 1000);
    }
}
