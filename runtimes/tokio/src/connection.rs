//! A connection and its tasks: the reader for its whole life, a writer while its socket is full, a drain at its end.

use std::io::{self, ErrorKind};
use std::mem;
use std::net::Shutdown;
use std::sync::Arc;

use bytes::Bytes;
use metalbond::{ConnId, PeerName, Transmit, TransportEnd};
use metalbond_driver::{Channel, DRAIN, Opened, Unwritten, prepare, receive, transport_end};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::task::{Mailbox, Message, Task, Tasks};
use crate::time::timeout;

/// An open connection, as the actor holds it.
///
/// The socket is the kernel's; who may write to it is decided here: the actor, unless there is a writer.
#[derive(Debug)]
pub(crate) struct Connection {
    conn: ConnId,
    stream: Arc<TcpStream>,
    channel: Channel,
    reader: Task,
    writer: Option<Task>,
    /// The node waits for a transmit to be written.
    is_owed: bool,
    /// What the reader saw, where what came before has not been looked at.
    end: Option<TransportEnd>,
    /// How writing failed. The reader says when all that came before is read.
    broken: Option<TransportEnd>,
}

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Write {
    /// A transmit is with the kernel, all of it: the node can be told so.
    Done,
    /// There is nothing to be told; or not yet: a writer goes on, or the connection is broken, which the reader will find.
    Later,
}

impl Connection {
    /// Starts to read, and to shake hands if the channel wants that.
    pub(crate) fn open(conn: ConnId, stream: TcpStream, channel: Channel, tasks: &Tasks) -> Self {
        // Fails only if the connection is already broken, which the reader will find.
        let _ = prepare(SockRef::from(&stream));
        let stream = Arc::new(stream);
        let reader = tasks.spawn(read(conn, Arc::clone(&stream), tasks.mailbox()));
        let mut connection =
            Self { conn, stream, channel, reader, writer: None, is_owed: false, end: None, broken: None };
        connection.flush(tasks);
        connection
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.channel.is_handshaking()
    }

    /// [`Channel::hold`].
    pub(crate) fn hold(&mut self, bytes: &Bytes) -> Result<bool, TransportEnd> {
        self.channel.hold(bytes)
    }

    /// [`Channel::step`].
    pub(crate) fn step(&mut self) -> Opened {
        self.channel.step()
    }

    /// [`Channel::open`].
    pub(crate) fn receive(&mut self, bytes: Bytes) -> Opened {
        self.channel.open(bytes)
    }

    /// [`Channel::names`].
    pub(crate) fn names(&self) -> Option<Arc<[PeerName]>> {
        self.channel.names()
    }

    /// Writes what the socket takes now and leaves the rest to a writer. To be called when the last transmit is written.
    pub(crate) fn write(&mut self, transmit: Transmit, tasks: &Tasks) -> Write {
        debug_assert!(!self.is_owed, "the node hands out one transmit at a time");
        self.is_owed = true;
        match self.channel.seal(transmit) {
            Some(unwritten) => self.put(unwritten, tasks),
            None => self.flush(tasks),
        }
    }

    /// Writes what TLS has ready: transmits, and words of its own. While there is a writer, it waits there.
    pub(crate) fn flush(&mut self, tasks: &Tasks) -> Write {
        if self.writer.is_some() {
            return Write::Later;
        }
        match self.channel.take() {
            Some(unwritten) => self.put(unwritten, tasks),
            None => self.all_written(),
        }
    }

    fn put(&mut self, mut unwritten: Unwritten, tasks: &Tasks) -> Write {
        match write_some(&self.stream, &mut unwritten) {
            Ok(()) => self.all_written(),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let stream = Arc::clone(&self.stream);
                self.writer = Some(tasks.spawn(write_rest(self.conn, stream, unwritten, tasks.mailbox())));
                Write::Later
            }
            Err(e) => self.fail(&e),
        }
    }

    fn all_written(&mut self) -> Write {
        if mem::take(&mut self.is_owed) { Write::Done } else { Write::Later }
    }

    /// The writer has ended.
    pub(crate) fn written(&mut self, result: io::Result<()>, tasks: &Tasks) -> Write {
        self.writer = None;
        match result {
            Ok(()) => self.flush(tasks),
            Err(e) => self.fail(&e),
        }
    }

    fn fail(&mut self, error: &io::Error) -> Write {
        self.broken.get_or_insert(transport_end(error));
        // What the peer sent before is still worth reading; then the reader comes to an end, and reports it.
        let _ = SockRef::from(&*self.stream).shutdown(Shutdown::Both);
        Write::Later
    }

    /// How the connection ended, where the reader saw `end`: the first that was noticed counts. `None` if what came before has
    /// to be looked at first; then there will be something to [`take_end`](Self::take_end).
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

    /// Ends it at once. Over TLS, that is said, if the socket takes it.
    pub(crate) fn close(mut self) {
        self.channel.close();
        if self.writer.is_none()
            && let Some(mut unwritten) = self.channel.take()
        {
            let _ = write_some(&self.stream, &mut unwritten);
        }
    }

    /// Ends it with care, in a task of its own.
    pub(crate) fn drain(mut self, tasks: &Tasks) -> Task {
        self.channel.close();
        self.flush(tasks);
        // What there still is goes behind the writer.
        let rest = self.channel.take();
        let Self { conn, stream, reader, writer, .. } = self;
        drop(reader);
        tasks.spawn(drain(conn, stream, writer, rest, tasks.mailbox()))
    }
}

async fn read(conn: ConnId, stream: Arc<TcpStream>, mailbox: Mailbox) {
    let end = loop {
        if let Err(e) = stream.readable().await {
            break transport_end(&e);
        }
        match read_some(&stream) {
            Ok(bytes) if bytes.is_empty() => break TransportEnd::Eof,
            Ok(bytes) => {
                if mailbox.send(Message::Received { conn, bytes }).await.is_err() {
                    return;
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(e) => break transport_end(&e),
        }
    };
    // Without an actor nobody has to know.
    let _ = mailbox.send(Message::Ended { conn, end }).await;
}

fn read_some(stream: &TcpStream) -> io::Result<Bytes> {
    stream.try_io(Interest::READABLE, || receive(&SockRef::from(stream)))
}

fn write_some(stream: &TcpStream, unwritten: &mut Unwritten) -> io::Result<()> {
    stream.try_io(Interest::WRITABLE, || unwritten.write(&SockRef::from(stream)))
}

async fn write_rest(conn: ConnId, stream: Arc<TcpStream>, unwritten: Unwritten, mailbox: Mailbox) {
    let result = write_all(&stream, unwritten).await;
    let _ = mailbox.send(Message::Written { conn, result }).await;
}

async fn write_all(stream: &TcpStream, mut unwritten: Unwritten) -> io::Result<()> {
    loop {
        stream.writable().await?;
        match write_some(stream, &mut unwritten) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

/// Finishes the write that is under way, says that no more comes, and reads what the peer still sends: closing with
/// unread input would reset the connection and destroy what is on its way.
async fn drain(conn: ConnId, stream: Arc<TcpStream>, writer: Option<Task>, rest: Option<Unwritten>, mailbox: Mailbox) {
    let careful = async {
        if let Some(writer) = writer {
            writer.finish().await;
        }
        if let Some(rest) = rest {
            write_all(&stream, rest).await?;
        }
        SockRef::from(&*stream).shutdown(Shutdown::Write)?;
        loop {
            stream.readable().await?;
            match read_some(&stream) {
                Ok(bytes) if bytes.is_empty() => return io::Result::Ok(()),
                Ok(_) => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => return Err(e),
            }
        }
    };
    // However it ends, it ends now.
    let _ = timeout(DRAIN, careful).await;
    drop(stream);
    let _ = mailbox.send(Message::Drained { conn }).await;
}

#[cfg(test)]
mod tests {
    use metalbond::TransmitMode;
    use smallvec::smallvec;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::task::{self, Inbox};

    const CONN: ConnId = ConnId::accepted(7);
    const CHUNK: usize = 60_000;

    #[tokio::test]
    async fn what_the_socket_does_not_take_is_left_to_a_writer() {
        let Setup { mut connection, mut peer, tasks, mut mailbox } = setup().await;
        let sent = fill(&mut connection, &tasks);
        assert!(connection.writer.is_some());

        let mut read = vec![0; sent];
        peer.read_exact(&mut read).await.unwrap();

        let Some(Message::Written { conn: CONN, result: Ok(()) }) = mailbox.recv().await else { panic!("not written") };
        assert_eq!(connection.written(Ok(()), &tasks), Write::Done);
        assert!(connection.writer.is_none());
    }

    #[tokio::test]
    async fn a_drained_connection_delivers_everything_though_its_peer_still_sends() {
        let Setup { mut connection, mut peer, tasks, mut mailbox } = setup().await;
        let sent = fill(&mut connection, &tasks);
        peer.write_all(&[1; 5000]).await.unwrap();

        let task = connection.drain(&tasks);

        let mut read = Vec::new();
        peer.read_to_end(&mut read).await.unwrap();
        assert_eq!(read.len(), sent);
        drop(peer);
        while !matches!(mailbox.recv().await.unwrap(), Message::Drained { conn: CONN }) {}
        drop(task);
    }

    #[tokio::test]
    async fn a_drain_ends_though_the_peer_neither_reads_nor_leaves() {
        let Setup { mut connection, peer, tasks, mut mailbox } = setup().await;
        fill(&mut connection, &tasks);
        let task = connection.drain(&tasks);
        while !matches!(mailbox.recv().await.unwrap(), Message::Drained { conn: CONN }) {}
        drop((task, peer));
    }

    #[tokio::test]
    async fn what_a_peer_sent_before_it_broke_the_connection_is_read() {
        let Setup { mut connection, mut peer, tasks, mut mailbox } = setup().await;
        peer.write_all(b"last words").await.unwrap();
        drop(peer);
        // The first write provokes the reset, a later one sees it.
        while connection.broken.is_none() {
            connection.write(transmit(1), &tasks);
            tokio::task::yield_now().await;
        }

        let Some(Message::Received { bytes, .. }) = mailbox.recv().await else { panic!("nothing received") };
        assert_eq!(&bytes[..], b"last words");
        let Some(Message::Ended { end, .. }) = mailbox.recv().await else { panic!("no end") };
        assert_eq!(connection.ended(end), Some(TransportEnd::Reset));
    }

    #[tokio::test]
    async fn all_tasks_are_gone_and_the_socket_is_closed_when_the_connection_is_dropped() {
        let Setup { mut connection, mut peer, tasks, mailbox } = setup().await;
        fill(&mut connection, &tasks);
        drop(connection);
        tasks.into_gone().wait().await;
        let mut read = Vec::new();
        let _ = peer.read_to_end(&mut read).await;
        drop(mailbox);
    }

    struct Setup {
        connection: Connection,
        peer: TcpStream,
        tasks: Tasks,
        mailbox: Inbox,
    }

    async fn setup() -> Setup {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let peer = listener.accept().await.unwrap().0;
        let (sender, mailbox) = task::mailbox(4);
        let tasks = Tasks::new(sender);
        Setup { connection: Connection::open(CONN, stream, Channel::plain(), &tasks), peer, tasks, mailbox }
    }

    /// Writes until the socket is full. Returns how many bytes were handed out.
    fn fill(connection: &mut Connection, tasks: &Tasks) -> usize {
        let mut sent = CHUNK;
        while connection.write(transmit(CHUNK), tasks) == Write::Done {
            sent += CHUNK;
        }
        sent
    }

    fn transmit(len: usize) -> Transmit {
        Transmit { conn: CONN, chunks: smallvec![Bytes::from(vec![0; len])], mode: TransmitMode::Stream }
    }
}
