//! The output of a replay: each step in words, with bytes decoded as messages.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use metalbond::wire::{Decoded, Deframer, Hello, Message, UpdateAction};
use metalbond::{Action, Close, ConnId, Input, Instant, Reply};
use metalbond_tokio::Step;

/// Prints steps in order.
#[derive(Default)]
pub(crate) struct Steps {
    now: Instant,
    /// The partial message of each connection. `None` after an invalid message.
    streams: BTreeMap<ConnId, Option<Deframer>>,
}

impl Steps {
    /// Writes a step on one or several lines, each with the time of the last input.
    pub(crate) fn write(&mut self, out: &mut impl io::Write, step: &Step<'_>) -> io::Result<()> {
        let lines = match step {
            Step::Input(now, input) => {
                self.now = *now;
                self.input(input)
            }
            Step::Action(Action::Close { conn, .. }) => {
                self.streams.remove(conn);
                outputs(step, usize::MAX)
            }
            Step::Iteration(Some(at)) => vec![format!("iteration ends; next at {}", seconds(*at))],
            Step::Iteration(None) => vec!["iteration ends".to_owned()],
            _ => outputs(step, usize::MAX),
        };
        let now = seconds(self.now);
        lines.iter().try_for_each(|line| writeln!(out, "{now} {line}"))
    }

    fn input(&mut self, input: &Input) -> Vec<String> {
        let line = match input {
            Input::Tick => "tick".to_owned(),
            Input::Accepted { conn, remote } => format!("{conn} accepted from {remote}"),
            Input::Identified { conn, names } => {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                format!("{conn} is {}", names.join(", "))
            }
            Input::Connected { conn, remote } => format!("{conn} connected to {remote}"),
            Input::DialFailed { conn, why } => format!("{conn} failed: {why}"),
            Input::Received { conn, bytes } => return self.received(*conn, bytes),
            Input::Sent { conn } => format!("{conn} sent"),
            Input::Window { conn, window, unacknowledged } => {
                format!("{conn} has a window of {window} bytes, {unacknowledged} bytes are unacknowledged")
            }
            Input::Closed { conn, end } => {
                self.streams.remove(conn);
                format!("{conn} ended: {end}")
            }
            Input::Command(command) => match serde_json::to_string(command) {
                Ok(json) => format!("command {json}"),
                Err(error) => format!("command that can't be shown: {error}"),
            },
            other => format!("{other:?}"),
        };
        vec![line]
    }

    fn received(&mut self, conn: ConnId, mut bytes: &[u8]) -> Vec<String> {
        let len = bytes.len();
        let stream = self.streams.entry(conn).or_insert_with(|| Some(Deframer::default()));
        let mut lines = Vec::new();
        while let Some(deframer) = stream {
            match message(deframer, &mut bytes) {
                Ok(Some(text)) => lines.push(format!("{conn} -> {text}")),
                Ok(None) => break,
                Err(text) => {
                    lines.push(format!("{conn} -> {text}"));
                    *stream = None;
                }
            }
        }
        if lines.is_empty() {
            lines.push(format!("{conn} -> {len} bytes"));
        }
        lines
    }
}

/// Returns at most `limit` lines about the outputs of a step. Empty for an input or the end of an iteration.
pub(crate) fn outputs(step: &Step<'_>, limit: usize) -> Vec<String> {
    let line = match step {
        Step::Action(action) => action_text(action),
        Step::Change(change) => format!("change {change}"),
        Step::Transmit(transmit) => {
            let mut lines = Vec::new();
            for mut bytes in transmit.chunks.iter().map(|chunk| &chunk[..]) {
                let mut deframer = Deframer::default();
                while lines.len() < limit
                    && let Ok(Some(text)) = message(&mut deframer, &mut bytes)
                {
                    lines.push(format!("{} <- {text}", transmit.conn));
                }
            }
            return lines;
        }
        _ => return Vec::new(),
    };
    if limit == 0 { Vec::new() } else { vec![line] }
}

fn action_text(action: &Action) -> String {
    match action {
        Action::Dial { conn, peer, endpoint } => format!("dial {endpoint} for {peer} as {conn}"),
        Action::Close { conn, how: Close::Now } => format!("close {conn}"),
        Action::Close { conn, how: Close::Linger } => format!("close {conn} when it is drained"),
        Action::State(transition) => format!("{} is {transition}", transition.conn),
        Action::Reply(Ok(Reply::Done | Reply::Changed(true))) => "reply: done".to_owned(),
        Action::Reply(Ok(Reply::Changed(false))) => "reply: no change".to_owned(),
        Action::Reply(Ok(Reply::Peer(peer))) => format!("reply: {peer}"),
        Action::Reply(Ok(reply)) => format!("reply: {reply:?}"),
        Action::Reply(Err(error)) => format!("reply: {error}"),
        Action::Denied(refusal) => format!("refused {refusal}"),
        Action::MeasureWindow { conn } => format!("measure the window of {conn}"),
        Action::Terminated => "terminated".to_owned(),
    }
}

/// Returns the next message in words. Returns an error if the data is invalid, after which no message can follow.
fn message(deframer: &mut Deframer, bytes: &mut &[u8]) -> Result<Option<String>, String> {
    let text = |error: metalbond::DecodeError| error.to_string();
    let Some(frame) = deframer.next(bytes).map_err(text)? else { return Ok(None) };
    Ok(Some(match Message::decode(frame).map_err(text)? {
        Decoded::Message(Message::Hello(hello)) => hello_text(&hello),
        Decoded::Message(Message::Keepalive) => "KEEPALIVE".to_owned(),
        Decoded::Message(Message::Subscribe(vni)) => format!("SUBSCRIBE {vni}"),
        Decoded::Message(Message::Unsubscribe(vni)) => format!("UNSUBSCRIBE {vni}"),
        Decoded::Message(Message::Update(update)) => match update.action {
            UpdateAction::Add => format!("ADD {}", update.route),
            UpdateAction::Remove => format!("REMOVE {}", update.route),
        },
        Decoded::Unknown(kind) => format!("message of the unknown type {kind}"),
        Decoded::InvalidUpdate(why) => format!("invalid UPDATE: {why}"),
    }))
}

fn hello_text(hello: &Hello) -> String {
    let mut text = format!("HELLO keepalive {}", hello.keepalive);
    for (is_set, word) in [(hello.is_server, " server"), (hello.ordered, " ordered"), (hello.converging, " converging")]
    {
        text += if is_set { word } else { "" };
    }
    if hello.restart_time > 0 {
        // Writing to a String can't fail.
        let _ = write!(text, " restart {}", hello.restart_time);
    }
    text
}

/// Formats a time in seconds with microseconds.
fn seconds(at: Instant) -> String {
    let since = at.since_epoch();
    format!("{}.{:06}", since.as_secs(), since.subsec_micros())
}
