//! The actor's side of a recording: notes each call, sends the notes of an iteration to the writer, and never waits for it.

use std::io;
use std::mem;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use metalbond::{Action, Config, Input, Instant, RouteChange, Transmit};
use tracing::error;

use super::digest::Sent;
use super::line::{FORMAT, Header};
use super::writer::Writer;
use crate::StartError;

/// The most bytes of notes that wait for the writer: enough for about a million routes while a disk pauses.
const WAITING_MAX: usize = 64 * 1024 * 1024;

/// The bytes of notes at which an iteration sends them to the writer before its end.
const NOTES_MAX: usize = 1024 * 1024;

/// The least number of bytes that a note takes, with its share of the outputs. The bytes of an input or a change are added.
const NOTE: usize = size_of::<Note>() + 64;

/// A call, and its result.
#[derive(Debug)]
pub(crate) enum Note {
    Input(Instant, Input, Box<[Action]>),
    Transmit(Option<Sent>),
    Change(Option<RouteChange>),
    /// The end of an iteration, and the result of `poll_timeout`.
    Iteration(Option<Instant>),
}

/// A message to the writer.
pub(crate) enum Order {
    /// Write these notes. The second value is their size in bytes, which the writer sends back when it has written them.
    Write(Vec<Note>, usize),
    /// Write everything, then drop this value.
    End(Box<dyn Send>),
}

/// Notes the calls of a node.
#[derive(Debug)]
pub(crate) struct Recorder {
    notes: Vec<Note>,
    /// The size of `notes` in bytes.
    weight: usize,
    /// The size in bytes of the notes that were sent to the writer and are not known to be written.
    waiting: usize,
    orders: Sender<Order>,
    written: Receiver<usize>,
    is_over: bool,
}

impl Recorder {
    /// Starts the writer.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn start(
        config: &Config,
        start: Instant,
        out: impl io::Write + Send + 'static,
    ) -> Result<Self, StartError> {
        let header = Header {
            metalbond_recording: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            start,
            config: config.clone(),
        };
        let (orders, ordered) = channel();
        let (done, written) = channel();
        let work = move || Writer::new(out, start).run(&header, &ordered, &done);
        // The thread ends when the recorder is dropped and everything is written.
        thread::Builder::new().name("recording".to_owned()).spawn(work).map_err(StartError::Thread)?;
        Ok(Self { notes: Vec::new(), weight: 0, waiting: 0, orders, written, is_over: false })
    }

    pub(crate) fn input(&mut self, now: Instant, input: Input, actions: &[Action]) {
        let len = match &input {
            Input::Received { bytes, .. } => bytes.len(),
            _ => 0,
        };
        self.note(Note::Input(now, input, actions.into()), len);
    }

    pub(crate) fn transmit(&mut self, transmit: Option<&Transmit>) {
        // The checksum is computed here, at 12 GB/s, so that the bytes need not be kept.
        self.note(Note::Transmit(transmit.map(Sent::from)), 0);
    }

    pub(crate) fn change(&mut self, change: Option<&RouteChange>) {
        let hops = change.map_or(0, |change| change.next_hops().len() + change.removed().len());
        self.note(Note::Change(change.cloned()), 32 * hops);
    }

    /// Sends the notes of the iteration to the writer. Returns `Break` if the recording has ended.
    pub(crate) fn end_iteration(&mut self, timeout: Option<Instant>) -> ControlFlow<()> {
        self.note(Note::Iteration(timeout), 0);
        self.hand_over();
        if self.is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Sends the remaining notes to the writer. `token` is dropped when everything is written, or when writing fails.
    pub(crate) fn finish(mut self, token: Box<dyn Send>) {
        self.hand_over();
        // If the writer has ended, this drops the token.
        let _ = self.orders.send(Order::End(token));
    }

    fn note(&mut self, note: Note, len: usize) {
        if self.is_over {
            return;
        }
        self.notes.push(note);
        self.weight += NOTE + len;
        if self.weight >= NOTES_MAX {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if self.is_over || self.notes.is_empty() {
            return;
        }
        self.waiting -= self.written.try_iter().sum::<usize>();
        if self.waiting > WAITING_MAX {
            error!("the recording ends here: it cannot be written as fast as it grows. The node goes on");
            self.is_over = true;
            return;
        }
        let (notes, weight) = (mem::take(&mut self.notes), mem::take(&mut self.weight));
        self.waiting += weight;
        // This fails if the writer has ended; it has logged the reason.
        self.is_over = self.orders.send(Order::Write(notes, weight)).is_err();
    }
}
