//! The actor's side of a recording: notes each call, hands a turn's notes to the writer, and never waits for it.

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

/// Notes that wait for the writer at most, in bytes: about a million routes may come while a disk pauses.
const WAITING_MAX: usize = 64 * 1024 * 1024;

/// At this many bytes a turn's notes are handed over before its end.
const NOTES_MAX: usize = 1024 * 1024;

/// What a note takes at least, with its share of the outputs; what an input or a change has in bytes counts besides.
const NOTE: usize = size_of::<Note>() + 64;

/// A call, and what it gave.
#[derive(Debug)]
pub(crate) enum Note {
    Input(Instant, Input, Box<[Action]>),
    Transmit(Option<Sent>),
    Change(Option<RouteChange>),
    /// The end of a turn, and `poll_timeout`.
    Turn(Option<Instant>),
}

/// What the writer is told.
pub(crate) enum Order {
    /// Write these. They weigh so many bytes, which is to be said when it is done.
    Write(Vec<Note>, usize),
    /// Write all, then drop this.
    End(Box<dyn Send>),
}

/// Notes what is called. See the module's documentation for what becomes of it.
#[derive(Debug)]
pub(crate) struct Recorder {
    notes: Vec<Note>,
    /// Of `notes`, in bytes.
    weight: usize,
    /// Handed over, and not known to be written.
    waiting: usize,
    orders: Sender<Order>,
    written: Receiver<usize>,
    is_over: bool,
}

impl Recorder {
    /// Starts the writer.
    ///
    /// # Errors
    /// If there can be no thread.
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
        // It ends by itself when the recorder is gone and all is written.
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
        // The checksum is taken here, at 12 GB/s, so that no bytes need to be kept for it.
        self.note(Note::Transmit(transmit.map(Sent::from)), 0);
    }

    pub(crate) fn change(&mut self, change: Option<&RouteChange>) {
        let hops = change.map_or(0, |change| change.next_hops().len() + change.removed().len());
        self.note(Note::Change(change.cloned()), 32 * hops);
    }

    /// Hands over what the turn brought. `Break`: the recording is over.
    pub(crate) fn end_turn(&mut self, timeout: Option<Instant>) -> ControlFlow<()> {
        self.note(Note::Turn(timeout), 0);
        self.hand_over();
        if self.is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Hands over the rest. `token` is dropped when all is written, or can't be.
    pub(crate) fn finish(mut self, token: Box<dyn Send>) {
        self.hand_over();
        // Without a writer the token is dropped here.
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
        // The writer has said why, if it is gone.
        self.is_over = self.orders.send(Order::Write(notes, weight)).is_err();
    }
}
