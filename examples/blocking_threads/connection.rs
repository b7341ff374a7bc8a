//! The threads that serve the owner: each of them waits for one kind of system event and reports it to the owner.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use metalbond::{ConnId, Input, Transmit, TransportEnd};

use crate::owner::Event;

/// How long a closing connection may take.
pub(crate) const DRAIN: Duration = Duration::from_secs(1);

/// Accepts connections. Only a connection wakes this thread, so it ends at the next connection after its owner's end,
/// or with the process.
pub(crate) fn accept(listener: &TcpListener, mailbox: &SyncSender<Event>) {
    loop {
        match listener.accept() {
            Ok((stream, remote)) => {
                if mailbox.send(Event::Accepted(stream, remote)).is_err() {
                    return;
                }
            }
            // For example a lack of descriptors. That is temporary, and meanwhile connections wait in the kernel's
            // backlog.
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Dials once, and resolves the name each time. The node limits how long a dial may take.
pub(crate) fn dial(endpoint: &str) -> io::Result<(TcpStream, SocketAddr)> {
    let stream = TcpStream::connect(endpoint)?;
    let remote = stream.peer_addr()?;
    Ok((stream, remote))
}

/// Reads from a connection until its end, and reports it.
pub(crate) fn read(
    conn: ConnId,
    mut stream: &TcpStream,
    mailbox: &SyncSender<Event>,
    _reading: SyncSender<Infallible>,
) {
    let mut buf = vec![0; 64 * 1024];
    let end = loop {
        match stream.read(&mut buf) {
            Ok(0) => break TransportEnd::Eof,
            Ok(n) => {
                let bytes = Bytes::copy_from_slice(&buf[..n]);
                // Blocks while the mailbox is full; then TCP stops the peer.
                if mailbox.send(Event::Input(Input::Received { conn, bytes })).is_err() {
                    return;
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => break transport_end(&e),
        }
    };
    let _ = mailbox.send(Event::Input(Input::Closed { conn, end }));
}

/// Writes to a connection until the owner has closed it or it fails.
pub(crate) fn write(
    conn: ConnId,
    mut stream: &TcpStream,
    transmits: &Receiver<Transmit>,
    mailbox: &SyncSender<Event>,
    read_all: &Receiver<Infallible>,
    _alive: SyncSender<Infallible>,
) {
    for transmit in transmits {
        // One write per chunk and no delay: with these, `TransmitMode::Segments` holds as long as the peer keeps up and
        // no chunks are merged in the kernel. To keep them apart in all cases takes MSG_EOR, which the standard library
        // does not support.
        let event = match transmit.chunks.iter().try_for_each(|chunk| stream.write_all(chunk)) {
            Ok(()) => Event::Input(Input::Sent { conn }),
            Err(e) => Event::Broken(conn, transport_end(&e)),
        };
        let is_broken = matches!(event, Event::Broken(..));
        if mailbox.send(event).is_err() || is_broken {
            break;
        }
    }
    // Closing a socket with unread bytes would destroy data on its way to the peer. So waits for the peer's end, for a
    // limited time.
    let _ = stream.shutdown(Shutdown::Write);
    let _ = read_all.recv_timeout(DRAIN);
    let _ = stream.shutdown(Shutdown::Both);
}

fn transport_end(error: &io::Error) -> TransportEnd {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => TransportEnd::Reset,
        ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => TransportEnd::TimedOut,
        _ => TransportEnd::Error(error.to_string().into()),
    }
}
