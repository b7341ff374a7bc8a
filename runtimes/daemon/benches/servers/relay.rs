//! The baseline: a process that forwards bytes without decoding them. A connection that begins with an A is an
//! announcer. A connection that begins with an S is a subscriber, and is sent everything that was announced, from the
//! first byte on.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};

pub(crate) const ANNOUNCER: u8 = b'A';
pub(crate) const SUBSCRIBER: u8 = b'S';

/// Maximum size of one read or write.
const PIECE: usize = 256 * 1024;

#[derive(Default)]
struct Log {
    bytes: RefCell<Vec<u8>>,
    grown: Notify,
}

/// Relays until the process is killed.
pub(crate) fn run(addr: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(addr).await?;
        let log = Rc::new(Log::default());
        loop {
            let (stream, _) = listener.accept().await?;
            let log = Rc::clone(&log);
            // A broken connection only ends its own task.
            spawn_local(async move { serve(stream, &log).await });
        }
    })
}

async fn serve(mut stream: TcpStream, log: &Log) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if stream.read_u8().await? == ANNOUNCER { take(&stream, log).await } else { give(&stream, log).await }
}

async fn take(stream: &TcpStream, log: &Log) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => {
                log.bytes.borrow_mut().extend_from_slice(&buffer[..len]);
                log.grown.notify_waiters();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn give(stream: &TcpStream, log: &Log) -> io::Result<()> {
    let mut at = 0;
    loop {
        if at == log.bytes.borrow().len() {
            log.grown.notified().await;
        }
        stream.writable().await?;
        let written = {
            let bytes = log.bytes.borrow();
            stream.try_write(&bytes[at..bytes.len().min(at + PIECE)])
        };
        match written {
            Ok(len) => at += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
