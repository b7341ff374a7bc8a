//! Requests to the kernel and its answers, which are matched by sequence numbers.

use std::io;

use crate::error::{DumpError, Lost};
use crate::message::{self, Answer, DONE, DUMP_INTERRUPTED, ERROR, Message, Messages};
use crate::socket::Socket;

/// The size of the receive buffer in bytes. A refusal takes about 1 KiB of it, and a send has at most [`BATCH_MAX`] messages.
const RECEIVE_BUFFER: usize = 1 << 20;
/// The size of the buffer for one datagram in bytes. In dumps, the kernel uses up to 32 KiB.
const DATAGRAM: usize = 64 << 10;
/// The most messages in a send. More of them are not faster.
pub(crate) const BATCH_MAX: usize = 128;
/// The number of bytes up to which another message is added to a send. The socket accepts more than 200 KB.
pub(crate) const BATCH_BYTES: usize = 64 << 10;

/// The socket for requests.
#[derive(Debug)]
pub(crate) struct Requests {
    socket: Socket,
    sequence: u32,
    batch: Batch,
    datagram: Box<[u8]>,
    /// True if answers to earlier requests may still be in the socket.
    is_dirty: bool,
}

/// Messages that are sent together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// The start of the last message, and its sequence number.
    last: Option<(usize, u32)>,
    len: usize,
}

impl Batch {
    /// Appends one message with this sequence number, which `put` writes.
    fn add(&mut self, sequence: u32, put: impl FnOnce(&mut Vec<u8>, u32)) {
        self.last = Some((self.bytes.len(), sequence));
        self.len += 1;
        put(&mut self.bytes, sequence);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        (self.last, self.len) = (None, 0);
    }
}

impl Requests {
    pub(crate) fn open() -> io::Result<Self> {
        Self::with_buffer(RECEIVE_BUFFER)
    }

    fn with_buffer(receive_buffer: usize) -> io::Result<Self> {
        Ok(Self {
            socket: Socket::open(receive_buffer)?,
            sequence: 0,
            batch: Batch::default(),
            datagram: vec![0; DATAGRAM].into(),
            is_dirty: false,
        })
    }

    pub(crate) fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Adds a message to the next send. Returns its sequence number.
    pub(crate) fn add(&mut self, put: impl FnOnce(&mut Vec<u8>, u32)) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.batch.add(self.sequence, put);
        self.sequence
    }

    /// Returns true if the next send is large enough.
    pub(crate) fn is_full(&self) -> bool {
        self.batch.len >= BATCH_MAX || self.batch.bytes.len() >= BATCH_BYTES
    }

    /// Sends the added messages, and calls `refused` for each refusal, with its sequence number. The kernel answers in the order of the
    /// requests, and only those that it refuses and the last one: with that answer, all have arrived.
    ///
    /// # Errors
    /// If answers were lost. It is unknown which of the requests were carried out.
    pub(crate) fn flush(&mut self, mut refused: impl FnMut(u32, Answer)) -> Result<(), Lost> {
        let Some((start, last)) = self.batch.last else { return Ok(()) };
        message::ask_for_answer(&mut self.batch.bytes, start);
        let count = u32::try_from(self.batch.len).unwrap_or(u32::MAX);
        self.send()?;
        loop {
            for message in Messages::new(self.socket.receive(&mut self.datagram)?) {
                let age = last.wrapping_sub(message.sequence);
                let (ERROR, true, Some(answer)) = (message.kind, age < count, Answer::parse(&message)) else {
                    continue;
                };
                if answer.errno != 0 {
                    refused(message.sequence, answer);
                }
                if age == 0 {
                    self.is_dirty = false;
                    return Ok(());
                }
            }
        }
    }

    /// Sends a request for one object. Returns the kernel's answer, or the error number if the kernel refuses.
    pub(crate) fn ask<T>(
        &mut self,
        put: impl FnOnce(&mut Vec<u8>, u32),
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Result<T, i32>, Lost> {
        self.batch.clear();
        let sequence = self.add(put);
        self.send()?;
        loop {
            for message in Messages::new(self.socket.receive(&mut self.datagram)?) {
                let answer = if message.sequence != sequence {
                    None
                } else if message.kind == ERROR {
                    message::errno(&message).map(Err)
                } else {
                    read(&message).map(Ok)
                };
                if let Some(answer) = answer {
                    self.is_dirty = false;
                    return Ok(answer);
                }
            }
        }
    }

    /// Sends a request for many objects, and calls `each` for each message of the answer.
    ///
    /// # Errors
    /// If the dump was interrupted or refused, or if answers were lost.
    pub(crate) fn dump(
        &mut self,
        put: impl FnOnce(&mut Vec<u8>, u32),
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<(), DumpError> {
        self.batch.clear();
        let sequence = self.add(put);
        self.send()?;
        let mut is_interrupted = false;
        loop {
            for message in Messages::new(self.socket.receive(&mut self.datagram)?) {
                if message.sequence != sequence {
                    continue;
                }
                is_interrupted |= message.flags & DUMP_INTERRUPTED != 0;
                if message.kind != DONE && message.kind != ERROR {
                    each(&message);
                    continue;
                }
                self.is_dirty = false;
                return match message::errno(&message).unwrap_or(0) {
                    0 if is_interrupted => Err(DumpError::Interrupted),
                    0 => Ok(()),
                    errno => Err(DumpError::Refused(io::Error::from_raw_os_error(errno))),
                };
            }
        }
    }

    fn send(&mut self) -> Result<(), Lost> {
        if self.is_dirty {
            self.drain();
        }
        // Cleared when the last answer has arrived.
        self.is_dirty = true;
        let sent = self.socket.send(&self.batch.bytes);
        self.batch.clear();
        sent
    }

    /// Discards answers to earlier requests, and those of a dump that is under way.
    fn drain(&mut self) {
        // An overflow is reported once. Any other error comes back at the next send.
        while matches!(self.socket.try_receive(&mut self.datagram), Ok(Some(_)) | Err(Lost::Overflow)) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{link, nexthop};

    /// Adds a request that is refused, with or without privileges.
    fn probe(requests: &mut Requests) -> u32 {
        requests.add(nexthop::put_probe)
    }

    #[test]
    fn each_refusal_has_the_number_of_its_request() {
        let mut requests = Requests::open().unwrap();
        let sent: Vec<u32> = (0..BATCH_MAX).map(|_| probe(&mut requests)).collect();
        assert!(requests.is_full());
        let mut refused = Vec::new();
        requests.flush(|sequence, _| refused.push(sequence)).unwrap();
        assert_eq!(refused, sent);
    }

    #[test]
    fn sequence_numbers_start_over_at_zero() {
        let mut requests = Requests::open().unwrap();
        requests.sequence = u32::MAX - 2;
        let sent: Vec<u32> = (0..5).map(|_| probe(&mut requests)).collect();
        let mut refused = Vec::new();
        requests.flush(|sequence, _| refused.push(sequence)).unwrap();
        assert_eq!((refused, sent[2..].to_vec()), (sent.clone(), vec![0, 1, 2]));
    }

    #[test]
    fn after_an_overflow_the_next_request_gets_its_own_answers() {
        let mut requests = Requests::with_buffer(1).unwrap();
        for _ in 0..3 {
            while !requests.is_full() {
                probe(&mut requests);
            }
            assert!(matches!(requests.flush(|_, _| ()), Err(Lost::Overflow)));
            let loopback = |message: &Message<'_>| link::Link::parse(message.body).map(|link| link.index);
            assert_eq!(requests.ask(|out, sequence| link::put_get(out, sequence, "lo"), loopback).unwrap(), Ok(1));
            let one = probe(&mut requests);
            let mut refused = Vec::new();
            requests.flush(|sequence, _| refused.push(sequence)).unwrap();
            assert_eq!(refused, [one]);
        }
    }
}
