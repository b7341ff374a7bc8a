//! Sockets: how they are made and set up, and what their errors mean. System calls that do not wait.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use metalbond::TransportEnd;
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

/// The address of the far end as people write it: IPv4 on an IPv6 socket is IPv4.
pub fn remote(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// The bytes of a read, in no more memory than they need: they may wait, and most reads are small.
pub fn pack(buf: BytesMut) -> Bytes {
    if buf.len() >= READ / 2 { buf.freeze() } else { Bytes::copy_from_slice(&buf) }
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
        let mut buf = BytesMut::with_capacity(READ);
        buf.extend_from_slice(b"small");
        let at = buf.as_ptr();
        let packed = pack(buf);
        assert_eq!(&packed[..], b"small");
        assert_ne!(packed.as_ptr(), at);
    }
}
