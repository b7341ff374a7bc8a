//! A model of the receiving end of a TCP connection: how a client that reads slowly, or stops, looks to the one that sends to it. Without a
//! delay of the network.

use std::time::Duration;

/// How long an acknowledgement is delayed at most.
const DELAYED: Duration = Duration::from_millis(40);

#[derive(Clone, Debug)]
pub(crate) struct Reader {
    /// The most bytes that wait unread.
    capacity: u64,
    /// How many more bytes the receiver has room for than its window shows, at first: unread bytes hide there.
    hidden: u64,
    /// Bytes per second.
    rate: u64,
    now: Duration,
    /// All bytes that were written for this reader, that have arrived, were acknowledged and were read.
    written: u64,
    arrived: u64,
    acknowledged: u64,
    read: u64,
    /// Up to which byte the receiver has said that it has room.
    edge: u64,
    /// Since when an acknowledgement is due.
    due_since: Option<Duration>,
    pub(crate) unread_max: u64,
}

impl Reader {
    pub(crate) fn new(capacity: u64, hidden: u64, now: Duration) -> Self {
        Self {
            capacity,
            hidden,
            rate: 0,
            now,
            written: 0,
            arrived: 0,
            acknowledged: 0,
            read: 0,
            edge: capacity,
            due_since: None,
            unread_max: 0,
        }
    }

    /// Sets how fast this reader reads from now on, in bytes per second.
    pub(crate) fn set_rate(&mut self, rate: u64, now: Duration) {
        self.pass(now);
        self.rate = rate;
    }

    /// Has the window shrink for ever, as if the receiver lacked memory.
    pub(crate) fn shrink(&mut self, by: u64) {
        self.capacity = self.capacity.saturating_sub(by).max(4096);
    }

    pub(crate) fn write(&mut self, bytes: u64, now: Duration) {
        self.pass(now);
        self.written += bytes;
        self.arrive();
    }

    /// Returns the window and the unacknowledged bytes, as the sender sees them.
    pub(crate) fn measure(&mut self, now: Duration) -> (u32, u32) {
        self.pass(now);
        ((self.edge - self.acknowledged) as u32, (self.written - self.acknowledged) as u32)
    }

    pub(crate) fn has_read_all(&mut self, now: Duration) -> bool {
        self.pass(now);
        self.read == self.written
    }

    fn unread(&self) -> u64 {
        self.arrived - self.read
    }

    fn arrive(&mut self) {
        let arrived = self.written.min(self.edge);
        if arrived > self.arrived {
            self.arrived = arrived;
            self.due_since.get_or_insert(self.now);
            self.unread_max = self.unread_max.max(self.unread());
        }
    }

    /// Lets time pass in steps of a millisecond at most.
    fn pass(&mut self, now: Duration) {
        while self.now < now {
            let step = (now - self.now).min(Duration::from_millis(1));
            self.now += step;
            let before = self.unread();
            let read = (self.rate * step.as_micros() as u64 / 1_000_000).min(before);
            self.read += read;
            let has_emptied = before > 0 && read == before;
            let is_late = self.due_since.is_some_and(|since| self.now >= since + DELAYED);
            // A window that has at least doubled is reported without need.
            let room = self.arrived + self.capacity.saturating_sub(self.unread());
            let has_doubled =
                room >= self.edge + self.capacity / 2 && room - self.arrived >= 2 * (self.edge - self.arrived);
            if self.due_since.is_some() && (has_emptied || is_late) || has_doubled {
                self.acknowledge();
            }
        }
    }

    fn acknowledge(&mut self) {
        self.due_since = None;
        self.acknowledged = self.arrived;
        let shown = self.capacity.min((self.capacity + self.hidden).saturating_sub(self.unread()));
        // The right edge of a window never moves back; and windows are rounded.
        self.edge = self.edge.max(self.arrived + shown / 1024 * 1024);
        self.arrive();
    }
}
