//! A simulated runtime in which the same seed gives the same run: one thread, virtual time, sockets in memory.
//!
//! It often does what a real runtime may do by its contract and does seldom: tasks run in any order, reads and writes transfer only a part,
//! futures are woken without a reason, timers are late. The test chooses the failures: [`Fault`], [`Simulation::reset`], [`Answer`],
//! [`Host::kill`].
//!
//! ```text
//!   Simulation   what a test does with all of it       Host   what a node sees: the runtime
//!        |                                              |
//!        +-----------------> Shared <-------------------+     one lock, which is never held while foreign code runs
//!                              |
//!       executor: tasks   network, pipe: sockets   resolver: names
//!                              |
//!                 timeline: clock, events, waiters, chance, digest
//! ```
//!
//! A step is one poll of a task, one drop of a task that was cancelled, or one event of the network or the clock. When no task may run,
//! time jumps to the next event.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

mod executor;
mod host;
mod network;
mod pipe;
mod random;
mod resolver;
#[cfg(test)]
mod tests;
mod timeline;

pub use host::{Host, SimulatedListener, SimulatedStream, SimulatedTask, Usage};
pub use network::{ConnectionId, End, Fault};
pub use resolver::{Answer, Lookups};

use executor::{Executor, Step};
use network::Network;
use resolver::Resolver;
use timeline::{Event, Place, Timeline, WaitId};

/// The identity that a [`Host`] value shares with its clones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct HandleId(u64);

/// The number of steps without a pause at which a task is considered to spin.
const STEPS_MAX: u64 = 500_000;

/// A set of hosts and their network, which run on the current thread. Dropping it drops all tasks.
pub struct Simulation {
    shared: Arc<Shared>,
    seed: u64,
}

/// The state that a simulation and its hosts share.
struct Shared {
    state: Mutex<State>,
    /// The time at which the clock starts.
    base: Instant,
}

#[derive(Debug)]
struct State {
    executor: Executor,
    network: Network,
    resolver: Resolver,
    timeline: Timeline,
    handles: u64,
    /// The messages of tasks that panicked.
    panics: Vec<String>,
}

impl Shared {
    /// Calls `look` with the state. After releasing the lock, wakes the futures that `look` marked.
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let value = look(&mut state);
        let (woken, dropped) = state.timeline.take_wakers();
        drop(state);
        woken.into_iter().for_each(|waker| waker.wake());
        drop(dropped);
        value
    }

    /// Waits until `check` returns `Ready`. It is called at each poll; waking `place` wakes the future.
    fn wait<'s, T>(
        &'s self,
        handle: HandleId,
        place: Place,
        mut check: impl FnMut(&mut State) -> Poll<T> + Send + 's,
    ) -> impl Future<Output = T> + Send + 's {
        let mut wait = Wait { shared: self, handle, place, id: None };
        poll_fn(move |cx| wait.poll(cx, &mut check))
    }
}

/// A registered waker, which is removed when this is dropped.
struct Wait<'s> {
    shared: &'s Shared,
    handle: HandleId,
    place: Place,
    id: Option<WaitId>,
}

impl Wait<'_> {
    fn poll<T>(&mut self, cx: &mut Context<'_>, check: &mut impl FnMut(&mut State) -> Poll<T>) -> Poll<T> {
        let waker = cx.waker().clone();
        self.shared.with(|state| {
            let result = check(state);
            if result.is_pending() {
                let id = *self.id.get_or_insert_with(|| state.timeline.new_wait());
                state.timeline.register(self.handle, self.place, id, waker);
            } else if let Some(id) = self.id.take() {
                state.timeline.unregister(self.place, id);
            }
            result
        })
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.shared.with(|state| state.timeline.unregister(self.place, id));
        }
    }
}

/// The result of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ran {
    Something,
    /// The main future may be polled.
    Main,
    /// There is nothing to do at this time.
    Nothing,
}

impl Simulation {
    /// Makes a simulation without hosts. The seed decides everything that is random.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut timeline = Timeline::new(seed);
        let state = State {
            executor: Executor::new(&mut timeline.random),
            network: Network::default(),
            resolver: Resolver::default(),
            timeline,
            handles: 0,
            panics: Vec::new(),
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), base: Instant::now() }), seed }
    }

    /// Returns a new handle of the host with this address.
    #[must_use]
    pub fn host(&self, ip: IpAddr) -> Host {
        let id = self.shared.with(|state| {
            state.network.add_host(ip);
            state.handles += 1;
            HandleId(state.handles)
        });
        Host::new(Arc::clone(&self.shared), id, ip)
    }

    /// Returns the time since the start of the simulation.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.with(|state| state.timeline.now())
    }

    /// Returns a checksum of everything that has happened so far.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.shared.with(|state| state.timeline.digest())
    }

    /// Returns the number of steps so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.shared.with(|state| state.executor.steps())
    }

    /// Sets the time that a step takes, which is otherwise 1 or 10 µs. A longer time simulates a busier machine.
    pub fn set_step_time(&self, time: Duration) {
        self.shared.with(|state| state.executor.set_cost(time));
    }

    /// Returns the messages of tasks that panicked.
    #[must_use]
    pub fn panics(&self) -> Vec<String> {
        self.shared.with(|state| state.panics.clone())
    }

    /// Runs a future and all tasks until the future is ready. The future is one of the tasks: the seed chooses what runs next.
    ///
    /// # Panics
    /// If no event is left that could wake the future: a deadlock.
    pub fn block_on<F: Future>(&self, main: F) -> F::Output {
        let mut main = pin!(main);
        self.shared.with(|state| state.executor.begin_main());
        let mut steps = 0;
        let output = loop {
            let (ran, waker) = self.step();
            match (ran, waker) {
                (Ran::Main, Some(waker)) => {
                    if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                        break output;
                    }
                }
                (Ran::Nothing, _) => {
                    steps = 0;
                    assert!(self.jump(None), "deadlock: nothing is left that could wake the main future. {self:#?}");
                }
                _ => {}
            }
            self.count(&mut steps);
        };
        self.shared.with(|state| state.executor.end_main());
        output
    }

    /// Runs tasks until this time.
    pub fn run_until(&self, time: Duration) {
        let mut steps = 0;
        while self.now() < time {
            if self.step().0 == Ran::Nothing {
                self.jump(Some(time));
                steps = 0;
            } else {
                self.count(&mut steps);
            }
        }
    }

    /// Runs tasks for some time.
    pub fn run_for(&self, time: Duration) {
        self.run_until(self.now() + time);
    }

    /// Runs this many steps, or fewer if no task may run and no event is due. Time passes only by the time that the steps take.
    pub fn run_steps(&self, steps: usize) {
        for _ in 0..steps {
            if self.step().0 == Ran::Nothing {
                return;
            }
        }
    }

    /// Runs tasks until there is nothing to do, now or later: no event, no timer. Returns false if there is something to do after `limit`.
    #[must_use]
    pub fn run_until_idle(&self, limit: Duration) -> bool {
        let mut steps = 0;
        loop {
            match self.step() {
                (Ran::Nothing, _) => {
                    let Some(next) = self.shared.with(|state| state.timeline.next()) else { return true };
                    if next > limit {
                        return false;
                    }
                    self.jump(None);
                    steps = 0;
                }
                _ => self.count(&mut steps),
            }
        }
    }

    fn count(&self, steps: &mut u64) {
        *steps += 1;
        assert!(*steps < STEPS_MAX, "a task spins: {STEPS_MAX} steps without a pause. {self:#?}");
    }

    /// Jumps to the next event, or to the limit if that comes first. Returns false if there is neither.
    fn jump(&self, limit: Option<Duration>) -> bool {
        self.shared.with(|state| {
            let now = state.timeline.now();
            let next = state.timeline.next().into_iter().chain(limit).min();
            next.inspect(|next| state.timeline.advance((*next).max(now))).is_some()
        })
    }

    /// Runs one step. Returns a waker for the main future, if that may be polled.
    fn step(&self) -> (Ran, Option<std::task::Waker>) {
        let step = self.shared.with(|state| {
            let State { executor, timeline, .. } = state;
            // A task that has yielded runs after all tasks and events that are due.
            if !timeline.is_due() && timeline.wake_yielded(|| executor.count_run()) {
                return Some(Step::Skip);
            }
            let step = executor.next_step(timeline);
            if let Some(Step::Event) = step {
                state.handle_event();
            }
            step
        });
        let ran = match step {
            None => Ran::Nothing,
            Some(Step::Main(waker)) => return (Ran::Main, Some(waker)),
            Some(Step::Event | Step::Skip) => Ran::Something,
            Some(Step::Drop(task, work)) => {
                let result = catch_unwind(AssertUnwindSafe(move || drop(work)));
                self.end(task, result.err());
                Ran::Something
            }
            Some(Step::Poll(task, mut work, waker)) => {
                let poll = || work.as_mut().poll(&mut Context::from_waker(&waker));
                match catch_unwind(AssertUnwindSafe(poll)) {
                    Ok(Poll::Pending) => self.shared.with(|state| state.executor.park(task, work)),
                    Ok(Poll::Ready(())) => {
                        let result = catch_unwind(AssertUnwindSafe(move || drop(work)));
                        self.end(task, result.err());
                    }
                    Err(panic) => {
                        let _ = catch_unwind(AssertUnwindSafe(move || drop(work)));
                        self.end(task, Some(panic));
                    }
                }
                Ran::Something
            }
        };
        (ran, None)
    }

    fn end(&self, task: executor::TaskId, panic: Option<Box<dyn Any + Send>>) {
        let message = panic.map(|panic| match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
            (Some(message), _) => message.clone(),
            (None, Some(message)) => (*message).to_owned(),
            (None, None) => "a panic without words".to_owned(),
        });
        self.shared.with(|state| {
            state.panics.extend(message);
            state.executor.end(task, &mut state.timeline);
        });
    }

    /// Sets a fault, which lasts until it is cleared.
    pub fn set_fault(&self, fault: Fault) {
        self.shared.with(|state| state.network.set_fault(fault));
    }

    /// Ends a fault.
    pub fn clear_fault(&self, fault: Fault) {
        self.shared.with(|state| state.network.clear_faults(|f| *f == fault, &mut state.timeline));
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.shared.with(|state| state.network.clear_faults(|_| true, &mut state.timeline));
    }

    /// Returns the connections of which at least one end is open, in the order in which they were opened.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.shared.with(|state| state.network.connections())
    }

    /// Breaks a connection: both ends see a reset. Bytes that were not read may be lost.
    pub fn reset(&self, connection: ConnectionId) {
        self.shared.with(|state| state.network.reset(connection, &mut state.timeline));
    }

    /// Makes a connection fast for one end: written bytes can be read at once, but at most `read` bytes at a time. Waiting, reading and
    /// writing on it never fail or end without a reason.
    pub fn make_broad(&self, connection: ConnectionId, end: End, read: usize) {
        self.shared.with(|state| state.network.make_broad(connection, end, read));
    }

    /// Sets the answer to lookups of a name. Without one, the name does not exist.
    pub fn set_answer(&self, name: &str, answer: Answer) {
        self.shared.with(|state| state.resolver.set(name, answer, &mut state.timeline));
    }
}

impl State {
    fn handle_event(&mut self) {
        match self.timeline.take_due() {
            Some(Event::Answer(lookup)) => self.resolver.answer(lookup, &mut self.timeline),
            Some(Event::Spurious(place)) => self.timeline.wake(place),
            Some(event) => self.network.handle(event, &mut self.timeline),
            None => {}
        }
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // The tasks have references to the state, and their drop may start other tasks.
        loop {
            let tasks = self.shared.with(|state| state.executor.take_all());
            if tasks.is_empty() {
                return;
            }
            for task in tasks {
                let _ = catch_unwind(AssertUnwindSafe(move || drop(task)));
            }
        }
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waits: Vec<_> = state.timeline.waits().collect();
        f.debug_struct("Simulation")
            .field("seed", &self.seed)
            .field("now", &state.timeline.now())
            .field("executor", &state.executor)
            .field("waits", &waits)
            .finish_non_exhaustive()
    }
}
