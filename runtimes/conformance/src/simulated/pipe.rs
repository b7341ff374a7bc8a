//! One direction of a connection: what its writer has written and its reader has not read yet.
//!
//! Invariants: bytes arrive in order, without gaps, or are lost together at a reset. No segment holds bytes of two records. No more bytes
//! than the window are under way or unread, and no more than the buffer wait to be sent, give or take one segment.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use super::random::Random;

#[derive(Debug)]
struct Segment {
    bytes: Vec<u8>,
    ends_record: bool,
}

/// The end of what is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fin {
    /// More may be written.
    Open,
    /// It follows what waits to be sent.
    Waits,
    /// It arrives then.
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
    /// How many bytes wait to be sent at most.
    buffer: usize,
    /// How many bytes are under way or unread at most.
    window: usize,
    /// How long a segment is at most.
    segment: usize,
    /// How many bytes one read gets at most.
    read: usize,
    delay: Duration,
}

/// Sizes of buffers and windows.
const SIZES: [usize; 5] = [50, 300, 2000, 20_000, 100_000];
/// How long a segment of TCP is mostly.
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
            // However long the way: enough for 10 kB a second at least.
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

    /// Returns how many bytes can be written.
    pub(super) fn room(&self) -> usize {
        self.buffer.saturating_sub(self.unsent_bytes)
    }

    /// Takes some of these bytes, all at most. Returns how many: 0 without room.
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
        // A record that is written in part has no end yet, as on Linux.
        if ends_record
            && n == wanted
            && let Some(last) = self.unsent.back_mut()
        {
            last.ends_record = true;
        }
        n
    }

    /// No more is written. The reader learns it after the last byte.
    pub(super) fn finish(&mut self) {
        if self.fin == Fin::Open {
            self.fin = Fin::Waits;
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.fin != Fin::Open
    }

    /// Sends what the window has room for. Returns whether anything was sent.
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

    /// Lets arrive what is due. Returns whether anything did.
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

    /// Returns when the next segment, or the end, arrives.
    pub(super) fn next_arrival(&self) -> Option<Duration> {
        match (self.under_way.front(), self.fin) {
            (Some((at, _)), _) => Some(*at),
            (None, Fin::UnderWay(at)) => Some(at),
            _ => None,
        }
    }

    /// Returns how many bytes can be read.
    pub(super) fn unread(&self) -> usize {
        self.received_bytes
    }

    /// The reader has everything there will be.
    pub(super) fn is_at_end(&self) -> bool {
        self.received_bytes == 0 && self.fin == Fin::Arrived
    }

    /// Appends some received bytes, `max` at most. Returns how many.
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

    /// Takes the next segment, or what is left of it, and whether it ends a record.
    pub(super) fn read_segment(&mut self) -> Option<(Vec<u8>, bool)> {
        let segment = self.received.pop_front()?;
        self.received_bytes -= segment.bytes.len();
        Some((segment.bytes, segment.ends_record))
    }

    /// Loses what has not arrived.
    pub(super) fn lose(&mut self) {
        self.unsent.clear();
        self.under_way.clear();
        (self.unsent_bytes, self.under_way_bytes) = (0, 0);
    }

    /// Loses what was received. Returns how many bytes.
    pub(super) fn discard(&mut self) -> usize {
        self.received.clear();
        std::mem::take(&mut self.received_bytes)
    }
}
