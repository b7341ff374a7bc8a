//! The executor: it owns the tasks, and chooses which of them runs next.
//!
//! Invariant: a task is polled only if it was woken since its latest poll, and the seed chooses one of all tasks that may run. The future
//! of a cancelled task is dropped at a step of its own, which is chosen in the same way.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use super::HandleId;
use super::random::{Random, mix};
use super::timeline::{Place, Timeline};

/// The future of a task.
pub(super) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The id of a task. The first task is the future that `block_on` runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct TaskId(pub(super) u64);

/// The future that `block_on` runs.
pub(super) const MAIN: TaskId = TaskId(0);

/// The tasks that were woken, in their order. It has a lock of its own, because a waker may be called from anywhere.
#[derive(Default, Debug)]
struct Woken(Mutex<Vec<TaskId>>);

/// The waker of a task. After the end of the task it does nothing.
struct TaskWaker {
    task: TaskId,
    woken: Arc<Woken>,
    /// True if the task was woken since its latest poll. Waking it again changes nothing.
    is_woken: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::SeqCst) {
            self.woken.0.lock().unwrap_or_else(PoisonError::into_inner).push(self.task);
        }
    }
}

struct Slot {
    handle: HandleId,
    /// The future; `None` while it is polled.
    work: Option<Work>,
    waker: Arc<TaskWaker>,
    is_cancelled: bool,
}

/// The next step of the executor.
pub(super) enum Step {
    /// Poll the main future.
    Main(Waker),
    /// Poll a task.
    Poll(TaskId, Work, Waker),
    /// Drop the future of a cancelled task.
    Drop(TaskId, Work),
    /// Handle an event of the network, or a timer.
    Event,
    /// Do nothing: the task has ended since it was woken.
    Skip,
}

/// The task that is preferred among those that may run. Every task runs at some time.
#[derive(Clone, Copy, Debug)]
enum Order {
    Any,
    /// Mostly the task that was woken first.
    Oldest,
    /// Mostly the task that was woken last.
    Newest,
    /// The tasks in the order of their wakeups, as in most runtimes, with events in between.
    Queue,
}

/// With [`Order::Queue`], every nth step is an event.
const EVENTS: u64 = 8;

pub(super) struct Executor {
    tasks: BTreeMap<TaskId, Slot>,
    /// The tasks that may run, each with the number of its wakeup.
    runnable: Vec<(u64, TaskId)>,
    /// The number of wakeups so far.
    wakeups: u64,
    woken: Arc<Woken>,
    main: Option<Arc<TaskWaker>>,
    spawned: u64,
    steps: u64,
    order: Order,
    /// A random number. A task is seldom chosen while others may run if its number, mixed with this one, is a multiple of 8.
    lazy: u64,
    /// The time that each step takes.
    cost: Duration,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("tasks", &self.tasks.len())
            .field("steps", &self.steps)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}

impl Executor {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            tasks: BTreeMap::new(),
            runnable: Vec::new(),
            wakeups: 0,
            woken: Arc::default(),
            main: None,
            spawned: 0,
            steps: 0,
            order: random.choose(&[Order::Any, Order::Any, Order::Oldest, Order::Newest, Order::Queue]),
            lazy: random.next(),
            cost: Duration::from_micros(random.choose(&[1, 1, 10])),
        }
    }

    pub(super) fn set_cost(&mut self, cost: Duration) {
        self.cost = cost;
    }

    fn waker(&self, task: TaskId) -> Arc<TaskWaker> {
        let waker = TaskWaker { task, woken: Arc::clone(&self.woken), is_woken: AtomicBool::new(false) };
        Arc::new(waker)
    }

    pub(super) fn spawn(&mut self, handle: HandleId, work: Work) -> TaskId {
        self.spawned += 1;
        let task = TaskId(self.spawned);
        let waker = self.waker(task);
        waker.wake_by_ref();
        self.tasks.insert(task, Slot { handle, work: Some(work), waker, is_cancelled: false });
        task
    }

    /// Adds a main future, which may run at once.
    pub(super) fn begin_main(&mut self) {
        assert!(self.main.is_none(), "block_on is called within block_on");
        let waker = self.waker(MAIN);
        waker.wake_by_ref();
        self.main = Some(waker);
    }

    pub(super) fn end_main(&mut self) {
        self.main = None;
    }

    /// Ends a task. Returns its future, to be dropped at once, or marks it, to be dropped in one of the next steps.
    pub(super) fn cancel(&mut self, task: TaskId, timeline: &mut Timeline) -> Option<Work> {
        let slot = self.tasks.get_mut(&task)?;
        slot.is_cancelled = true;
        slot.waker.wake_by_ref();
        if !timeline.random.one_in(4) {
            return None;
        }
        let work = slot.work.take()?;
        self.end(task, timeline);
        Some(work)
    }

    /// Cancels all tasks of a handle.
    pub(super) fn cancel_all(&mut self, handle: HandleId) {
        for slot in self.tasks.values_mut().filter(|slot| slot.handle == handle) {
            slot.is_cancelled = true;
            slot.waker.wake_by_ref();
        }
    }

    pub(super) fn has_ended(&self, task: TaskId) -> bool {
        !self.tasks.contains_key(&task)
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn tasks_of(&self, handle: HandleId) -> usize {
        self.tasks.values().filter(|slot| slot.handle == handle).count()
    }

    /// Returns the number of tasks that may run.
    pub(super) fn count_runnable(&mut self) -> usize {
        for task in self.woken.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.wakeups += 1;
            self.runnable.push((self.wakeups, task));
        }
        self.runnable.len()
    }

    /// Returns the number of wakeups so far.
    pub(super) fn count_woken(&mut self) -> u64 {
        self.count_runnable();
        self.wakeups
    }

    /// Returns the number of wakeups after which all woken tasks have run.
    pub(super) fn count_run(&mut self) -> u64 {
        self.count_runnable();
        self.runnable.iter().map(|(number, _)| *number - 1).min().unwrap_or(self.wakeups)
    }

    /// Chooses the next step. Returns `None` if no task may run and no event is due.
    pub(super) fn next_step(&mut self, timeline: &mut Timeline) -> Option<Step> {
        let runnable = self.count_runnable();
        let choices = runnable + usize::from(timeline.is_due());
        if choices == 0 {
            return None;
        }
        self.steps += 1;
        timeline.advance(timeline.now() + self.cost);
        let at = self.choose(runnable, choices, &mut timeline.random);
        if at == runnable {
            return Some(Step::Event);
        }
        let (_, task) = self.runnable.remove(at);
        timeline.note("step", [task.0, choices as u64]);
        Some(self.begin(task))
    }

    fn choose(&self, runnable: usize, choices: usize, random: &mut Random) -> usize {
        let at = match self.order {
            Order::Queue if self.steps.is_multiple_of(EVENTS) => return choices - 1,
            Order::Queue => return 0,
            Order::Oldest if !random.one_in(8) => 0,
            Order::Newest if !random.one_in(8) => choices - 1,
            _ => random.below(choices),
        };
        let is_lazy = at < runnable && self.is_lazy(self.runnable[at].1);
        if is_lazy && !random.one_in(16) { random.below(choices) } else { at }
    }

    fn is_lazy(&self, task: TaskId) -> bool {
        mix(self.lazy ^ task.0).is_multiple_of(8)
    }

    fn begin(&mut self, task: TaskId) -> Step {
        let (waker, work) = match self.tasks.get_mut(&task) {
            Some(slot) => (&slot.waker, slot.work.take()),
            None => match &self.main {
                Some(waker) if task == MAIN => (waker, None),
                _ => return Step::Skip,
            },
        };
        waker.is_woken.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(waker));
        match work {
            None if task == MAIN => Step::Main(waker),
            // The task was cancelled, and the drop of its future, which is under way, has woken it.
            None => Step::Skip,
            Some(work) if self.tasks[&task].is_cancelled => Step::Drop(task, work),
            Some(work) => Step::Poll(task, work, waker),
        }
    }

    /// Puts the future of a task back after a poll.
    pub(super) fn park(&mut self, task: TaskId, work: Work) {
        if let Some(slot) = self.tasks.get_mut(&task) {
            slot.work = Some(work);
            if slot.is_cancelled {
                slot.waker.wake_by_ref();
            }
        }
    }

    /// Removes a task after its future has ended and was dropped.
    pub(super) fn end(&mut self, task: TaskId, timeline: &mut Timeline) {
        self.tasks.remove(&task);
        timeline.wake(Place::Join(task));
        timeline.note("end", [task.0, 0]);
    }

    /// Takes all futures, to drop them.
    pub(super) fn take_all(&mut self) -> Vec<Work> {
        std::mem::take(&mut self.tasks).into_values().filter_map(|slot| slot.work).collect()
    }
}
