//! The writer of a recording: a thread that writes notes as lines.

use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant as SystemTime};

use metalbond::Instant;
use serde::Serialize;
use tracing::error;

use super::digest::{Digest, Replies};
use super::line::{Crc, Header, Line};
use super::recorder::{Note, Order};

/// The longest time that written lines stay in memory. A node that is killed loses the lines of this time.
const FLUSH: Duration = Duration::from_millis(500);

/// The number of bytes at which the lines are written before that time.
const BUFFER: usize = 128 * 1024;

pub(crate) struct Writer<W: Write> {
    out: BufWriter<W>,
    /// The line that the next notes are added to.
    line: Line,
    /// The time of the last input that was written.
    now: Instant,
    digest: Digest,
    /// The checksum that was written last.
    crc: Crc,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W, start: Instant) -> Self {
        let digest = Digest::default();
        let crc = digest.crc();
        Self { out: BufWriter::with_capacity(BUFFER, out), line: Line::default(), now: start, digest, crc }
    }

    /// Writes until an order ends it, or until writing fails, which is logged.
    pub(crate) fn run(mut self, header: &Header, orders: &Receiver<Order>, written: &Sender<usize>) {
        let token = self.work(header, orders, written).unwrap_or_else(|why| {
            error!("the recording ends here: {why}. The node goes on");
            None
        });
        // Dropping the `BufWriter` would write the buffered bytes again, and might block for an unlimited time.
        let (out, _left) = self.out.into_parts();
        drop(out);
        drop(token);
    }

    /// Writes until an order ends it. Returns the value to drop at the end.
    fn work(
        &mut self,
        header: &Header,
        orders: &Receiver<Order>,
        written: &Sender<usize>,
    ) -> io::Result<Option<Box<dyn Send>>> {
        self.write(header)?;
        let mut flush = Some(SystemTime::now() + FLUSH);
        loop {
            let order = match flush {
                Some(at) => orders.recv_timeout(at.saturating_duration_since(SystemTime::now())),
                None => orders.recv().map_err(RecvTimeoutError::from),
            };
            match order {
                Ok(Order::Write(notes, weight)) => {
                    notes.into_iter().try_for_each(|note| self.take(note))?;
                    // Fails if the recorder has been dropped.
                    let _ = written.send(weight);
                    flush.get_or_insert_with(|| SystemTime::now() + FLUSH);
                }
                Ok(Order::End(token)) => return self.end().map(|()| Some(token)),
                Err(RecvTimeoutError::Disconnected) => return self.end().map(|()| None),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if flush.is_some_and(|at| at <= SystemTime::now()) {
                self.out.flush()?;
                flush = None;
            }
        }
    }

    fn take(&mut self, note: Note) -> io::Result<()> {
        match note {
            Note::Input(now, input, actions) => {
                self.end_line()?;
                self.line.now = (now != self.now).then_some(now);
                self.now = now;
                let replies = Replies::to(&input);
                self.line.input = Some(input);
                actions.iter().for_each(|action| self.digest.action(action, replies));
            }
            Note::Transmit(transmit) => {
                if self.line.poll_change > 0 || self.line.poll_transmit == u16::MAX {
                    self.end_line()?;
                }
                self.line.poll_transmit += 1;
                transmit.iter().for_each(|sent| self.digest.transmit(sent));
            }
            Note::Change(change) => {
                if self.line.poll_change == u16::MAX {
                    self.end_line()?;
                }
                self.line.poll_change += 1;
                change.iter().for_each(|change| self.digest.change(change));
            }
            Note::Iteration(timeout) => {
                self.line.poll_timeout = Some(timeout);
                self.end_line()?;
            }
        }
        Ok(())
    }

    /// Writes the current line, if it has something.
    fn end_line(&mut self) -> io::Result<()> {
        if self.line.is_empty() {
            return Ok(());
        }
        let mut line = std::mem::take(&mut self.line);
        let crc = self.digest.crc();
        line.crc = (crc != self.crc).then_some(crc);
        self.crc = crc;
        self.write(&line)
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }

    fn end(&mut self) -> io::Result<()> {
        self.end_line()?;
        self.out.flush()
    }
}
