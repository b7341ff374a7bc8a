//! Virtual time: the clock, the events to come, and the futures that wait.
//!
//! Invariant: time never goes back, and moves only in [`Timeline::advance`]. Everything that happens is mixed into the digest, so two runs
//! with the same digest were the same run.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::task::Waker;
use std::time::Duration;

use super::HandleId;
use super::executor::TaskId;
use super::network::{AttemptId, ConnectionId, End, ListenerId};
use super::random::{Random, mix};
use super::resolver::LookupId;

/// A condition that futures wait for. Timers are first in the order, and among them the earliest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Place {
    /// A time.
    Timer(Duration),
    /// The time at which the tasks of this many wakeups have been polled.
    Yield(u64),
    /// The end of a task.
    Join(TaskId),
    Readable(ConnectionId, End),
    Writable(ConnectionId, End),
    Accept(ListenerId),
    Connect(AttemptId),
    Lookup(LookupId),
}

/// An event that happens at its time, whether or not a task waits for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Event {
    /// Bytes, or the end, that this end has written arrive at the other end.
    Arrival(ConnectionId, End),
    /// The reset by the other end arrives at this end.
    Reset(ConnectionId, End),
    /// This end is ready again after a `WouldBlock` without a reason.
    Unblocked(ConnectionId, End),
    /// A connection request arrives at its address.
    Request(AttemptId),
    /// The answer to a connection attempt arrives.
    Response(AttemptId),
    /// The answer of a name server arrives, if there is one.
    Answer(LookupId),
    /// All futures that wait for this condition are woken without a reason.
    Spurious(Place),
}

/// The id of a wait, which distinguishes futures that wait for the same condition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct WaitId(u64);

#[derive(Debug)]
struct Waiter {
    handle: HandleId,
    waker: Waker,
}

#[derive(Debug)]
pub(super) struct Timeline {
    now: Duration,
    events: BTreeSet<(Duration, u64, Event)>,
    waiters: BTreeMap<(Place, WaitId), Waiter>,
    /// The number of events and waiters so far, which is used as the next id.
    count: u64,
    /// The wakers to wake as soon as the lock is released.
    woken: Vec<Waker>,
    /// The wakers to drop as soon as the lock is released.
    dropped: Vec<Waker>,
    digest: u64,
    pub(super) random: Random,
}

impl Timeline {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            events: BTreeSet::new(),
            waiters: BTreeMap::new(),
            count: 0,
            woken: Vec::new(),
            dropped: Vec::new(),
            digest: 0,
            random: Random::new(seed),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Mixes an occurrence into the digest.
    pub(super) fn note(&mut self, what: &'static str, numbers: [u64; 2]) {
        let name = what.bytes().fold(0, |name, byte| name << 5 ^ name >> 59 ^ u64::from(byte));
        for number in [name, self.now.as_nanos() as u64, numbers[0], numbers[1]] {
            self.digest = mix(self.digest.rotate_left(5) ^ number);
        }
    }

    /// Schedules an event after a delay.
    pub(super) fn schedule(&mut self, delay: Duration, event: Event) {
        self.count += 1;
        self.events.insert((self.now + delay, self.count, event));
    }

    /// Returns the time of the next timer or event.
    pub(super) fn next(&self) -> Option<Duration> {
        let event = self.events.first().map(|(at, ..)| *at);
        event.into_iter().chain(self.next_timer()).min()
    }

    fn next_timer(&self) -> Option<Duration> {
        match self.waiters.first_key_value() {
            Some(((Place::Timer(at), _), _)) => Some(*at),
            _ => None,
        }
    }

    /// Moves the clock on.
    pub(super) fn advance(&mut self, to: Duration) {
        debug_assert!(self.now <= to);
        self.now = to;
    }

    /// Takes what is due. Returns an event, or `None` if a timer was due, whose futures are woken.
    pub(super) fn take_due(&mut self) -> Option<Event> {
        if let Some(at) = self.next_timer()
            && at <= self.now
        {
            self.wake(Place::Timer(at));
            self.note("timer", [0; 2]);
            return None;
        }
        let (_, number, event) = self.events.first().copied().filter(|(at, ..)| *at <= self.now)?;
        self.events.pop_first();
        self.note("event", [number, 0]);
        Some(event)
    }

    pub(super) fn is_due(&self) -> bool {
        self.next().is_some_and(|at| at <= self.now)
    }

    /// Returns a number that no other waiter has.
    pub(super) fn new_wait(&mut self) -> WaitId {
        self.count += 1;
        WaitId(self.count)
    }

    /// Registers the waker of a future's latest poll.
    pub(super) fn register(&mut self, handle: HandleId, place: Place, id: WaitId, waker: Waker) {
        let before = self.waiters.insert((place, id), Waiter { handle, waker });
        self.dropped.extend(before.map(|waiter| waiter.waker));
        // By the contract, waking once too often is harmless. This tests that the driver accepts it.
        if self.random.one_in(32) && !matches!(place, Place::Timer(_) | Place::Yield(_)) {
            let delay = Duration::from_micros(self.random.below(2000) as u64);
            self.schedule(delay, Event::Spurious(place));
        }
    }

    pub(super) fn unregister(&mut self, place: Place, id: WaitId) {
        let waiter = self.waiters.remove(&(place, id));
        self.dropped.extend(waiter.map(|waiter| waiter.waker));
    }

    /// Wakes all futures that wait for this condition.
    pub(super) fn wake(&mut self, place: Place) {
        let from = (place, WaitId(0));
        while let Some((key, _)) = self.waiters.range(from..).next()
            && key.0 == place
        {
            let key = *key;
            self.woken.extend(self.waiters.remove(&key).map(|waiter| waiter.waker));
        }
    }

    /// Wakes the futures that yielded first, if the tasks that were woken before have been polled. Returns true if there were any.
    pub(super) fn wake_yielded(&mut self, count_run: impl FnOnce() -> u64) -> bool {
        let first = (Place::Yield(0), WaitId(0));
        let Some(((Place::Yield(before), _), _)) = self.waiters.range(first..).next() else { return false };
        let place = Place::Yield(*before);
        let is_over = count_run() >= *before;
        if is_over {
            self.wake(place);
        }
        is_over
    }

    /// Takes the wakers to wake and those to drop, which is done without the lock.
    pub(super) fn take_wakers(&mut self) -> (Vec<Waker>, Vec<Waker>) {
        (mem::take(&mut self.woken), mem::take(&mut self.dropped))
    }

    /// Counts the wakers that are registered for a handle.
    pub(super) fn waiters_of(&self, handle: HandleId) -> usize {
        self.waiters.values().filter(|waiter| waiter.handle == handle).count()
    }

    /// Returns the conditions that futures wait for, each with the handle of the future.
    pub(super) fn waits(&self) -> impl Iterator<Item = (HandleId, Place)> {
        self.waiters.iter().map(|((place, _), waiter)| (waiter.handle, *place))
    }
}
