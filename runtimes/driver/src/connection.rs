//! A connection and its tasks: a reader during its whole life, a writer while the socket is full, and a task that drains it at its end.
//!
//! The actor itself writes to a connection unless there is a writer, so bytes are written in order.

use std::io::{self, ErrorKind};
use std::mem;
use std::net::Shutdown;
use std::sync::Arc;

use bytes::Bytes;
use metalbond::{ConnId, PeerName, Transmit, TransportEnd};

use crate::budget::{DRAIN, EVENTS, READ};
use crate::clock::Clock;
use crate::mailbox::{Event, Events};
use crate::tasks::Tasks;
use crate::tls::{Channel, Opened};
use crate::unwritten::Unwritten;
use crate::{Runtime, SendWindow, Stream, Task};

/// An open connection, owned by the actor. Dropping it ends its tasks and closes it.
pub(crate) struct Connection<R: Runtime> {
    conn: ConnId,
    stream: Arc<R::Stream>,
    channel: Channel,
    reader: R::Task,
    writer: Option<R::Task>,
    /// True while the node waits for the report that its last transmit is written.
    is_owed: bool,
    /// The end that the reader saw, while earlier bytes wait for the handshake.
    end: Option<TransportEnd>,
    /// The reason why writing failed. The connection ends with it after all bytes received before have been read.
    broken: Option<TransportEnd>,
}

/// The result of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Write {
    /// A whole transmit is written: the caller reports `Sent` to the node.
    Done,
    /// There is nothing to report yet: a writer goes on, or the connection is broken, which the reader will report.
    Later,
}

impl<R: Runtime> Connection<R> {
    /// Starts the reader, and the handshake if the channel is a TLS channel.
    pub(crate) fn open(conn: ConnId, stream: R::Stream, channel: Channel, tasks: &Tasks<R>) -> Self {
        stream.set_options();
        let stream = Arc::new(stream);
        let reader = tasks.spawn(read(conn, Arc::clone(&stream), tasks.runtime().clone(), tasks.events()));
        let mut connection =
            Self { conn, stream, channel, reader, writer: None, is_owed: false, end: None, broken: None };
        connection.flush(tasks);
        connection
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.channel.is_handshaking()
    }

    /// Keeps bytes for the handshake: see [`Channel::hold`].
    pub(crate) fn hold(&mut self, bytes: &Bytes) -> Result<bool, TransportEnd> {
        self.channel.hold(bytes)
    }

    /// Does a step of the handshake: see [`Channel::step`].
    pub(crate) fn step(&mut self) -> Opened {
        self.channel.step()
    }

    /// Turns received bytes into plaintext: see [`Channel::open`].
    pub(crate) fn receive(&mut self, bytes: Bytes) -> Opened {
        self.channel.open(bytes)
    }

    /// Returns the names in the peer's certificate: see [`Channel::names`].
    pub(crate) fn names(&self) -> Option<Arc<[PeerName]>> {
        self.channel.names()
    }

    /// Writes as much of a transmit as the connection takes now, and leaves the rest to a writer. The previous transmit must be written.
    pub(crate) fn write(&mut self, transmit: Transmit, tasks: &Tasks<R>) -> Write {
        debug_assert!(!self.is_owed, "the node hands out one transmit at a time");
        self.is_owed = true;
        match self.channel.seal(transmit) {
            Some(unwritten) => self.write_unwritten(unwritten, tasks),
            None => self.flush(tasks),
        }
    }

    /// Writes the bytes that TLS has ready: transmits, and its own messages. While there is a writer, they wait.
    pub(crate) fn flush(&mut self, tasks: &Tasks<R>) -> Write {
        if self.writer.is_some() {
            return Write::Later;
        }
        match self.channel.take() {
            Some(unwritten) => self.write_unwritten(unwritten, tasks),
            None => self.all_written(),
        }
    }

    fn write_unwritten(&mut self, mut unwritten: Unwritten, tasks: &Tasks<R>) -> Write {
        match unwritten.write(&*self.stream) {
            Ok(()) => self.all_written(),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let stream = Arc::clone(&self.stream);
                self.writer = Some(tasks.spawn(write_rest::<R>(self.conn, stream, unwritten, tasks.events())));
                Write::Later
            }
            Err(e) => self.fail(&e),
        }
    }

    fn all_written(&mut self) -> Write {
        if mem::take(&mut self.is_owed) { Write::Done } else { Write::Later }
    }

    /// Measures the peer's window. `None`: it cannot be measured.
    pub(crate) fn send_window(&self) -> Option<SendWindow> {
        self.stream.send_window()
    }

    /// Continues after the writer has ended.
    pub(crate) fn written(&mut self, result: io::Result<()>, tasks: &Tasks<R>) -> Write {
        self.writer = None;
        match result {
            Ok(()) => self.flush(tasks),
            Err(e) => self.fail(&e),
        }
    }

    fn fail(&mut self, error: &io::Error) -> Write {
        self.broken.get_or_insert(transport_end(error));
        // The reader still reads the bytes that the peer sent before, then reports the end.
        let _ = self.stream.shutdown(Shutdown::Both);
        Write::Later
    }

    /// Returns how the connection ended when the reader saw `end`. An earlier write error takes precedence. Returns `None` if earlier bytes
    /// wait for the handshake; then [`take_end`](Self::take_end) returns the end later.
    pub(crate) fn ended(&mut self, end: TransportEnd) -> Option<TransportEnd> {
        if self.channel.is_holding() {
            self.end = Some(end);
            return None;
        }
        Some(self.channel.end(self.broken.take().unwrap_or(end)))
    }

    pub(crate) fn take_end(&mut self) -> Option<TransportEnd> {
        self.end.take()
    }

    /// Closes the connection at once. Over TLS, sends the close alert if the connection takes it without waiting.
    pub(crate) fn close(mut self) {
        self.channel.close();
        if self.writer.is_none()
            && let Some(mut unwritten) = self.channel.take()
        {
            let _ = unwritten.write(&*self.stream);
        }
    }

    /// Closes the connection in a task that first lets the peer read everything: it lingers for at most [`DRAIN`].
    pub(crate) fn drain(mut self, clock: &Clock<R>, tasks: &Tasks<R>) -> R::Task {
        self.channel.close();
        self.flush(tasks);
        // Bytes that TLS still has ready are written after those of the writer.
        let rest = self.channel.take();
        let Self { conn, stream, reader, writer, .. } = self;
        drop(reader);
        tasks.spawn(drain(conn, stream, writer, rest, clock.clone(), tasks.events()))
    }
}

/// Returns the session's reason for an I/O error of its connection.
pub(crate) fn transport_end(error: &io::Error) -> TransportEnd {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => TransportEnd::Reset,
        ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => TransportEnd::TimedOut,
        _ => TransportEnd::Error(error.to_string().into()),
    }
}

async fn read<R: Runtime>(conn: ConnId, stream: Arc<R::Stream>, runtime: R, events: Events<R>) {
    let end = loop {
        if let Err(e) = stream.readable().await {
            break transport_end(&e);
        }
        match read_some(&*stream) {
            Ok(bytes) if bytes.is_empty() => break TransportEnd::Eof,
            Ok(bytes) => {
                if events.send(Event::Received { conn, bytes }).await.is_err() {
                    return;
                }
                // The mailbox takes messages from the task that sends first. A reader that always has more bytes would fill it alone.
                if events.len() >= EVENTS / 2 {
                    runtime.yield_now().await;
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(e) => break transport_end(&e),
        }
    };
    // Fails if the actor has ended.
    let _ = events.send(Event::Ended { conn, end }).await;
}

/// Reads the bytes that a connection has, at most [`READ`]; none at its end. Few bytes are copied into memory of their size, because they
/// may have to wait, and most reads are small.
fn read_some(stream: &impl Stream) -> io::Result<Bytes> {
    // A connection without input has no buffer.
    let mut buffer = Vec::with_capacity(READ);
    stream.try_read(&mut buffer)?;
    Ok(if buffer.len() >= READ / 2 { buffer.into() } else { Bytes::copy_from_slice(&buffer) })
}

async fn write_rest<R: Runtime>(conn: ConnId, stream: Arc<R::Stream>, unwritten: Unwritten, events: Events<R>) {
    let result = write_all(&*stream, unwritten).await;
    let _ = events.send(Event::Written { conn, result }).await;
}

async fn write_all(stream: &impl Stream, mut unwritten: Unwritten) -> io::Result<()> {
    loop {
        stream.writable().await?;
        match unwritten.write(stream) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

/// Finishes the write that is under way, shuts down writing, and reads until the peer's end.
async fn drain<R: Runtime>(
    conn: ConnId,
    stream: Arc<R::Stream>,
    writer: Option<R::Task>,
    rest: Option<Unwritten>,
    clock: Clock<R>,
    events: Events<R>,
) {
    let careful = async {
        if let Some(writer) = writer {
            writer.join().await;
        }
        if let Some(rest) = rest {
            write_all(&*stream, rest).await?;
        }
        stream.shutdown(Shutdown::Write)?;
        loop {
            stream.readable().await?;
            match read_some(&*stream) {
                Ok(bytes) if bytes.is_empty() => return io::Result::Ok(()),
                // Without this pause, a peer that sends all the time would keep this task from its timeout, and its thread from other
                // tasks.
                Ok(_) => clock.runtime().yield_now().await,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => return Err(e),
            }
        }
    };
    // The connection is closed now, whatever the result.
    let _ = clock.timeout_at(clock.now() + DRAIN, careful).await;
    drop(stream);
    let _ = events.send(Event::Drained { conn }).await;
}

#[cfg(test)]
mod tests {
    use metalbond::TransmitMode;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::mailbox::{Inbox, Message, mailboxes};
    use crate::testing::Tokio;

    const CONN: ConnId = ConnId::accepted(7);
    const CHUNK: usize = 60_000;

    #[tokio::test]
    async fn a_writer_writes_what_the_socket_does_not_take_at_once() {
        let Setup { mut connection, mut peer, tasks, mut inbox } = setup().await;
        let sent = fill(&mut connection, &tasks);
        assert!(connection.writer.is_some());

        let mut read = vec![0; sent];
        peer.read_exact(&mut read).await.unwrap();

        let Event::Written { conn: CONN, result: Ok(()) } = next(&mut inbox).await else { panic!("not written") };
        assert_eq!(connection.written(Ok(()), &tasks), Write::Done);
        assert!(connection.writer.is_none());
    }

    #[tokio::test]
    async fn a_drained_connection_delivers_everything_though_its_peer_still_sends() {
        let Setup { mut connection, mut peer, tasks, mut inbox } = setup().await;
        let sent = fill(&mut connection, &tasks);
        peer.write_all(&[1; 5000]).await.unwrap();

        let task = connection.drain(&Clock::start(Tokio::current()), &tasks);

        let mut read = Vec::new();
        peer.read_to_end(&mut read).await.unwrap();
        assert_eq!(read.len(), sent);
        drop(peer);
        while !matches!(next(&mut inbox).await, Event::Drained { conn: CONN }) {}
        drop(task);
    }

    #[tokio::test]
    async fn a_drain_ends_though_the_peer_neither_reads_nor_leaves() {
        let Setup { mut connection, peer, tasks, mut inbox } = setup().await;
        fill(&mut connection, &tasks);
        let task = connection.drain(&Clock::start(Tokio::current()), &tasks);
        while !matches!(next(&mut inbox).await, Event::Drained { conn: CONN }) {}
        drop((task, peer));
    }

    #[tokio::test]
    async fn bytes_that_a_peer_sent_before_it_broke_the_connection_are_read() {
        let Setup { mut connection, mut peer, tasks, mut inbox } = setup().await;
        peer.write_all(b"last words").await.unwrap();
        drop(peer);
        // The first write causes the reset; a later one fails.
        while connection.broken.is_none() {
            connection.write(transmit(1), &tasks);
            tokio::task::yield_now().await;
        }

        let Event::Received { bytes, .. } = next(&mut inbox).await else { panic!("nothing received") };
        assert_eq!(&bytes[..], b"last words");
        let Event::Ended { end, .. } = next(&mut inbox).await else { panic!("no end") };
        assert_eq!(connection.ended(end), Some(TransportEnd::Reset));
    }

    #[tokio::test]
    async fn all_tasks_are_gone_and_the_socket_is_closed_when_the_connection_is_dropped() {
        let Setup { mut connection, mut peer, tasks, inbox } = setup().await;
        fill(&mut connection, &tasks);
        drop(connection);
        tasks.into_ended().wait().await;
        let mut read = Vec::new();
        let _ = peer.read_to_end(&mut read).await;
        drop(inbox);
    }

    #[test]
    fn a_reset_and_an_unreachable_host_are_different_ends() {
        let end = |kind: ErrorKind| transport_end(&kind.into());
        assert_eq!(end(ErrorKind::ConnectionReset), TransportEnd::Reset);
        assert_eq!(end(ErrorKind::BrokenPipe), TransportEnd::Reset);
        assert_eq!(end(ErrorKind::TimedOut), TransportEnd::TimedOut);
        assert_eq!(end(ErrorKind::HostUnreachable), TransportEnd::TimedOut);
        assert!(matches!(end(ErrorKind::OutOfMemory), TransportEnd::Error(_)));
    }

    #[tokio::test]
    async fn a_small_read_does_not_keep_a_large_buffer() {
        let Setup { mut peer, mut inbox, connection: _connection, .. } = setup().await;
        peer.write_all(b"small").await.unwrap();
        let Event::Received { bytes, .. } = next(&mut inbox).await else { panic!("nothing received") };
        assert_eq!(&bytes[..], b"small");
        // The bytes are not shared, and their memory has exactly their size.
        assert_eq!(Vec::from(bytes).capacity(), 5);
    }

    struct Setup {
        connection: Connection<Tokio>,
        peer: TcpStream,
        tasks: Tasks<Tokio>,
        inbox: Inbox<<Tokio as Runtime>::Stream>,
    }

    async fn setup() -> Setup {
        let runtime = Tokio::current();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = runtime.connect(listener.local_addr().unwrap(), None).await.unwrap();
        let peer = listener.accept().await.unwrap().0;
        let (_, events, inbox) = mailboxes();
        let tasks = Tasks::new(runtime, events);
        Setup { connection: Connection::open(CONN, stream, Channel::plain(), &tasks), peer, tasks, inbox }
    }

    /// Returns the next event.
    async fn next<S>(inbox: &mut Inbox<S>) -> Event<S> {
        loop {
            if let Message::Event(event) = std::future::poll_fn(|cx| inbox.poll_next(cx)).await {
                return event;
            }
        }
    }

    /// Writes until the socket is full. Returns how many bytes were passed to `write`.
    fn fill(connection: &mut Connection<Tokio>, tasks: &Tasks<Tokio>) -> usize {
        let mut sent = CHUNK;
        while connection.write(transmit(CHUNK), tasks) == Write::Done {
            sent += CHUNK;
        }
        sent
    }

    fn transmit(len: usize) -> Transmit {
        Transmit::new(CONN, [Bytes::from(vec![0; len])], TransmitMode::Stream)
    }
}
