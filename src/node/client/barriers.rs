//! Barriers: KEEPALIVEs of which the answer proves that the server has read what was sent before them. The n-th answer is that to the n-th
//! KEEPALIVE of the session.
//!
//! Invariant: `answered` is at most `sent`. `unproven` is the number of bytes that were counted since the last KEEPALIVE that was answered as a
//! probe.

use super::super::transmit::Frames;

#[derive(Debug)]
pub(super) struct Barriers {
    /// KEEPALIVEs sent, and answered.
    sent: u64,
    answered: u64,
    /// A KEEPALIVE is to follow what is being sent.
    is_due: bool,
    /// Bytes sent that no answer has proven to be read yet.
    unproven: usize,
    /// The number of a KEEPALIVE, and the unproven bytes before it.
    probe: Option<(u64, usize)>,
    /// The KEEPALIVE whose answer proves that the server has read that this node leaves for good.
    last: Option<u64>,
}

impl Barriers {
    /// For a session that has just been established, by the answer to the first KEEPALIVE.
    pub(super) fn new() -> Self {
        Self { sent: 1, answered: 1, is_due: false, unproven: 0, probe: None, last: None }
    }

    /// Notes that KEEPALIVEs were sent that are no barriers.
    pub(super) fn sent(&mut self, n: u32) {
        self.sent += u64::from(n);
    }

    /// Returns the number of the KEEPALIVE that will follow what is sent now.
    pub(super) fn next(&mut self) -> u64 {
        self.is_due = true;
        self.sent + 1
    }

    /// Adds bytes that an answer is to prove.
    pub(super) fn add_unproven(&mut self, bytes: usize) {
        self.unproven += bytes;
    }

    /// Returns whether so many bytes more may be sent before an answer proves some. `window`: the most unproven bytes.
    pub(super) fn has_room(&self, bytes: usize, window: usize) -> bool {
        self.unproven.saturating_add(bytes) <= window
    }

    /// Adds the KEEPALIVE that is due as a barrier, or because half of the window is unproven.
    pub(super) fn put_due(&mut self, frames: &mut Frames, window: usize) {
        // The other half can be sent while the answer is on its way.
        let is_probed = self.probe.is_some() || self.unproven < window / 2;
        if self.is_due || !is_probed {
            self.is_due = false;
            self.sent += 1;
            if !is_probed {
                self.probe = Some((self.sent, self.unproven));
            }
            frames.keepalive();
        }
    }

    /// Notes an answer. Returns the number of the KEEPALIVE that is answered.
    pub(super) fn answer(&mut self) -> u64 {
        // One answer for each KEEPALIVE; more is the server's mistake.
        self.answered = (self.answered + 1).min(self.sent);
        if let Some((number, bytes)) = self.probe
            && number <= self.answered
        {
            self.unproven -= bytes;
            self.probe = None;
        }
        self.answered
    }

    /// Notes that all withdrawals of a node that leaves for good are in the transmits until now.
    pub(super) fn put_last(&mut self) {
        if self.last.is_none() {
            self.last = Some(self.next());
        }
    }

    /// Returns whether the server has read that this node leaves.
    pub(super) fn is_last_answered(&self) -> bool {
        self.last.is_some_and(|number| number <= self.answered)
    }
}
