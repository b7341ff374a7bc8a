//! TCP sockets of the operating system, for an implementation of [`Runtime`](crate::Runtime): functions that make sockets, set them up, and
//! do the work of [`Stream`](crate::Stream). No function waits: the sockets are non-blocking. The functions take any socket that `socket2`
//! can borrow, for example those of the standard library, of tokio and of async-io.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::SendWindow;
#[cfg(target_os = "linux")]
mod tcp_info;

/// The most connections that wait in the kernel to be accepted. The system lowers this number to its own limit.
const BACKLOG: i32 = 1024;

/// The most unsent bytes in the kernel for a peer. It is small because routes that wait in the node instead can be replaced by later
/// changes.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// `MSG_NOSIGNAL`: writing to a broken connection is an error, and no signal to the process.
#[cfg(target_os = "linux")]
const STREAM: std::ffi::c_int = libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const STREAM: std::ffi::c_int = 0;

/// `MSG_EOR`: later bytes do not join this segment. TCP supports this on Linux only.
#[cfg(target_os = "linux")]
const RECORD: std::ffi::c_int = STREAM | libc::MSG_EOR;
#[cfg(not(target_os = "linux"))]
const RECORD: std::ffi::c_int = STREAM;

/// Makes a non-blocking listener. `[::]` accepts IPv4 as well. A port on which connections of an earlier process linger can be used again.
///
/// # Errors
/// The port is in use, the address is not one of this host, and so on.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let SocketAddr::V6(v6) = address {
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    // On Windows this option would let two servers share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Makes a socket that another program has bound non-blocking, and listens on it.
///
/// # Errors
/// It is not a TCP socket, or cannot listen.
pub fn adopt(listener: TcpListener) -> io::Result<TcpListener> {
    let socket = Socket::from(listener);
    if socket.r#type()? != Type::STREAM || socket.local_addr()?.as_socket().is_none() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a TCP socket"));
    }
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts a connection from a non-blocking listener. The connection is non-blocking, too.
///
/// # Errors
/// [`WouldBlock`](ErrorKind::WouldBlock) if none waits; the process is out of descriptors, and so on.
pub fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, remote) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, remote))
}

/// Begins a connection, from the address `local` if there is one. The socket is non-blocking. Three steps make a connection: this
/// call, waiting until the socket is writable, and [`connected`], which returns the result.
///
/// # Errors
/// The system knows at once that it will fail: the network is unreachable, `local` is not an address of this host, and so on.
pub fn connect(remote: SocketAddr, local: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(remote), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(local) = local {
        socket.bind(&local.into())?;
    }
    match socket.connect(&remote.into()) {
        Err(e) if !is_under_way(&e) => Err(e),
        _ => Ok(socket.into()),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::INPROGRESS) {
        return true;
    }
    error.kind() == ErrorKind::WouldBlock
}

/// Returns the result of a connection that [`connect`] began. To be called when the socket is writable.
///
/// # Errors
/// The connection is refused, the host is unreachable, and so on.
pub fn connected<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    socket.into().take_error()?.map_or(Ok(()), Err)
}

/// Implements [`Stream::set_options`](crate::Stream::set_options).
pub fn set_options<'s>(socket: impl Into<SockRef<'s>>) {
    let socket = socket.into();
    // These fail only if the connection is broken.
    let _ = socket.set_tcp_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
}

/// Implements [`Stream::send_window`](crate::Stream::send_window). Only Linux has it, since 5.4.
pub fn send_window<'s>(socket: impl Into<SockRef<'s>>) -> Option<SendWindow> {
    #[cfg(target_os = "linux")]
    return tcp_info::send_window(&*socket.into());
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket;
        None
    }
}

/// Implements [`Stream::try_read`](crate::Stream::try_read).
///
/// # Errors
/// Those of [`Stream::try_read`](crate::Stream::try_read).
pub fn try_read<'s>(socket: impl Into<SockRef<'s>>, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let (read, _) = recv(&*socket.into(), spare_capacity(buffer), RecvFlags::empty())?;
    Ok(read)
}

/// Implements [`Stream::try_write`](crate::Stream::try_write).
///
/// # Errors
/// Those of [`Stream::try_write`](crate::Stream::try_write).
pub fn try_write<'s>(socket: impl Into<SockRef<'s>>, slices: &[IoSlice<'_>], end_of_record: bool) -> io::Result<usize> {
    socket.into().send_vectored_with_flags(slices, if end_of_record { RECORD } else { STREAM })
}

/// Implements [`Stream::shutdown`](crate::Stream::shutdown).
///
/// # Errors
/// The connection is already broken.
pub fn shutdown<'s>(socket: impl Into<SockRef<'s>>, how: Shutdown) -> io::Result<()> {
    socket.into().shutdown(how)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::thread::yield_now;

    use super::*;

    #[test]
    fn the_ipv6_wildcard_accepts_ipv4() {
        let listener = listen((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (_, address) = listener.accept().unwrap();
        assert_eq!(address.ip().to_canonical(), client.local_addr().unwrap().ip());
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let first = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let error = listen(first.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn a_connection_comes_from_the_local_address_that_was_chosen() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let remote = listener.local_addr().unwrap();
        let local = SocketAddr::from(([127, 0, 0, 2], 0));
        let _client = connect(remote, Some(local)).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), local.ip());
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
        assert_eq!(connect(remote, Some(elsewhere)).unwrap_err().kind(), ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn a_refused_connection_reports_it_when_it_is_writable() {
        let placeholder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = placeholder.local_addr().unwrap();
        drop(placeholder);
        let client = connect(address, None).unwrap();
        let error = loop {
            match connected(&client) {
                Ok(()) => yield_now(),
                Err(e) => break e,
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_connection_sends_at_once_and_keeps_little_unsent() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        set_options(&client);
        assert!(client.nodelay().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(SockRef::from(&client).tcp_notsent_lowat().unwrap(), UNSENT);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_window_is_measured_with_what_is_not_acknowledged() {
        let (ours, theirs) = pair();
        let measure = || send_window(&ours).expect("Linux measures");
        let whole = measure();
        assert!(whole.window > 16 * 1024 && whole.unacknowledged == 0, "{whole:?}");
        let mut written = 0;
        while let Ok(n) = try_write(&ours, &[IoSlice::new(&[0; 4096])], false) {
            written += n as u64;
        }
        let mut unread = rustix::io::ioctl_fionread(&theirs).unwrap();
        let full = loop {
            let now = measure();
            let before = std::mem::replace(&mut unread, rustix::io::ioctl_fionread(&theirs).unwrap());
            if before == unread && unread + u64::from(now.unacknowledged) == written {
                break now;
            }
            yield_now();
        };
        assert!(full.window < whole.window && full.unacknowledged > 0, "{full:?}");
        assert_eq!(send_window(&TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()), None);
    }

    #[test]
    fn a_read_appends_what_fits_and_an_empty_socket_differs_from_an_end() {
        let (ours, mut theirs) = pair();
        let mut buffer = Vec::with_capacity(8);
        assert_eq!(try_read(&ours, &mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        theirs.write_all(b"0123456789").unwrap();
        drop(theirs);
        buffer.extend_from_slice(b"ab");
        assert_eq!((read(&ours, &mut buffer), &buffer[..]), (6, &b"ab012345"[..]));
        buffer.clear();
        assert_eq!((read(&ours, &mut buffer), &buffer[..]), (4, &b"6789"[..]));
        assert_eq!(read(&ours, &mut buffer), 0);
    }

    fn read(stream: &TcpStream, buffer: &mut Vec<u8>) -> usize {
        loop {
            match try_read(stream, buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => yield_now(),
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
