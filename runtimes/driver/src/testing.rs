//! Support of the unit tests: the implementation of the traits for tokio, compiled against this package, and sockets without a runtime.
//! They need the repository: the published package has no tests.

use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};

use crate::{Stream, socket};

#[allow(dead_code, unreachable_pub, reason = "it is the file of another package")]
#[path = "../../tokio/src/runtime.rs"]
mod tokio_runtime;

pub(crate) use tokio_runtime::Tokio;

/// A non-blocking socket that is not registered with a runtime, so no task can wait for it.
pub(crate) struct Unregistered(pub(crate) TcpStream);

impl Stream for Unregistered {
    async fn readable(&self) -> io::Result<()> {
        std::future::pending().await
    }

    async fn writable(&self) -> io::Result<()> {
        std::future::pending().await
    }

    fn try_read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        socket::try_read(&self.0, buffer)
    }

    fn try_write(&self, slices: &[IoSlice<'_>], end_of_record: bool) -> io::Result<usize> {
        socket::try_write(&self.0, slices, end_of_record)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        socket::shutdown(&self.0, how)
    }

    fn set_options(&self) {
        socket::set_options(&self.0);
    }
}
