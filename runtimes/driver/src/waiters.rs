//! The callers that wait until a session with a server is ESTABLISHED. The actor answers them when the node reports the state, so that no
//! caller has to poll. A caller that has stopped waiting costs an entry until a sweep removes it.

use std::collections::BTreeMap;

use metalbond::{ApiMisuse, CommandError, PeerId, SessionState, Transition};

use crate::mailbox::Answer;

/// The number of entries at which those of callers that have stopped waiting are removed for the first time.
const SWEEP_AT: usize = 16;

type Waiter = Answer<Result<(), CommandError>>;

/// The waiting callers by server. Dropping it answers them with "closed".
#[derive(Debug)]
pub(crate) struct Waiters {
    by_peer: BTreeMap<PeerId, Vec<Waiter>>,
    count: usize,
    sweep_at: usize,
}

impl Default for Waiters {
    fn default() -> Self {
        Self { by_peer: BTreeMap::new(), count: 0, sweep_at: SWEEP_AT }
    }
}

impl Waiters {
    /// Answers a caller at once if the state of the session allows it, otherwise notes the caller. `state` is `None` if there is no such
    /// server.
    pub(crate) fn wait(&mut self, peer: PeerId, state: Option<SessionState>, waiter: Waiter) {
        // Sending the answer fails if the caller has stopped waiting.
        match state {
            None => drop(waiter.send(Err(ApiMisuse::NoSuchPeer.into()))),
            Some(SessionState::Established) => drop(waiter.send(Ok(()))),
            Some(_) => {
                self.by_peer.entry(peer).or_default().push(waiter);
                self.count += 1;
                if self.count >= self.sweep_at {
                    self.sweep();
                }
            }
        }
    }

    /// Answers the callers for a transition: the session with their server has opened, or the server was removed.
    pub(crate) fn transition(&mut self, transition: &Transition) {
        let Some(peer) = &transition.peer else { return };
        let answer = match transition.new {
            SessionState::Established => Ok(()),
            SessionState::Closed => Err(ApiMisuse::NoSuchPeer.into()),
            _ => return,
        };
        let waiters = self.by_peer.remove(&peer.id).unwrap_or_default();
        self.count -= waiters.len();
        for waiter in waiters {
            let _ = waiter.send(answer);
        }
    }

    /// Answers all callers with "closed".
    pub(crate) fn close(&mut self) {
        *self = Self::default();
    }

    fn sweep(&mut self) {
        for waiters in self.by_peer.values_mut() {
            waiters.retain(|waiter| !waiter.is_canceled());
        }
        self.by_peer.retain(|_, waiters| !waiters.is_empty());
        self.count = self.by_peer.values().map(Vec::len).sum();
        self.sweep_at = SWEEP_AT + 2 * self.count;
    }
}

#[cfg(test)]
mod tests {
    use futures_channel::oneshot;

    use super::*;

    #[test]
    fn callers_that_have_stopped_waiting_do_not_pile_up() {
        let mut waiters = Waiters::default();
        let mut waiting = Vec::new();
        for n in 0..10_000 {
            let (waiter, answer) = oneshot::channel();
            waiters.wait(PeerId(n % 3), Some(SessionState::Retry), waiter);
            if n % 1000 == 0 {
                waiting.push(answer);
            }
        }
        assert!(waiters.count <= SWEEP_AT + 2 * waiting.len(), "{}", waiters.count);
        waiters.close();
        assert!(waiting.iter_mut().all(|answer| answer.try_recv().is_err()), "closed");
    }
}
