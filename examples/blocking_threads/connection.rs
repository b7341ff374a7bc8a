//! The threads around the owner: each waits for one thing of the system, and tells the owner.

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

/// The listener: a thread that nothing but a connection wakes. It ends behind its owner, or with the process.
pub(crate) fn accept(listener: &TcpListener, mailbox: &SyncSender<Event>) {
    loop {
        match listener.accept() {
            Ok((stream, remote)) => {
                if mailbox.send(Event::Accepted(stream, remote)).is_err() {
                    return;
                }
            }
            // Out of descriptors, say. They come back, and until then the kernel keeps who is waiting.
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// The dialler: a thread for one try, which resolves the name anew. How long it may take is the node's business.
pub(crate) fn dial(endpoint: &str) -> io::Result<(TcpStream, SocketAddr)> {
    let stream = TcpStream::connect(endpoint)?;
    let remote = stream.peer_addr()?;
    Ok((stream, remote))
}

/// The reader: a thread until the connection's end, which it reports.
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
                // Waits while the mailbox is full: then TCP stops the peer.
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

/// The writer: a thread until the owner has closed the connection, or it breaks.
pub(crate) fn write(
    conn: ConnId,
    mut stream: &TcpStream,
    transmits: &Receiver<Transmit>,
    mailbox: &SyncSender<Event>,
    read_all: &Receiver<Infallible>,
    _alive: SyncSender<Infallible>,
) {
    for transmit in transmits {
        // A chunk a call and no delay: what `TransmitMode::Segments` asks for, as long as the peer keeps up and no chunks
        // meet in the kernel. That they stay apart even then takes MSG_EOR, which the standard library doesn't have.
        let event = match transmit.chunks.iter().try_for_each(|chunk| stream.write_all(chunk)) {
            Ok(()) => Event::Input(Input::Sent { conn }),
            Err(e) => Event::Broken(conn, transport_end(&e)),
        };
        let is_broken = matches!(event, Event::Broken(..));
        if mailbox.send(event).is_err() || is_broken {
            break;
        }
    }
    // To close with unread bytes would destroy what is on its way to the peer: so wait for its end, but not for ever.
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
