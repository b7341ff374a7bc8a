//! The implementation of [`Runtime`] for smol.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use metalbond_driver::{Runtime, SendWindow, Stream, Task, socket};
use smol::future::FutureExt;
use smol::{Async, Timer};

/// The global executor of smol. It has one thread, or the number of threads in the environment variable `SMOL_THREADS`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Smol;

impl Runtime for Smol {
    type Stream = SmolStream;
    type Listener = Async<TcpListener>;
    type Task = SmolTask;

    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn sleep_until(&self, deadline: Instant) {
        Timer::at(deadline).await;
    }

    fn yield_now(&self) -> impl Future<Output = ()> + Send {
        smol::future::yield_now()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> SmolTask {
        SmolTask(smol::spawn(task))
    }

    fn listen(&self, address: SocketAddr) -> io::Result<(Async<TcpListener>, SocketAddr)> {
        listener(socket::listen(address)?)
    }

    fn adopt(&self, listener: TcpListener) -> io::Result<(Async<TcpListener>, SocketAddr)> {
        self::listener(socket::adopt(listener)?)
    }

    async fn accept(&self, listener: &Async<TcpListener>) -> io::Result<(SmolStream, SocketAddr)> {
        let (stream, remote) = listener.accept().await?;
        Ok((SmolStream(stream), remote))
    }

    async fn connect(&self, remote: SocketAddr, local: Option<SocketAddr>) -> io::Result<SmolStream> {
        let stream = Async::new_nonblocking(socket::connect(remote, local)?)?;
        stream.writable().await?;
        socket::connected(&stream)?;
        Ok(SmolStream(stream))
    }

    async fn resolve(&self, endpoint: &str) -> io::Result<Vec<SocketAddr>> {
        smol::net::resolve(endpoint).await
    }
}

fn listener(listener: TcpListener) -> io::Result<(Async<TcpListener>, SocketAddr)> {
    let local = listener.local_addr()?;
    Ok((Async::new_nonblocking(listener)?, local))
}

/// A TCP connection of a node that runs on [`Smol`].
#[derive(Debug)]
pub struct SmolStream(Async<TcpStream>);

impl Stream for SmolStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.0.readable()
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.0.writable()
    }

    fn try_read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        socket::try_read(&self.0, buffer)
    }

    fn try_write(&self, slices: &[IoSlice<'_>], end_of_record: bool) -> io::Result<usize> {
        socket::try_write(&self.0, slices, end_of_record)
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

/// A task of a node that runs on [`Smol`].
#[derive(Debug)]
pub struct SmolTask(smol::Task<()>);

impl Task for SmolTask {
    async fn join(self) {
        // The result does not matter: a task that panicked has ended, too.
        let _ = AssertUnwindSafe(self.0.fallible()).catch_unwind().await;
    }

    fn detach(self) {
        self.0.detach();
    }
}
