//! One direction of a connection: the bytes that its writer has written and its reader has not read yet.
//!
//! Invariants: bytes arrive in order and without gaps, or are lost together at a reset. No segment has bytes of two records. The bytes
//! under way or unread are at most the window, and the bytes that wait to be sent are at most the buffer, in both cases plus one segment.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use metalbond_driver::SendWindow;

use super::random::Random;

#[derive(Debug)]
struct Segment {
    bytes: Vec<u8>,
    ends_record: bool,
}

/// The state of the end of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fin {
    /// More bytes may be written.
    Open,
    /// The end follows the bytes that wait to be sent.
    Waits,
    /// The end arrives at this time.
    UnderWay(Duration),
    Arrived,
}

#[derive(Debug)]
pub(super) struct Pipe {
    unsent: VecDeque<Segment>,
    unsent_bytes: usize,
    under_way: VecDeque<(Duration, Segment)>,
    under_way_bytes: usize,
    received: VecDeque<Segment>,
    received_bytes: usize,
    fin: Fin,
    /// The most bytes that wait to be sent.
    buffer: usize,
    /// The most bytes that are under way or unread.
    window: usize,
    /// The longest segment, in bytes.
    segment: usize,
    /// The most bytes that one read returns.
    read: usize,
    delay: Duration,
}

/// The sizes of buffers and windows, in bytes.
const SIZES: [usize; 5] = [50, 300, 2000, 20_000, 100_000];
/// The usual length of a TCP segment, in bytes.
const MSS: usize = 1460;

impl Pipe {
    pub(super) fn new(delay: Duration, random: &mut Random) -> Self {
        Self {
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            under_way: VecDeque::new(),
            under_way_bytes: 0,
            received: VecDeque::new(),
            received_bytes: 0,
            fin: Fin::Open,
            buffer: random.choose(&SIZES),
            // The window permits at least 10 kB a second, however long the delay is.
            window: random.choose(&SIZES).max(delay.as_micros() as usize / 40),
            segment: random.choose(&[MSS, MSS, MSS, 100, 100, 7]),
            read: random.choose(&[usize::MAX, usize::MAX, usize::MAX, usize::MAX, 20, 3]),
            delay,
        }
    }

    pub(super) fn make_broad(&mut self, read: usize) {
        (self.buffer, self.window, self.segment) = (SIZES[4], SIZES[4], MSS);
        self.read = read;
    }

    /// Returns the number of bytes that can be written.
    pub(super) fn room(&self) -> usize {
        self.buffer.saturating_sub(self.unsent_bytes)
    }

    /// Takes some of these bytes, at most all. Returns how many; 0 if there is no room.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>], ends_record: bool, random: &mut Random) -> usize {
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut n = wanted.min(self.room());
        if n > 1 && random.one_in(8) {
            n = random.up_to(n);
        }
        let mut left = n;
        for slice in slices {
            let (mut bytes, _) = slice.split_at(left.min(slice.len()));
            left -= bytes.len();
            while !bytes.is_empty() {
                let (segment, rest) = bytes.split_at(random.up_to(self.segment).max(self.segment / 2).min(bytes.len()));
                self.unsent.push_back(Segment { bytes: segment.to_vec(), ends_record: false });
                bytes = rest;
            }
        }
        self.unsent_bytes += n;
        // A record that is written only in part has no end yet, as on Linux.
        if ends_record
            && n == wanted
            && let Some(last) = self.unsent.back_mut()
        {
            last.ends_record = true;
        }
        n
    }

    /// Returns the window that is left, and the bytes that have not arrived.
    pub(super) fn send_window(&self) -> SendWindow {
        let window = self.window.saturating_sub(self.under_way_bytes + self.received_bytes);
        // The sizes are small.
        SendWindow { window: window as u32, unacknowledged: (self.unsent_bytes + self.under_way_bytes) as u32 }
    }

    /// Ends writing. The reader sees the end after the last byte.
    pub(super) fn finish(&mut self) {
        if self.fin == Fin::Open {
            self.fin = Fin::Waits;
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.fin != Fin::Open
    }

    /// Sends the bytes that fit into the window. Returns true if any bytes, or the end, were sent.
    pub(super) fn send(&mut self, now: Duration, random: &mut Random) -> bool {
        let mut any = false;
        while self.under_way_bytes + self.received_bytes < self.window
            && let Some(mut segment) = self.unsent.pop_front()
        {
            while !segment.ends_record
                && let Some(next) = self.unsent.front()
                && segment.bytes.len() + next.bytes.len() <= self.segment
                && random.one_in(2)
                && let Some(next) = self.unsent.pop_front()
            {
                segment.bytes.extend_from_slice(&next.bytes);
                segment.ends_record = next.ends_record;
            }
            self.unsent_bytes -= segment.bytes.len();
            self.under_way_bytes += segment.bytes.len();
            let arrives = self.arrival(now, random);
            self.under_way.push_back((arrives, segment));
            any = true;
        }
        if self.unsent.is_empty() && self.fin == Fin::Waits {
            self.fin = Fin::UnderWay(self.arrival(now, random));
            any = true;
        }
        any
    }

    fn arrival(&self, now: Duration, random: &mut Random) -> Duration {
        let jitter = Duration::from_micros(random.below(1 + self.delay.as_micros() as usize / 2) as u64);
        let earliest = self.under_way.back().map_or(now, |(at, _)| *at);
        (now + self.delay + jitter).max(earliest)
    }

    /// Receives the bytes that are due. Returns true if any bytes, or the end, were received.
    pub(super) fn receive(&mut self, now: Duration) -> bool {
        let mut any = false;
        while self.under_way.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, segment)) = self.under_way.pop_front()
        {
            self.under_way_bytes -= segment.bytes.len();
            self.received_bytes += segment.bytes.len();
            self.received.push_back(segment);
            any = true;
        }
        if self.under_way.is_empty()
            && let Fin::UnderWay(at) = self.fin
            && at <= now
        {
            self.fin = Fin::Arrived;
            any = true;
        }
        any
    }

    /// Returns the time at which the next segment, or the end, arrives.
    pub(super) fn next_arrival(&self) -> Option<Duration> {
        match (self.under_way.front(), self.fin) {
            (Some((at, _)), _) => Some(*at),
            (None, Fin::UnderWay(at)) => Some(at),
            _ => None,
        }
    }

    /// Returns the number of bytes that can be read.
    pub(super) fn unread(&self) -> usize {
        self.received_bytes
    }

    /// Returns true if the reader has read everything and the end has arrived.
    pub(super) fn is_at_end(&self) -> bool {
        self.received_bytes == 0 && self.fin == Fin::Arrived
    }

    /// Appends received bytes to `buffer`, at most `max`. Returns how many.
    pub(super) fn read(&mut self, max: usize, buffer: &mut Vec<u8>, random: &mut Random) -> usize {
        let mut n = self.received_bytes.min(max).min(self.read);
        if n > 1 && random.one_in(4) {
            n = random.up_to(n);
        }
        let mut left = n;
        while left > 0
            && let Some(first) = self.received.front_mut()
        {
            if first.bytes.len() > left {
                let rest = first.bytes.split_off(left);
                buffer.extend_from_slice(&first.bytes);
                first.bytes = rest;
                break;
            }
            left -= first.bytes.len();
            buffer.extend_from_slice(&first.bytes);
            self.received.pop_front();
        }
        self.received_bytes -= n;
        n
    }

    /// Takes the rest of the next segment, and whether it ends a record.
    pub(super) fn read_segment(&mut self) -> Option<(Vec<u8>, bool)> {
        let segment = self.received.pop_front()?;
        self.received_bytes -= segment.bytes.len();
        Some((segment.bytes, segment.ends_record))
    }

    /// Discards the bytes that have not arrived.
    pub(super) fn lose(&mut self) {
        self.unsent.clear();
        self.under_way.clear();
        (self.unsent_bytes, self.under_way_bytes) = (0, 0);
    }

    /// Discards the bytes that were received. Returns how many.
    pub(super) fn discard(&mut self) -> usize {
        self.received.clear();
        std::mem::take(&mut self.received_bytes)
    }
}
