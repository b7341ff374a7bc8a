//! A host: the runtime of one node, with the streams, listeners and tasks that it creates.
//!
//! Invariant: everything that a handle creates is counted until it is dropped, including its futures with their wakers.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::executor::TaskId;
use super::network::{AttemptId, ConnectionId, End, ListenerId};
use super::resolver::LookupId;
use super::timeline::{Event, Place};
use super::{HandleId, Lookups, Shared};
use metalbond_driver::{Runtime, SendWindow, Stream, Task};

/// The runtime of one node. It counts what it creates, separately from other handles. Several handles may have the same address, and so be
/// on the same host: a node that is started again should get a new one.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
    id: HandleId,
    ip: IpAddr,
}

/// The numbers of things that a [`Host`] has created and that are not dropped yet.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Tasks whose future is not dropped.
    pub tasks: usize,
    /// Ends of connections.
    pub streams: usize,
    /// Listening sockets.
    pub listeners: usize,
    /// Attempts to connect.
    pub attempts: usize,
    /// Lookups of names.
    pub lookups: usize,
    /// Wakers of waiting futures.
    pub wakers: usize,
}

impl Host {
    pub(super) fn new(shared: Arc<Shared>, id: HandleId, ip: IpAddr) -> Self {
        Self { shared, id, ip }
    }

    /// Returns the host's address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Counts the things that are not dropped.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.shared.with(|state| {
            let [streams, listeners, attempts] = state.network.usage_of(self.id);
            Usage {
                tasks: state.executor.tasks_of(self.id),
                streams,
                listeners,
                attempts,
                lookups: state.resolver.lookups_of(self.id),
                wakers: state.timeline.waiters_of(self.id),
            }
        })
    }

    /// Counts the lookups of a name.
    #[must_use]
    pub fn lookups(&self, name: &str) -> Lookups {
        self.shared.with(|state| state.resolver.count(self.id, name))
    }

    /// Returns the highest number of lookups of one name that were under way at the same time.
    #[must_use]
    pub fn most_lookups(&self) -> usize {
        self.shared.with(|state| state.resolver.most(self.id))
    }

    /// Ends all tasks, as the end of the runtime or of the process does. Their futures are dropped in the next steps.
    pub fn kill(&self) {
        self.shared.with(|state| state.executor.cancel_all(self.id));
    }

    /// Waits for this time, and never less, while [`sleep_until`](Runtime::sleep_until) may end early or late, as the contract permits.
    pub fn delay(&self, time: Duration) -> impl Future<Output = ()> + Send + use<'_> {
        let at = self.shared.with(|state| state.timeline.now()) + time;
        self.shared.wait(self.id, Place::Timer(at), move |state| ready_if(state.timeline.now() >= at))
    }

    fn stream(&self, connection: ConnectionId, end: End) -> SimulatedStream {
        SimulatedStream { shared: Arc::clone(&self.shared), handle: self.id, connection, end }
    }
}

fn ready_if(is_so: bool) -> Poll<()> {
    if is_so { Poll::Ready(()) } else { Poll::Pending }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("id", &self.id).field("ip", &self.ip).finish_non_exhaustive()
    }
}

/// The longest delay of a timer after its time, in microseconds.
const LATE_MAX_US: usize = 2000;

impl Runtime for Host {
    type Stream = SimulatedStream;
    type Listener = SimulatedListener;
    type Task = SimulatedTask;

    fn now(&self) -> Instant {
        self.shared.base + self.shared.with(|state| state.timeline.now())
    }

    async fn sleep_until(&self, deadline: Instant) {
        let deadline = deadline.saturating_duration_since(self.shared.base);
        let end = self.shared.with(|state| {
            let (now, random) = (state.timeline.now(), &mut state.timeline.random);
            match deadline.checked_sub(now) {
                None => deadline,
                // The timer ends early, so the driver has to look at the clock.
                Some(left) if random.one_in(64) => now + left / random.up_to(4) as u32,
                Some(_) if random.one_in(4) => deadline + Duration::from_micros(random.below(LATE_MAX_US) as u64),
                Some(_) => deadline,
            }
        });
        self.shared.wait(self.id, Place::Timer(end), |state| ready_if(state.timeline.now() >= end)).await;
    }

    async fn yield_now(&self) {
        let before = self.shared.with(|state| state.executor.count_woken());
        let mut is_first = true;
        let check = |_: &mut _| ready_if(!std::mem::take(&mut is_first));
        self.shared.wait(self.id, Place::Yield(before), check).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> SimulatedTask {
        let work = Box::pin(task);
        let task = self.shared.with(|state| state.executor.spawn(self.id, work));
        SimulatedTask { shared: Arc::clone(&self.shared), handle: self.id, task, is_detached: false }
    }

    fn listen(&self, address: SocketAddr) -> io::Result<(SimulatedListener, SocketAddr)> {
        let (id, address) =
            self.shared.with(|state| state.network.listen(self.id, self.ip, address, &mut state.timeline))?;
        Ok((SimulatedListener { shared: Arc::clone(&self.shared), id }, address))
    }

    fn adopt(&self, _: TcpListener) -> io::Result<(SimulatedListener, SocketAddr)> {
        Err(ErrorKind::Unsupported.into())
    }

    async fn accept(&self, listener: &SimulatedListener) -> io::Result<(SimulatedStream, SocketAddr)> {
        let accept = self.shared.wait(self.id, Place::Accept(listener.id), |state| {
            match state.network.accept(self.id, listener.id, &mut state.timeline) {
                Ok(None) => Poll::Pending,
                Ok(Some(accepted)) => Poll::Ready(Ok(accepted)),
                Err(error) => Poll::Ready(Err(error)),
            }
        });
        let (connection, remote) = accept.await?;
        Ok((self.stream(connection, End::Server), remote))
    }

    async fn connect(&self, remote: SocketAddr, local: Option<SocketAddr>) -> io::Result<SimulatedStream> {
        let id =
            self.shared.with(|state| state.network.connect(self.id, self.ip, remote, local, &mut state.timeline))?;
        let attempt = Attempt { shared: &self.shared, id };
        let connect = self.shared.wait(self.id, Place::Connect(attempt.id), |state| {
            state.network.connected(id).map_or(Poll::Pending, Poll::Ready)
        });
        Ok(self.stream(connect.await?, End::Client))
    }

    async fn resolve(&self, endpoint: &str) -> io::Result<Vec<SocketAddr>> {
        let id = self.shared.with(|state| state.resolver.begin(self.id, endpoint, &mut state.timeline))?;
        let lookup = Lookup { shared: &self.shared, id };
        let resolve = self.shared.wait(self.id, Place::Lookup(lookup.id), |state| {
            state.resolver.take(id).map_or(Poll::Pending, Poll::Ready)
        });
        resolve.await
    }
}

/// An attempt to connect. Dropping it ends the attempt.
struct Attempt<'s> {
    shared: &'s Shared,
    id: AttemptId,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.shared.with(|state| state.network.end_attempt(self.id, &mut state.timeline));
    }
}

/// A lookup. Dropping it ends the lookup.
struct Lookup<'s> {
    shared: &'s Shared,
    id: LookupId,
}

impl Drop for Lookup<'_> {
    fn drop(&mut self) {
        self.shared.with(|state| state.resolver.end(self.id));
    }
}

/// A listening socket of a [`Host`].
pub struct SimulatedListener {
    shared: Arc<Shared>,
    id: ListenerId,
}

impl Drop for SimulatedListener {
    fn drop(&mut self) {
        self.shared.with(|state| state.network.close_listener(self.id, &mut state.timeline));
    }
}

impl fmt::Debug for SimulatedListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedListener").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An end of a connection of a [`Host`].
pub struct SimulatedStream {
    shared: Arc<Shared>,
    handle: HandleId,
    connection: ConnectionId,
    end: End,
}

impl SimulatedStream {
    /// Returns the connection, and which end of it this is.
    #[must_use]
    pub fn id(&self) -> (ConnectionId, End) {
        (self.connection, self.end)
    }

    /// Reads the next segment as it was sent, and whether it ends a record. Returns `None` at the end.
    ///
    /// # Errors
    /// Like [`try_read`](Stream::try_read).
    pub async fn read_segment(&self) -> io::Result<Option<(Vec<u8>, bool)>> {
        loop {
            self.readable().await?;
            let read =
                |state: &mut super::State| state.network.read_segment(self.connection, self.end, &mut state.timeline);
            match self.shared.with(read) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                result => return result,
            }
        }
    }

    async fn ready(&self, place: Place, is_ready: impl Fn(&super::State) -> bool + Send + Sync) -> io::Result<()> {
        let (mut is_first, connection) = (true, self.connection);
        let check = |state: &mut super::State| {
            // The contract permits that the wait ends without a reason, and that its first poll is pending without one.
            let is_first = std::mem::take(&mut is_first);
            if !is_ready(state) {
                return ready_if(state.network.is_fickle(connection, 64, &mut state.timeline));
            }
            if is_first && state.network.is_fickle(connection, 32, &mut state.timeline) {
                state.timeline.schedule(Duration::from_micros(10), Event::Spurious(place));
                return Poll::Pending;
            }
            Poll::Ready(())
        };
        self.shared.wait(self.handle, place, check).await;
        Ok(())
    }
}

impl Stream for SimulatedStream {
    async fn readable(&self) -> io::Result<()> {
        let (id, end) = self.id();
        self.ready(Place::Readable(id, end), |s| s.network.is_readable(id, end, s.timeline.now())).await
    }

    async fn writable(&self) -> io::Result<()> {
        let (id, end) = self.id();
        self.ready(Place::Writable(id, end), |s| s.network.is_writable(id, end, s.timeline.now())).await
    }

    fn try_read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        self.shared.with(|state| state.network.read(self.connection, self.end, buffer, &mut state.timeline))
    }

    fn try_write(&self, slices: &[IoSlice<'_>], end_of_record: bool) -> io::Result<usize> {
        self.shared
            .with(|state| state.network.write(self.connection, self.end, slices, end_of_record, &mut state.timeline))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shared.with(|state| state.network.shutdown(self.connection, self.end, how, &mut state.timeline))
    }

    fn send_window(&self) -> Option<SendWindow> {
        self.shared.with(|state| state.network.send_window(self.connection, self.end))
    }

    fn set_options(&self) {
        self.shared.with(|state| state.network.set_up(self.connection, self.end));
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        self.shared.with(|state| state.network.close(self.connection, self.end, false, &mut state.timeline));
    }
}

impl fmt::Debug for SimulatedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedStream").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// A task of a [`Host`].
pub struct SimulatedTask {
    shared: Arc<Shared>,
    handle: HandleId,
    task: TaskId,
    is_detached: bool,
}

impl Task for SimulatedTask {
    async fn join(self) {
        let (handle, place) = (self.handle, Place::Join(self.task));
        self.shared.wait(handle, place, |state| ready_if(state.executor.has_ended(self.task))).await;
    }

    fn detach(mut self) {
        self.is_detached = true;
    }
}

impl Drop for SimulatedTask {
    fn drop(&mut self) {
        if self.is_detached {
            return;
        }
        // The contract permits that the future is dropped inside of this drop or later.
        let work = self.shared.with(|state| state.executor.cancel(self.task, &mut state.timeline));
        drop(work);
    }
}

impl fmt::Debug for SimulatedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedTask").field("id", &self.task).finish_non_exhaustive()
    }
}
