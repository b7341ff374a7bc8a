//! Connections, so many at a time, each for as long as something happens on it: so that readers who stay, or stop, take no
//! more than their share of the process's descriptors.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at a time; more wait in the system until one ends.
const MAX: usize = 256;
/// How long nothing may be read or written: longer than between two heartbeats of events, or two scrapes.
const QUIET: Duration = Duration::from_secs(75);

/// A listener that has so many connections at most.
#[derive(Debug)]
pub(super) struct Connections {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl Connections {
    pub(super) fn of(listener: TcpListener) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(MAX)) }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let permit = self.room.clone().acquire_owned().await.expect("it is never closed");
        // Logs and waits out what the system can't do, a lack of descriptors for example.
        let (stream, addr) = Listener::accept(&mut self.listener).await;
        (Connection { stream, quiet: Box::pin(sleep(QUIET)), _permit: permit }, addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when nothing has happened on it for a while.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    quiet: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Something happened, or has not for too long.
    fn note<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.quiet.as_mut().reset(Instant::now() + QUIET);
            return done;
        }
        self.quiet.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.note(cx, done)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn pair(connections: &mut Connections) -> (TcpStream, Connection) {
        let far = TcpStream::connect(connections.local_addr().unwrap()).await.unwrap();
        (far, connections.accept().await.0)
    }

    #[tokio::test]
    async fn more_than_there_is_room_for_wait_until_one_ends() {
        let mut connections = Connections::of(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let mut open = Vec::new();
        for _ in 0..MAX {
            open.push(pair(&mut connections).await);
        }
        let mut far = TcpStream::connect(connections.local_addr().unwrap()).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(20), connections.accept()).await.is_err());
        open.pop();
        let (mut near, _) = connections.accept().await;
        near.write_all(b"at last").await.unwrap();
        let mut heard = [0; 7];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"at last");
    }

    #[tokio::test]
    async fn one_on_which_nothing_happens_ends_and_another_doesnt() {
        let mut connections = Connections::of(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (mut far, mut near) = pair(&mut connections).await;
        // From here on time passes when the test says so: sockets would be late.
        tokio::time::pause();
        for _ in 0..3 {
            tokio::time::advance(QUIET - Duration::from_secs(1)).await;
            far.write_all(b"x").await.unwrap();
            near.readable().await;
            let mut byte = [0; 1];
            near.read_exact(&mut byte).await.unwrap();
        }
        tokio::time::advance(QUIET + Duration::from_millis(1)).await;
        let error = near.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    impl Connection {
        /// Waits until something is there to be read, in real time.
        async fn readable(&self) {
            self.stream.readable().await.unwrap();
        }
    }
}
