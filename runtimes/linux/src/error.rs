//! The errors of a [`Kernel`](crate::Kernel), except those of single operations.

use std::io;

/// Why a [`Kernel`](crate::Kernel) could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// This process may not change routes in its network namespace.
    #[error("not permitted to change routes: CAP_NET_ADMIN is needed")]
    NotPermitted,
    /// There is no device with this name.
    #[error("there is no device {0}")]
    NoDevice(String),
    /// The settings are not valid.
    #[error("{0}")]
    Settings(&'static str),
    /// Another process installs routes, and takes those of these settings for its own.
    #[error(transparent)]
    Taken(Taken),
    /// A process is running whose routes were to be removed.
    #[error(
        "process {} ({}) installs routes with protocol number {} and has {}: stop it first", .0.process, .0.program, .0.protocol, .0.part
    )]
    Running(Taken),
    /// The kernel's routes could not be read.
    #[error("the kernel's routes cannot be read")]
    Unread(#[source] DumpError),
    /// The netlink socket failed.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// What another process uses, with the same protocol number.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "process {process} ({program}) installs routes with protocol number {protocol} and has {part}: stop it, or give one of the two \
     another protocol number"
)]
pub struct Taken {
    pub(crate) process: u32,
    pub(crate) program: String,
    pub(crate) protocol: u8,
    pub(crate) part: String,
}

/// The kernel's answers were lost, so it is unknown which operations were carried out. The caller has to continue with a
/// [`dump`](crate::Kernel::dump).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// The answers did not fit into the socket's buffer.
    #[error("the kernel's answers did not fit into the socket's buffer")]
    Overflow,
    /// The netlink socket failed.
    #[error("the netlink socket failed")]
    Socket(#[source] io::Error),
}

impl From<rustix::io::Errno> for Lost {
    fn from(errno: rustix::io::Errno) -> Self {
        if errno == rustix::io::Errno::NOBUFS { Self::Overflow } else { Self::Socket(errno.into()) }
    }
}

/// Why a dump ended early. Its results may be incomplete; the next dump starts from the beginning.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// Other programs changed the kernel's state all the time.
    #[error("the kernel's state kept changing while it was read")]
    Interrupted,
    /// The kernel refused the request.
    #[error("the kernel gives no reason")]
    Refused(#[source] io::Error),
    /// The kernel's answers were lost.
    #[error(transparent)]
    Lost(#[from] Lost),
}
