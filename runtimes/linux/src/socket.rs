//! A netlink socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{SockFilter, SockRef};

use crate::Lost;

/// The longest wait for an answer. The kernel answers within the send, so this is for a kernel that loses an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A netlink socket for routes. It exchanges messages only with the kernel.
#[derive(Debug)]
pub(crate) struct Socket {
    inner: netlink_sys::Socket,
    port: u32,
}

impl Socket {
    /// Opens a socket whose receive buffer has this many bytes, or as many as the system allows without privileges.
    pub(crate) fn open(receive_buffer: usize) -> io::Result<Self> {
        let mut inner = netlink_sys::Socket::new(NETLINK_ROUTE)?;
        let port = inner.bind_auto()?.port_number();
        // From now on, the socket receives messages only from the kernel (port 0).
        inner.connect(&SocketAddr::new(0, 0))?;
        let socket = SockRef::from(&inner);
        if set_socket_recv_buffer_size_force(&inner, receive_buffer).is_err() {
            socket.set_recv_buffer_size(receive_buffer)?;
        }
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        // These options are not available in older kernels, and not required: error texts, short answers, filtered dumps.
        let _ = inner.set_ext_ack(true);
        let _ = inner.set_cap_ack(true);
        let _ = inner.set_netlink_get_strict_chk(true);
        Ok(Self { inner, port })
    }

    /// Returns the number that identifies this socket in the kernel.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Subscribes to the notices of a group.
    pub(crate) fn join(&self, group: u32) -> io::Result<()> {
        self.inner.add_membership(group)
    }

    /// Filters out notices about the changes of the socket with this port. They then take no room in the buffer.
    pub(crate) fn skip_port(&self, port: u32) -> io::Result<()> {
        const LOAD_WORD: u16 = 0x20;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        const PORT_OFFSET: u32 = 12;
        SockRef::from(&self.inner).attach_filter(&[
            SockFilter::new(LOAD_WORD, 0, 0, PORT_OFFSET),
            // The filter loads the word with the high byte first.
            SockFilter::new(JUMP_IF_EQUAL, 0, 1, port.to_be()),
            SockFilter::new(RETURN, 0, 0, 0),
            SockFilter::new(RETURN, 0, 0, u32::MAX),
        ])
    }

    /// Sends bytes in one piece. The kernel carries out the requests in them before this returns.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Lost> {
        loop {
            match send(&self.inner, bytes, SendFlags::empty()) {
                Ok(len) if len == bytes.len() => return Ok(()),
                Ok(_) => return Err(Lost::Socket(io::ErrorKind::WriteZero.into())),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Receives a datagram, which has one message or more.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8], Lost> {
        Ok(self.receive_with(buffer, RecvFlags::empty())?.unwrap_or_default())
    }

    /// Receives a datagram. Returns `None` if there is none yet.
    pub(crate) fn try_receive<'a>(&self, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>, Lost> {
        match self.receive_with(buffer, RecvFlags::DONTWAIT) {
            Err(Lost::Socket(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            received => received,
        }
    }

    fn receive_with<'a>(&self, buffer: &'a mut [u8], flags: RecvFlags) -> Result<Option<&'a [u8]>, Lost> {
        loop {
            // With TRUNC, the length is that of the datagram, even if it did not fit.
            match recv(&self.inner, &mut *buffer, flags | RecvFlags::TRUNC) {
                Ok((_, len)) => return buffer.get(..len).map(Some).ok_or(Lost::Overflow),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
