//! Bytes that are still to be written to a connection, and how to write them.

use std::io::{self, ErrorKind, IoSlice};

use bytes::{Buf, Bytes};
use metalbond::{Chunks, Transmit, TransmitMode};
use smallvec::SmallVec;

use crate::Stream;

/// The most chunks of one system call: more than a node ever hands out.
const SLICES: usize = 64;

/// The part of a [`Transmit`] that is not written yet.
#[derive(Debug)]
pub(crate) struct Unwritten {
    chunks: Chunks,
    /// The chunks before this one are written.
    first: usize,
    mode: TransmitMode,
}

impl From<Transmit> for Unwritten {
    fn from(transmit: Transmit) -> Self {
        Self { chunks: transmit.chunks, first: 0, mode: transmit.mode }
    }
}

impl From<Bytes> for Unwritten {
    fn from(bytes: Bytes) -> Self {
        Self { chunks: Chunks::from_iter([bytes]), first: 0, mode: TransmitMode::Stream }
    }
}

impl Unwritten {
    /// Writes as much as the connection takes. Returns `Ok` if everything is written.
    ///
    /// # Errors
    /// `WouldBlock` if the connection is full: call this again when it is writable. Otherwise the reason why the connection is broken.
    pub(crate) fn write(&mut self, stream: &impl Stream) -> io::Result<()> {
        while let Some(chunk) = self.chunks.as_slice().get(self.first) {
            // Writing only an empty chunk would return 0.
            if chunk.is_empty() {
                self.first += 1;
                continue;
            }
            let written = match self.mode {
                TransmitMode::Stream => {
                    let slices: SmallVec<[IoSlice<'_>; 4]> =
                        self.chunks.iter().skip(self.first).take(SLICES).map(|chunk| IoSlice::new(chunk)).collect();
                    stream.try_write(&slices, false)
                }
                TransmitMode::Segments => stream.try_write(&[IoSlice::new(chunk)], true),
            };
            match written {
                Ok(n) => self.advance(n),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(chunk) = self.chunks.as_mut_slice().get_mut(self.first) {
            if written < chunk.len() {
                chunk.advance(written);
                return;
            }
            written -= chunk.len();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use metalbond::ConnId;

    use super::*;
    use crate::connection::transport_end;
    use crate::testing::Unregistered;

    #[test]
    fn bytes_that_a_full_socket_does_not_take_are_written_later_in_order() {
        for mode in [TransmitMode::Stream, TransmitMode::Segments] {
            let (ours, mut theirs) = pair();
            let chunks: Vec<_> = (0..4u8).map(|i| Bytes::from(vec![i; 1200])).collect();
            let expected = chunks.concat();

            let mut rounds = 0;
            let mut rest = loop {
                rounds += 1;
                let mut unwritten = Unwritten::from(transmit(chunks.clone(), mode));
                match unwritten.write(&ours) {
                    Ok(()) => {}
                    Err(e) => {
                        assert_eq!(e.kind(), ErrorKind::WouldBlock);
                        break unwritten;
                    }
                }
            };

            let mut read = vec![0; expected.len() * rounds];
            let mut at = 0;
            while at < read.len() {
                at += theirs.read(&mut read[at..]).unwrap();
                match rest.write(&ours) {
                    Ok(()) => {}
                    Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
                }
            }
            assert!(read.chunks(expected.len()).all(|round| round == expected), "{mode:?}");
        }
    }

    #[test]
    fn empty_chunks_do_not_end_the_write() {
        let (ours, mut theirs) = pair();
        let chunks = [Bytes::new(), Bytes::from_static(b"a"), Bytes::new(), Bytes::from_static(b"b")];
        Unwritten::from(transmit(chunks, TransmitMode::Stream)).write(&ours).unwrap();
        let mut read = [0; 2];
        theirs.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"ab");
    }

    #[test]
    fn a_broken_connection_is_an_error() {
        let (ours, theirs) = pair();
        drop(theirs);
        let error = loop {
            let chunks = [Bytes::from_static(b"x")];
            if let Err(e) = Unwritten::from(transmit(chunks, TransmitMode::Stream)).write(&ours) {
                break e;
            }
        };
        assert_eq!(transport_end(&error), metalbond::TransportEnd::Reset);
    }

    fn transmit(chunks: impl IntoIterator<Item = Bytes>, mode: TransmitMode) -> Transmit {
        Transmit::new(ConnId::accepted(0), chunks, mode)
    }

    fn pair() -> (Unregistered, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        (Unregistered(ours), listener.accept().unwrap().0)
    }
}
