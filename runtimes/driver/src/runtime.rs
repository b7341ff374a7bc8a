//! The requirements of the driver on an asynchronous runtime, as traits. An implementation for a runtime takes some 150 lines:
//! `metalbond-tokio` and `metalbond-smol` are two. The example `own_runtime` of this package has a runtime of its own.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::time::Instant;

/// A runtime: a clock, timers, tasks, TCP sockets and a resolver.
///
/// An implementation is a value that is cheap to clone, a handle to the runtime for example. All clones mean the same runtime.
///
/// # Contract
///
/// **Threads.** [`now`](Self::now) and [`sleep_until`](Self::sleep_until) may be called on any thread, also on one that does not
/// belong to the runtime, and a future of `sleep_until` may be polled there: application code does so through
/// [`Changes::apply_to`](crate::Changes::apply_to). [`spawn`](Self::spawn) is called on the thread that starts the node, and then, like
/// all other methods, inside of tasks that `spawn` has started. A runtime may run a task on one thread or on many, but polls it on
/// one thread at a time. After the runtime has ended, only `now` is called; streams, listeners and tasks may still be dropped.
///
/// **Panics.** A task that panics ends, and no other task with it.
///
/// **Blocking.** No method and no poll blocks. A blocking call of the operating system (looking up a name) belongs on another thread.
///
/// **Wakeups.** A future that has returned `Pending` wakes the waker of its latest poll as soon as another poll could make progress.
/// Waking once too often is harmless. A wakeup that gets lost stops the node or one of its connections for ever.
///
/// **Cancellation.** Each future may be dropped at any time. Nothing of it may then remain: no waker that stays registered, no connection
/// that was accepted or opened and is never returned (such a connection is closed), no task. The exception is a lookup that the operating
/// system is at: its thread may end later.
///
/// **Errors.** They are the operating system's, unchanged: the driver decides by their [`ErrorKind`](io::ErrorKind). After
/// [`Interrupted`](io::ErrorKind::Interrupted) from `accept`, `try_read` or `try_write`, the driver calls again.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A TCP connection.
    type Stream: Stream;
    /// A listening TCP socket. Dropping it closes the socket.
    type Listener: Send + Sync + 'static;
    /// A task that [`spawn`](Self::spawn) has started.
    type Task: Task;

    /// Returns the time of the clock that [`sleep_until`](Self::sleep_until) goes by. It never goes back. For real sockets it is
    /// [`Instant::now`]; a test may have a virtual clock.
    fn now(&self) -> Instant;

    /// Waits until [`now`](Self::now) is at least `deadline`, and at most some milliseconds longer while the runtime is not busy. An early
    /// end is harmless: the driver reads the clock, and calls again.
    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()> + Send;

    /// Returns after tasks that were woken before have been polled. If it is called again and again, sockets and timers that are ready
    /// wake their tasks within some milliseconds. The actor calls it when it has more work than one iteration may do: otherwise a busy node
    /// would not read its connections. A reader calls it when the actor's mailbox is half full, so that other readers run.
    fn yield_now(&self) -> impl Future<Output = ()> + Send;

    /// Starts a task. Its first poll comes later, not inside of this call.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Self::Task;

    /// Listens on an address, and returns the socket with the address that it has got: for port 0, the system chooses a port.
    /// `[::]` accepts IPv4 as well. [`socket::listen`](crate::socket::listen) makes such a socket.
    ///
    /// # Errors
    /// The port is in use, the address is not one of this host, and so on.
    fn listen(&self, address: SocketAddr) -> io::Result<(Self::Listener, SocketAddr)>;

    /// Takes over a TCP socket that another program has bound, a service manager for example, and listens on it. Returns it with its
    /// address. [`socket::adopt`](crate::socket::adopt) prepares such a socket.
    ///
    /// # Errors
    /// The socket is not one of TCP, or the runtime cannot use sockets of the operating system
    /// ([`Unsupported`](io::ErrorKind::Unsupported)).
    fn adopt(&self, listener: TcpListener) -> io::Result<(Self::Listener, SocketAddr)>;

    /// Waits for a connection, and returns it with the address of its other end. A listener is used by one task at a time.
    ///
    /// # Errors
    /// No error ends the listener: the driver calls again, at once if only the new connection was broken, otherwise after 100 ms.
    fn accept(&self, listener: &Self::Listener) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Opens a connection, from the address `local` if there is one; its port is 0, and its family is that of `remote`. The driver limits
    /// the time; dropping the future gives the attempt up. [`socket::connect`](crate::socket::connect) begins such a connection.
    ///
    /// # Errors
    /// The connection is refused, the host is unreachable, `local` is not an address of this host, and so on.
    fn connect(
        &self,
        remote: SocketAddr,
        local: Option<SocketAddr>,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Looks up the addresses of `host:port`. The host is a name: the driver does not ask for addresses. The future may
    /// take long, but it ends: the driver has at most one under way for each endpoint, in a task of its own, and waits for it.
    ///
    /// # Errors
    /// The name does not exist, no resolver answers, and so on.
    fn resolve(&self, endpoint: &str) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
}

/// A TCP connection of a [`Runtime`]. Dropping it closes the connection.
///
/// Several tasks use a connection at the same time: one reads, another writes or waits to write. No file descriptor is assumed; for a
/// connection that has one, the functions of [`socket`](crate::socket) do the work of the `try_` methods.
pub trait Stream: Send + Sync + 'static {
    /// Waits until [`try_read`](Self::try_read) has something to return: bytes, the end, or an error. It may return although there is
    /// nothing, and its first poll may return `Pending` although there is something. Several futures may wait at the same time, and all of
    /// them are woken.
    ///
    /// # Errors
    /// The runtime cannot wait for the connection any more.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Waits until [`try_write`](Self::try_write) can write something, or returns an error; otherwise like [`readable`](Self::readable).
    ///
    /// # Errors
    /// The runtime cannot wait for the connection any more.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Appends received bytes to `buffer`, at most as many as fit into its spare capacity, which is not 0. Returns how many; 0 means that
    /// the other end sends no more.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has been received: the driver then waits for
    /// [`readable`](Self::readable). Otherwise why the connection is broken.
    fn try_read(&self, buffer: &mut Vec<u8>) -> io::Result<usize>;

    /// Writes the beginning of `slices`, as much as the connection takes now, and returns how many bytes. `slices` have at least one byte.
    /// With `end_of_record`, bytes that are written later do not share a TCP segment with these bytes, if the platform can do that
    /// (`MSG_EOR` on Linux): peers of the reference implementation need it.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the connection takes nothing now: the driver then waits for
    /// [`writable`](Self::writable). Otherwise why the connection is broken.
    fn try_write(&self, slices: &[IoSlice<'_>], end_of_record: bool) -> io::Result<usize>;

    /// Shuts down one direction or both. After [`Shutdown::Write`] the other end reads an end after all that was written; after
    /// [`Shutdown::Both`] a waiting [`readable`](Self::readable) returns, and reading still gives what was received before.
    ///
    /// # Errors
    /// The connection is already broken.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Returns what the connection knows of its other end's receive window. `None`: it cannot be measured. Peers of the reference implementation
    /// are then sent routes slowly. [`socket::send_window`](crate::socket::send_window) does it.
    fn send_window(&self) -> Option<SendWindow> {
        None
    }

    /// Sets the connection up, once, before anything is read or written: `TCP_NODELAY`, and little unsent data in the kernel.
    /// [`socket::set_options`](crate::socket::set_options) does it. A connection that is already broken is left to
    /// [`try_read`](Self::try_read), which reports it.
    fn set_options(&self);
}

/// A measurement of a connection: how much its other end can take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SendWindow {
    /// The other end's receive window in bytes, as it was acknowledged last: `tcpi_snd_wnd` of Linux.
    pub window: u32,
    /// How many bytes were written and are not acknowledged, whether sent or not.
    pub unacknowledged: u32,
}

/// A task that was started by [`Runtime::spawn`].
///
/// Dropping it ends the task: it is not polled again after a poll that is under way, and its future is dropped soon, also if
/// nothing ever wakes it. The future may be dropped inside of this drop: the driver holds no lock meanwhile.
pub trait Task: Send + 'static {
    /// Waits until the task has ended by itself. A panic of the task is an end, too. Dropping the future ends the task.
    fn join(self) -> impl Future<Output = ()> + Send;

    /// Lets the task run on by itself until its end.
    fn detach(self);
}
