//! A runtime in which nothing is real, so that the same seed gives the same run: one thread, virtual time, sockets in memory.
//!
//! What a runtime may do by its contract and seldom does, this one does often: tasks run in any order, reads and writes take a part only,
//! futures are woken without a reason, timers are late. What goes wrong is for the test to say: [`Fault`], [`Simulation::reset`],
//! [`Answer`], [`Host::kill`].
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

/// A [`Host`] value and its clones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct HandleId(u64);

/// More steps than this without a pause are a task that spins.
const STEPS_MAX: u64 = 500_000;

/// A world of hosts, and the thread that it runs on. Dropping it drops all tasks.
pub struct Simulation {
    shared: Arc<Shared>,
    seed: u64,
}

/// What a simulation and its hosts share.
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
    /// What tasks have said that panicked.
    panics: Vec<String>,
}

impl Shared {
    /// Looks at the state, and wakes who has to be woken when the lock is released.
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let value = look(&mut state);
        let (woken, dropped) = state.timeline.take_wakers();
        drop(state);
        woken.into_iter().for_each(|waker| waker.wake());
        drop(dropped);
        value
    }

    /// Waits until `check` says that something is ready. It is asked at each poll; `place` is what wakes the future.
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

/// A waker that may be registered, until this is dropped.
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

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ran {
    Something,
    /// The main future may be polled.
    Main,
    /// Nothing is left to do now.
    Nothing,
}

impl Simulation {
    /// Makes a world without hosts. All that is left to chance is chosen by the seed.
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

    /// Returns a checksum of all that has happened so far.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.shared.with(|state| state.timeline.digest())
    }

    /// Returns how many steps there were.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.shared.with(|state| state.executor.steps())
    }

    /// Sets how long a step takes, which is up to 10 µs otherwise. The longer it is, the busier is the machine.
    pub fn set_step_time(&self, time: Duration) {
        self.shared.with(|state| state.executor.set_cost(time));
    }

    /// Returns what the tasks have said that panicked.
    #[must_use]
    pub fn panics(&self) -> Vec<String> {
        self.shared.with(|state| state.panics.clone())
    }

    /// Runs a future and all tasks until the future is ready. It is one of the tasks: what runs next is left to chance.
    ///
    /// # Panics
    /// If nothing is left that could ever wake the future: a deadlock.
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

    /// Runs this many steps, or fewer if no task may run and nothing is due. Time passes only as the steps take it.
    pub fn run_steps(&self, steps: usize) {
        for _ in 0..steps {
            if self.step().0 == Ran::Nothing {
                return;
            }
        }
    }

    /// Runs tasks until nothing is left to be done, now or later: no event, no timer. Returns false if something is left at this time.
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

    /// Does one thing. The waker is for the main future, if that may be polled.
    fn step(&self) -> (Ran, Option<std::task::Waker>) {
        let step = self.shared.with(|state| {
            let State { executor, timeline, .. } = state;
            // A task that has yielded goes on after everything that is due.
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

    /// Lets something go wrong from now on.
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

    /// Breaks a connection: both ends see a reset. What was not read may be lost.
    pub fn reset(&self, connection: ConnectionId) {
        self.shared.with(|state| state.network.reset(connection, &mut state.timeline));
    }

    /// Makes a connection broad: this end always has something to read, as far as it is written, but gets `read` bytes at a time only.
    /// Waiting for it, reading and writing are as they mostly are.
    pub fn make_broad(&self, connection: ConnectionId, end: End, read: usize) {
        self.shared.with(|state| state.network.make_broad(connection, end, read));
    }

    /// Replaces what becomes of the lookups of a name. Without it, the name does not exist.
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
        // The tasks hold the state, and may start others when they are dropped.
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
