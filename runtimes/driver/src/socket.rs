//! Sockets: how they are made and set up, and what their errors mean. System calls that do not wait.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use metalbond::TransportEnd;
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::{ACCEPT_PAUSE, READ};

/// Connections that wait in the kernel to be accepted. The system lowers it to its own limit.
const BACKLOG: i32 = 1024;

/// Unsent bytes that the kernel holds for a peer: more would be history, where our table could still merge it.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// A non-blocking listener. `[::]` takes IPv4 as well.
///
/// # Errors
/// What the system says: the port is taken, the address is not of this host, and so on.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if let SocketAddr::V6(v6) = addr {
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    // So that a restarted server gets its port back while old connections linger. On Windows it means something else.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes a socket that somebody else has bound (a service manager, say), and has it listen.
///
/// # Errors
/// If it is no TCP socket that can listen.
pub fn adopt(listener: TcpListener) -> io::Result<TcpListener> {
    let socket = Socket::from(listener);
    if socket.r#type()? != Type::STREAM || socket.local_addr()?.as_socket().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no TCP socket"));
    }
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Sets a new connection up: what is written is sent at once, and little is held back in the kernel.
///
/// # Errors
/// What the system says; it does so if the connection is already broken.
pub fn prepare(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

/// The address of the far end as people write it: IPv4 on an IPv6 socket is IPv4. A link-local address keeps its scope id,
/// without which it says nothing.
pub fn remote(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, addr.port()),
        IpAddr::V6(_) => addr,
    }
}

/// Reads what a non-blocking socket has now, at most [`READ`] bytes; none at the end of the stream. The bytes are in no
/// more memory than they need: they may wait, and most reads are small.
///
/// # Errors
/// `WouldBlock` if there is nothing yet: to be called again when the socket is readable. Else what broke the connection.
pub fn receive(socket: &Socket) -> io::Result<Bytes> {
    // Only now, so that a connection that waits holds no buffer.
    let mut buf = Vec::with_capacity(READ);
    recv(socket, spare_capacity(&mut buf), RecvFlags::empty())?;
    Ok(if buf.len() >= READ / 2 { buf.into() } else { Bytes::copy_from_slice(&buf) })
}

/// What an error of a connection says of its end.
pub fn transport_end(error: &io::Error) -> TransportEnd {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => TransportEnd::Reset,
        ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => TransportEnd::TimedOut,
        _ => TransportEnd::Error(error.to_string().into()),
    }
}

/// How long a listener should wait after an error. Zero where only the connection that it would have accepted is
/// broken.
pub fn accept_pause(error: &io::Error) -> Duration {
    match error.kind() {
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted => Duration::ZERO,
        _ => ACCEPT_PAUSE,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};

    use super::*;

    #[test]
    fn the_ipv6_wildcard_takes_ipv4_and_names_it_so() {
        let listener = listen((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (_, addr) = listener.accept().unwrap();
        assert_eq!(remote(addr), client.local_addr().unwrap());
    }

    #[test]
    fn a_link_local_address_keeps_its_link() {
        for addr in ["[fe80::1%2]:1", "[2001:db8::1]:1", "192.0.2.1:1"] {
            assert_eq!(remote(addr.parse().unwrap()).to_string(), addr);
        }
        assert_eq!(remote("[::ffff:192.0.2.1]:1".parse().unwrap()).to_string(), "192.0.2.1:1");
    }

    #[test]
    fn a_taken_port_is_an_error() {
        let first = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let error = listen(first.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn a_connection_sends_at_once_and_keeps_little_unsent() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        prepare(SockRef::from(&client)).unwrap();
        assert!(client.nodelay().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(SockRef::from(&client).tcp_notsent_lowat().unwrap(), UNSENT);
    }

    #[test]
    fn errors_tell_a_reset_from_a_host_that_is_gone() {
        let end = |kind: ErrorKind| transport_end(&kind.into());
        assert_eq!(end(ErrorKind::ConnectionReset), TransportEnd::Reset);
        assert_eq!(end(ErrorKind::BrokenPipe), TransportEnd::Reset);
        assert_eq!(end(ErrorKind::TimedOut), TransportEnd::TimedOut);
        assert_eq!(end(ErrorKind::HostUnreachable), TransportEnd::TimedOut);
        assert!(matches!(end(ErrorKind::OutOfMemory), TransportEnd::Error(_)));
    }

    #[test]
    fn a_small_read_does_not_hold_a_large_buffer() {
        let (ours, mut theirs) = pair();
        theirs.write_all(b"small").unwrap();
        let received = received(&ours);
        assert_eq!(&received[..], b"small");
        // Alone in its memory, which can be had back: as large as it has to be.
        assert_eq!(Vec::from(received).capacity(), 5);
    }

    #[test]
    fn a_read_says_when_there_is_nothing_yet_and_when_there_will_be_nothing_more() {
        let (ours, theirs) = pair();
        assert_eq!(receive(&SockRef::from(&ours)).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(theirs);
        assert!(received(&ours).is_empty());
    }

    fn received(stream: &TcpStream) -> Bytes {
        loop {
            match receive(&SockRef::from(stream)) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                result => return result.unwrap(),
            }
        }
    }

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, listener.accept().unwrap().0)
    }
}
