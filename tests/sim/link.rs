//! The network: one `Pipe` for each direction of a connection, and the `Path` between two hosts that the pipes use. A
//! pipe keeps the promise of TCP: bytes arrive in order or not at all, in pieces of any size.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use metalbond::TransportEnd;

use super::ops::{Chunking, Way};
use super::rng::Rng;
use super::wire::frame_len;

/// The direction from client to server.
pub(crate) const UP: usize = 0;
/// The direction from server to client.
pub(crate) const DOWN: usize = 1;

/// Number of bytes that a system accepts for a process that does not read.
const UNREAD_MAX: usize = 10;
/// Time for one byte on a path that dribbles.
const DRIBBLE: Duration = Duration::from_secs(1);

/// Shared by all connections between a client's host and a server's host.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) latency: Duration,
    /// Number of bytes in flight in one direction before a writer has to wait.
    pub(crate) window: usize,
    pub(crate) chunking: Chunking,
    /// Nothing arrives in this direction.
    pub(crate) silent: [bool; 2],
    /// One byte per second leaves in this direction.
    pub(crate) dribbles: [bool; 2],
}

impl Path {
    pub(crate) fn new(chunking: Chunking) -> Self {
        Self { latency: Duration::ZERO, window: 1 << 20, chunking, silent: [false; 2], dribbles: [false; 2] }
    }

    /// Lets only one byte per second pass in these directions.
    pub(crate) fn dribble(&mut self, way: Way) {
        match way {
            Way::Both => self.dribbles = [true; 2],
            Way::In => self.dribbles[UP] = true,
            Way::Out => self.dribbles[DOWN] = true,
        }
    }
}

/// One direction of a connection.
#[derive(Clone, Default, Debug)]
pub(crate) struct Pipe {
    /// Handed out by the sender, but not accepted by the system yet.
    unwritten: VecDeque<Bytes>,
    /// In flight, with the time of arrival.
    flight: VecDeque<(Duration, Bytes)>,
    bytes: usize,
    /// The time since which the next piece has been leaving, if the path dribbles.
    leaving_since: Option<Duration>,
    /// The end that the reader sees after the last byte, and when.
    end: Option<(Duration, TransportEnd)>,
    /// The writer closes after the last byte.
    closing: bool,
    /// Each chunk is a segment, which is read as a whole.
    segments: bool,
}

impl Pipe {
    pub(crate) fn of_segments() -> Self {
        Self { segments: true, ..Self::default() }
    }

    pub(crate) fn write(&mut self, chunks: impl IntoIterator<Item = Bytes>) {
        self.unwritten.extend(chunks);
    }

    /// Moves as much as the window allows into the network. Returns true if anything moved.
    pub(crate) fn pump(&mut self, now: Duration, path: &Path, direction: usize, is_read: bool) -> bool {
        let mut moved = false;
        let window = if is_read { path.window } else { path.window.min(UNREAD_MAX) };
        while let Some(chunk) = self.unwritten.front_mut() {
            let room = window.saturating_sub(self.bytes);
            if room == 0 {
                break;
            }
            let n = match (self.segments, path.dribbles[direction]) {
                (true, _) => chunk.len(),
                (false, true) => 1,
                (false, false) => room.min(chunk.len()),
            };
            if path.dribbles[direction] {
                let leaves = *self.leaving_since.get_or_insert(now) + DRIBBLE * n as u32;
                if now < leaves {
                    break;
                }
            }
            self.leaving_since = None;
            let piece = chunk.split_to(n);
            if chunk.is_empty() {
                self.unwritten.pop_front();
            }
            self.bytes += piece.len();
            if self.end.is_none() {
                self.flight.push_back((now + path.latency, piece));
            } else {
                self.bytes -= piece.len();
            }
            moved = true;
        }
        if self.closing && self.unwritten.is_empty() && self.end.is_none() {
            self.end = Some((now + path.latency, TransportEnd::Eof));
            moved = true;
        }
        moved
    }

    /// Returns when the next piece leaves, if the path dribbles.
    pub(crate) fn next_departure(&self) -> Option<Duration> {
        let n = if self.segments { self.unwritten.front()?.len() } else { 1 };
        self.leaving_since.map(|since| since + DRIBBLE * n as u32)
    }

    /// Returns how many bytes are under way or unread.
    pub(crate) fn waiting(&self) -> usize {
        self.bytes
    }

    /// Returns how many bytes the system has not accepted yet.
    pub(crate) fn unwritten(&self) -> usize {
        self.unwritten.iter().map(Bytes::len).sum()
    }

    pub(crate) fn is_written(&self) -> bool {
        self.unwritten.is_empty()
    }

    pub(crate) fn is_readable(&self, now: Duration) -> bool {
        self.flight.front().is_some_and(|(at, _)| *at <= now)
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.flight.is_empty()
    }

    /// Reads as much as the chunking allows.
    pub(crate) fn read(&mut self, now: Duration, chunking: Chunking, rng: &mut Rng) -> Option<Bytes> {
        let there: usize = self.flight.iter().take_while(|(at, _)| *at <= now).map(|(_, b)| b.len()).sum();
        if there == 0 {
            return None;
        }
        if self.segments {
            let (_, piece) = self.flight.pop_front()?;
            self.bytes -= piece.len();
            return Some(piece);
        }
        let n = match chunking {
            Chunking::Merged => there,
            Chunking::Random => rng.up_to(there),
            Chunking::Tiny => rng.up_to(2).min(there),
            Chunking::Frames => self.first_frame(there),
        };
        let mut out = BytesMut::new();
        while out.len() < n {
            let (_, piece) = self.flight.front_mut()?;
            out.extend_from_slice(&piece.split_to(piece.len().min(n - out.len())));
            if piece.is_empty() {
                self.flight.pop_front();
            }
        }
        self.bytes -= n;
        Some(out.freeze())
    }

    /// Returns the length of the frame at the front, or of the part of it that has arrived.
    fn first_frame(&self, there: usize) -> usize {
        let mut header: Vec<u8> = self.flight.iter().flat_map(|(_, b)| b.iter().copied()).take(4).collect();
        header.truncate(there);
        // After a piece of a frame was read, the rest does not begin with a header.
        if header.first() != Some(&1) {
            return there;
        }
        frame_len(&header).unwrap_or(there).min(there)
    }

    /// Returns how the connection ended for the reader, once all bytes are read.
    pub(crate) fn take_end(&mut self, now: Duration) -> Option<TransportEnd> {
        if self.is_readable(now) {
            return None;
        }
        match &self.end {
            Some((at, _)) if *at <= now => self.end.take().map(|(_, end)| end),
            _ => None,
        }
    }

    /// Closes the writer's end. With `drains`, data that it handed out before is still written.
    pub(crate) fn close(&mut self, drains: bool) {
        if !drains {
            self.unwritten.clear();
            self.leaving_since = None;
        }
        self.closing = true;
    }

    /// Ends the connection before all bytes that have not arrived yet.
    pub(crate) fn abort(&mut self, at: Duration, end: TransportEnd) {
        self.unwritten.clear();
        self.leaving_since = None;
        self.flight.clear();
        self.bytes = 0;
        self.end = Some((at, end));
    }

    /// Discards the bytes that have arrived.
    pub(crate) fn discard(&mut self, now: Duration) {
        while self.is_readable(now) {
            if let Some((_, piece)) = self.flight.pop_front() {
                self.bytes -= piece.len();
            }
        }
    }

    /// Returns when the next bytes or the end arrive.
    pub(crate) fn next_arrival(&self) -> Option<Duration> {
        let data = self.flight.front().map(|(at, _)| *at);
        data.or_else(|| self.end.as_ref().map(|(at, _)| *at))
    }
}
