//! A connection: a non-blocking socket, and what is to be written to it.

use std::error::Error;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};

use metalbond::{Instant, Transmit, TransportEnd};
use metalbond_driver::{Unwritten, prepare, transport_end};
use rustix::event::PollFlags;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A connection in one of its ages.
pub(crate) struct Link {
    socket: Socket,
    phase: Phase,
    unwritten: Option<Unwritten>,
    /// How writing failed. What the peer had sent is still read; then the reading comes to its end as well.
    broken: Option<TransportEnd>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Dialling(SocketAddr),
    Open,
    /// The node has closed it. What is under way has until then.
    Draining(Instant),
}

impl Link {
    /// Begins to dial. An address only: to look a name up, the standard library would wait.
    pub(crate) fn dial(endpoint: &str) -> Result<Self, Box<dyn Error>> {
        let addr: SocketAddr = endpoint.parse()?;
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&addr.into()) {
            Err(e) if Errno::from_io_error(&e) != Some(Errno::INPROGRESS) => Err(e.into()),
            // Done or under way, it will be writable.
            _ => Ok(Self { socket, phase: Phase::Dialling(addr), unwritten: None, broken: None }),
        }
    }

    pub(crate) fn accepted(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        prepare(SockRef::from(&stream))?;
        Ok(Self { socket: stream.into(), phase: Phase::Open, unwritten: None, broken: None })
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// What it waits for.
    pub(crate) fn interest(&self) -> PollFlags {
        match self.phase {
            Phase::Dialling(_) => PollFlags::OUT,
            _ if self.unwritten.is_some() => PollFlags::IN | PollFlags::OUT,
            _ => PollFlags::IN,
        }
    }

    /// When it is to be cut.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Draining(until) => Some(until),
            _ => None,
        }
    }

    /// The dial is over: the address that was reached, or why it was not.
    pub(crate) fn connected(&mut self, addr: SocketAddr) -> io::Result<SocketAddr> {
        match self.socket.take_error() {
            Ok(None) => {}
            Ok(Some(e)) | Err(e) => return Err(io::Error::new(e.kind(), format!("{addr}: {e}"))),
        }
        prepare(SockRef::from(&self.socket))?;
        self.phase = Phase::Open;
        Ok(addr)
    }

    /// Begins to write. To be called when the last transmit is written.
    pub(crate) fn start(&mut self, transmit: Transmit) -> bool {
        self.unwritten = Some(transmit.into());
        self.write()
    }

    /// Writes as much as the socket takes. True if that was the last of a transmit.
    pub(crate) fn write(&mut self) -> bool {
        let Some(unwritten) = &mut self.unwritten else { return false };
        match unwritten.write(&self.socket) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => false,
            Err(e) => {
                self.unwritten = None;
                self.broken = Some(transport_end(&e));
                // Fails if the system was first.
                let _ = self.socket.shutdown(Shutdown::Both);
                false
            }
            Ok(()) => {
                self.unwritten = None;
                if let Phase::Draining(_) = self.phase {
                    let _ = self.socket.shutdown(Shutdown::Write);
                }
                true
            }
        }
    }

    /// Reads once. `Ok(0)`: nothing is there after all.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> Result<usize, TransportEnd> {
        let end = match (&self.socket).read(buf) {
            Ok(0) => TransportEnd::Eof,
            Ok(n) => return Ok(n),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(0),
            Err(e) => transport_end(&e),
        };
        // What was noticed first counts.
        Err(self.broken.take().unwrap_or(end))
    }

    /// The node has closed it: nothing is written behind what is under way.
    pub(crate) fn drain(&mut self, until: Instant) {
        self.phase = Phase::Draining(until);
        if self.unwritten.is_none() {
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }
}
