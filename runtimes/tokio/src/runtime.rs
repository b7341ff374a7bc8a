//! The implementation of [`Runtime`] for tokio.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::time::Instant;

use metalbond_driver::{Runtime, SendWindow, Stream, Task, socket};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A handle to the tokio runtime on which a node's tasks run. [`start`](crate::start()) takes the current one. I/O and time must be enabled in
/// it; it may have one thread or several.
#[derive(Clone, Debug)]
pub struct Tokio {
    handle: Handle,
}

impl Tokio {
    /// Returns the runtime of this handle.
    pub const fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Returns the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn current() -> Self {
        Self::new(Handle::current())
    }
}

impl Runtime for Tokio {
    type Stream = TokioStream;
    type Listener = TcpListener;
    type Task = TokioTask;

    fn now(&self) -> Instant {
        // The clock of tokio, which a test may have paused.
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()> + Send {
        // A timer needs the runtime's context when it is made, and this may be a thread outside of the runtime.
        let _entered = self.handle.enter();
        tokio::time::sleep_until(deadline.into())
    }

    fn yield_now(&self) -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> TokioTask {
        TokioTask(Some(self.handle.spawn(task)))
    }

    fn listen(&self, address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
        listener(socket::listen(address)?)
    }

    fn adopt(&self, listener: std::net::TcpListener) -> io::Result<(TcpListener, SocketAddr)> {
        self::listener(socket::adopt(listener)?)
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TokioStream, SocketAddr)> {
        let (stream, remote) = listener.accept().await?;
        Ok((TokioStream(stream), remote))
    }

    async fn connect(&self, remote: SocketAddr, local: Option<SocketAddr>) -> io::Result<TokioStream> {
        let stream = TcpStream::from_std(socket::connect(remote, local)?)?;
        stream.writable().await?;
        socket::connected(&stream)?;
        Ok(TokioStream(stream))
    }

    async fn resolve(&self, endpoint: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host(endpoint).await?.collect())
    }
}

fn listener(listener: std::net::TcpListener) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::from_std(listener)?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}

/// A TCP connection of a [`Tokio`] runtime.
#[derive(Debug)]
pub struct TokioStream(TcpStream);

impl Stream for TokioStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.0.readable()
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.0.writable()
    }

    fn try_read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        self.0.try_io(Interest::READABLE, || socket::try_read(&self.0, buffer))
    }

    fn try_write(&self, slices: &[IoSlice<'_>], end_of_record: bool) -> io::Result<usize> {
        self.0.try_io(Interest::WRITABLE, || socket::try_write(&self.0, slices, end_of_record))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        socket::shutdown(&self.0, how)
    }

    fn send_window(&self) -> Option<SendWindow> {
        socket::send_window(&self.0)
    }

    fn set_options(&self) {
        socket::set_options(&self.0);
    }
}

/// A task of a node that runs on a [`Tokio`] runtime.
#[derive(Debug)]
pub struct TokioTask(Option<JoinHandle<()>>);

impl Task for TokioTask {
    async fn join(mut self) {
        if let Some(task) = &mut self.0 {
            // An error means that the task was aborted or panicked: in both cases it has ended.
            let _ = task.await;
        }
    }

    fn detach(mut self) {
        self.0 = None;
    }
}

impl Drop for TokioTask {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
