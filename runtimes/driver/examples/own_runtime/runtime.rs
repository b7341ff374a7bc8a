//! A runtime on poll(2) and the standard library. The thread that calls [`Own::run`] runs everything except name lookups.
//!
//! Invariant *no foreign code under the lock*: while a thread holds the lock of [`State`], it neither polls nor drops a future, and
//! neither wakes nor drops a waker. Each of these may run code that takes the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Instant;

use metalbond_driver::{Runtime, Stream, Task, socket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// A handle to the runtime.
#[derive(Clone)]
pub(crate) struct Own(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// A pair of connected sockets. A byte that is written to the first wakes the thread that waits in poll(2) for the second.
    bell: (UnixStream, UnixStream),
}

#[derive(Default)]
struct State {
    /// A future is absent while it is polled.
    tasks: BTreeMap<Id, Option<BoxFuture>>,
    /// The ids of the tasks that the next iteration polls. Ids of tasks that have ended are ignored.
    runnable: BTreeSet<Id>,
    waits: BTreeMap<Id, Wait>,
    /// True while the thread waits in poll(2), or is about to, and no byte has been written to `bell` since.
    is_asleep: bool,
    last_id: Id,
}

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The id of a task or of a wait; no id is used twice, and none is 0.
type Id = u64;

impl State {
    fn next_id(&mut self) -> Id {
        self.last_id += 1;
        self.last_id
    }
}

impl Own {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Shared { state: Mutex::default(), bell: UnixStream::pair()? })))
    }

    /// Runs a task, and all tasks that it starts, until the first one ends. Returns its output. Fails if poll(2) fails.
    ///
    /// # Panics
    /// If the task panics.
    pub(crate) fn run<T: Send + 'static>(&self, main: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
        let (sender, output) = mpsc::channel();
        let main = self.spawn(async move {
            // Cannot fail: the receiver lives until the end of this function.
            let _ = sender.send(main.await);
        });
        while self.lock().tasks.contains_key(&main.id) {
            self.wait()?;
            let runnable = mem::take(&mut self.lock().runnable);
            runnable.into_iter().for_each(|id| self.poll_task(id));
        }
        // Breaks a cycle: the tasks have handles to the runtime, and the runtime owns the tasks.
        let rest = mem::take(&mut self.lock().tasks);
        drop(rest);
        Ok(output.recv().expect("the main task panicked"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves no change half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the lock after a change that poll(2) must not miss, and wakes the thread if it waits in poll(2).
    fn release(&self, mut state: MutexGuard<'_, State>) {
        if mem::take(&mut state.is_asleep) {
            // Cannot fail: at most one byte is written for each call of poll(2).
            let _ = (&self.0.bell.0).write_all(&[0]);
        }
    }
}

// The executor: tasks and their wakers.

struct TaskWaker {
    id: Id,
    runtime: Own,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut state = self.runtime.lock();
        state.runnable.insert(self.id);
        self.runtime.release(state);
    }
}

impl Own {
    fn poll_task(&self, id: Id) {
        let Some(mut future) = self.lock().tasks.get_mut(&id).and_then(Option::take) else { return };
        let waker = Arc::new(TaskWaker { id, runtime: self.clone() }).into();
        // A panic ends the task and nothing else; its message is already printed.
        let pending = catch_unwind(AssertUnwindSafe(move || {
            let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
            poll.is_pending().then_some(future)
        }));
        let pending = pending.unwrap_or(None);
        let mut state = self.lock();
        match state.tasks.get_mut(&id) {
            Some(task) if pending.is_some() => *task = pending,
            _ => {
                // The task has ended, or its handle was dropped during the poll.
                let ended = state.tasks.remove(&id);
                drop(state);
                discard((pending, ended));
            }
        }
    }
}

/// A task's handle.
pub(crate) struct Handle {
    id: Id,
    /// None after [`Task::detach`].
    runtime: Option<Own>,
}

impl Task for Handle {
    async fn join(self) {
        if let Some(runtime) = &self.runtime {
            runtime.event(Event::End(self.id)).await;
        }
    }

    fn detach(mut self) {
        self.runtime = None;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(runtime) = &self.runtime {
            let ended = runtime.lock().tasks.remove(&self.id);
            discard(ended);
        }
    }
}

/// Drops a task or its output. A panic in the drop is caught here.
fn discard(task: impl Sized) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
}

// The reactor: it waits for all events at once.

struct Wait {
    event: Event,
    waker: Waker,
}

enum Event {
    Time(Instant),
    /// A task has ended.
    End(Id),
    /// A direction of a socket is ready. The wait keeps the socket open.
    Ready(Arc<dyn AsFd + Send + Sync>, PollFlags),
}

impl Own {
    /// Waits for an event. The returned future registers the wait at its first poll and removes it when it is dropped.
    fn event(&self, event: Event) -> WaitFor<'_> {
        WaitFor { runtime: self, id: 0, event: Some(event) }
    }

    /// Waits until an event occurs, a task is runnable or another thread writes to `bell`. Removes the waits whose events have occurred,
    /// and wakes their tasks.
    fn wait(&self) -> io::Result<()> {
        // One entry per socket: poll(2) refuses more entries than the process may have descriptors.
        let mut sockets = BTreeMap::new();
        let mut state = self.lock();
        let mut deadline = (!state.runnable.is_empty()).then(Instant::now);
        for wait in state.waits.values() {
            let at = match &wait.event {
                Event::Time(at) => Some(*at),
                Event::End(id) => (!state.tasks.contains_key(id)).then(Instant::now),
                Event::Ready(socket, direction) => {
                    let directions = sockets.entry(socket.as_fd().as_raw_fd()).or_insert((socket.clone(), *direction));
                    directions.1 |= *direction;
                    None
                }
            };
            deadline = [deadline, at].into_iter().flatten().min();
        }
        state.is_asleep = true;
        drop(state);

        let bell = &self.0.bell.1;
        let mut fds = vec![PollFd::new(bell, PollFlags::IN)];
        fds.extend(sockets.values().map(|(socket, directions)| PollFd::from_borrowed_fd(socket.as_fd(), *directions)));
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        // A timeout that poll(2) cannot express is longer than any program runs: then it has no timeout.
        match poll(&mut fds, timeout.and_then(|timeout| Timespec::try_from(timeout).ok()).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        if !fds[0].revents().is_empty() {
            (&*bell).read_exact(&mut [0])?;
        }
        let ready: BTreeMap<RawFd, PollFlags> =
            sockets.keys().copied().zip(fds[1..].iter().map(PollFd::revents)).collect();

        let now = Instant::now();
        let mut guard = self.lock();
        let state = &mut *guard;
        state.is_asleep = false;
        let occurred = state.waits.extract_if(.., |_, wait| match &wait.event {
            Event::Time(at) => *at <= now,
            Event::End(id) => !state.tasks.contains_key(id),
            // A broken connection is ready in both directions.
            Event::Ready(socket, direction) => ready
                .get(&socket.as_fd().as_raw_fd())
                .is_some_and(|flags| flags.intersects(*direction | PollFlags::ERR | PollFlags::HUP)),
        });
        let occurred: Vec<_> = occurred.collect();
        drop(guard);
        occurred.into_iter().for_each(|(_, wait)| wait.waker.wake());
        Ok(())
    }
}

struct WaitFor<'r> {
    runtime: &'r Own,
    id: Id,
    /// `None` after the first poll.
    event: Option<Event>,
}

impl Future for WaitFor<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (runtime, waker) = (self.runtime, cx.waker().clone());
        let mut state = runtime.lock();
        let _old = if let Some(event) = self.event.take() {
            self.id = state.next_id();
            state.waits.insert(self.id, Wait { event, waker }).map(|wait| wait.waker)
        } else if let Some(wait) = state.waits.get_mut(&self.id) {
            Some(mem::replace(&mut wait.waker, waker))
        } else {
            return Poll::Ready(());
        };
        runtime.release(state);
        Poll::Pending
    }
}

impl Drop for WaitFor<'_> {
    fn drop(&mut self) {
        let _wait = self.runtime.lock().waits.remove(&self.id);
    }
}

// The traits that the driver uses.

impl Runtime for Own {
    type Stream = Connection;
    type Listener = Arc<TcpListener>;
    type Task = Handle;

    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn sleep_until(&self, deadline: Instant) {
        if self.now() < deadline {
            self.event(Event::Time(deadline)).await;
        }
    }

    /// The timer is due at once, but the loop calls poll(2) before it wakes the task.
    async fn yield_now(&self) {
        self.event(Event::Time(self.now())).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Handle {
        let mut state = self.lock();
        let id = state.next_id();
        state.tasks.insert(id, Some(Box::pin(task)));
        state.runnable.insert(id);
        self.release(state);
        Handle { id, runtime: Some(self.clone()) }
    }

    fn listen(&self, address: SocketAddr) -> io::Result<(Self::Listener, SocketAddr)> {
        self.adopt(socket::listen(address)?)
    }

    fn adopt(&self, listener: TcpListener) -> io::Result<(Self::Listener, SocketAddr)> {
        let listener = socket::adopt(listener)?;
        let address = listener.local_addr()?;
        Ok((Arc::new(listener), address))
    }

    async fn accept(&self, listener: &Self::Listener) -> io::Result<(Connection, SocketAddr)> {
        loop {
            self.event(Event::Ready(listener.clone(), PollFlags::IN)).await;
            match socket::accept(listener) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
                Ok((stream, address)) => {
                    return Ok((Connection { socket: Arc::new(stream), runtime: self.clone() }, address));
                }
            }
        }
    }

    async fn connect(&self, remote: SocketAddr, local: Option<SocketAddr>) -> io::Result<Connection> {
        let socket = Arc::new(socket::connect(remote, local)?);
        let connection = Connection { socket, runtime: self.clone() };
        connection.writable().await?;
        socket::connected(&*connection.socket)?;
        Ok(connection)
    }

    /// Looks the name up on a thread of its own. The thread has one socket of a pair, and closes it when the lookup has ended, which wakes
    /// this future.
    async fn resolve(&self, endpoint: &str) -> io::Result<Vec<SocketAddr>> {
        let endpoint = endpoint.to_owned();
        let (ours, theirs) = UnixStream::pair()?;
        let (sender, addresses) = mpsc::channel();
        thread::Builder::new().name("lookup".into()).spawn(move || {
            // Fails if the future was dropped.
            let _ = sender.send(endpoint.to_socket_addrs().map(Vec::from_iter));
            drop(theirs);
        })?;
        self.event(Event::Ready(Arc::new(ours), PollFlags::IN)).await;
        addresses.try_recv().unwrap_or_else(|_| Err(io::Error::other("the lookup panicked")))
    }
}

/// A TCP connection.
pub(crate) struct Connection {
    socket: Arc<TcpStream>,
    runtime: Own,
}

impl Stream for Connection {
    async fn readable(&self) -> io::Result<()> {
        self.runtime.event(Event::Ready(self.socket.clone(), PollFlags::IN)).await;
        Ok(())
    }

    async fn writable(&self) -> io::Result<()> {
        self.runtime.event(Event::Ready(self.socket.clone(), PollFlags::OUT)).await;
        Ok(())
    }

    fn try_read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        socket::try_read(&*self.socket, buffer)
    }

    fn try_write(&self, slices: &[IoSlice<'_>], end_of_record: bool) -> io::Result<usize> {
        socket::try_write(&*self.socket, slices, end_of_record)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        socket::shutdown(&*self.socket, how)
    }

    fn set_options(&self) {
        socket::set_options(&*self.socket);
    }
}
