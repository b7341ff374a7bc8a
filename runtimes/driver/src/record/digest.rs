//! A checksum of a node's outputs, the same on every machine. It lists the fields that it covers, so that a field that is added to an
//! output does not change the checksum of old recordings.

use std::collections::BTreeMap;

use metalbond::{
    Action, Close, CloseReason, Command, CommandError, ConnId, Denial, Input, Reply, RouteChange, Transmit,
    TransmitMode,
};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use super::line::Crc;

/// The CRC-32 of all outputs so far. Each output is added as a JSON array.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest {
    crc: crc32fast::Hasher,
    /// A buffer for the text of an output.
    text: Vec<u8>,
}

/// The parts of a [`Transmit`] that count for the checksum, without its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    conn: ConnId,
    mode: &'static str,
    /// The lengths of the chunks, because in [`TransmitMode::Segments`] each is written on its own.
    lens: SmallVec<[usize; 4]>,
    crc: u32,
}

impl From<&Transmit> for Sent {
    fn from(transmit: &Transmit) -> Self {
        let mode = match transmit.mode {
            TransmitMode::Stream => "stream",
            TransmitMode::Segments => "segments",
        };
        let mut crc = crc32fast::Hasher::new();
        transmit.chunks.iter().for_each(|chunk| crc.update(chunk));
        let lens = transmit.chunks.iter().map(|chunk| chunk.len()).collect();
        Self { conn: transmit.conn, mode, lens, crc: crc.finalize() }
    }
}

/// Returns a denial with the words of version 0.1, in which a rule `allows`, so that the checksums of old recordings stay valid.
fn denial_in_old_words(denial: &Denial) -> String {
    let Denial { rule, what, why, count, .. } = denial;
    let why = why.to_string().replacen("permits", "allows", 1);
    let more = if *count > 1 { format!("; and {} more", count - 1) } else { String::new() };
    format!("{what}: rule '{rule}' {why}{more}")
}

/// A reason with the words of version 0.1, so that the checksums of old recordings stay valid.
struct ReasonInOldWords<'a>(&'a CloseReason);

impl Serialize for ReasonInOldWords<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (name, old_name) = match self.0 {
            CloseReason::HoldTime(_) => ("hold_time", "silence"),
            CloseReason::Banned(_) => ("banned", "kept_out"),
            CloseReason::NotPermitted => return serializer.serialize_str("not_allowed"),
            reason => return reason.serialize(serializer),
        };
        let mut reason = serde_json::to_value(self.0).map_err(S::Error::custom)?;
        BTreeMap::from([(old_name, reason[name].take())]).serialize(serializer)
    }
}

/// The words for the reply to an input. They are those of version 0.1 of the recorder, so that the checksums of old recordings stay valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replies {
    /// The word for the reply to a command that changed nothing. Earlier versions returned an error with this name.
    no_change: &'static str,
}

impl Replies {
    pub(crate) fn to(input: &Input) -> Self {
        let no_change = match input {
            Input::Command(Command::Subscribe(_)) => "already_subscribed",
            Input::Command(Command::Unsubscribe(_)) => "not_subscribed",
            Input::Command(Command::Announce(_)) => "already_announced",
            Input::Command(Command::Withdraw(_)) => "no_such_route",
            Input::Command(Command::RemovePeer(_)) => "no_such_peer",
            _ => "no_change",
        };
        Self { no_change }
    }
}

impl Digest {
    pub(crate) fn crc(&self) -> Crc {
        Crc(self.crc.clone().finalize())
    }

    /// Adds an action that an input caused.
    pub(crate) fn action(&mut self, action: &Action, replies: Replies) {
        match action {
            Action::Dial { conn, peer, endpoint } => self.json(&("dial", conn, peer, &**endpoint)),
            Action::Close { conn, how: Close::Now } => self.json(&("close", conn, "now")),
            Action::Close { conn, how: Close::Linger } => self.json(&("close", conn, "drain")),
            Action::State(t) => {
                let peer = t.peer.as_ref().map(|peer| (peer.id, &*peer.endpoint));
                let reason = t.reason.as_ref().map(ReasonInOldWords);
                self.json(&("state", t.conn, peer, t.remote, t.old, t.new, reason));
            }
            Action::Denied(denial) => self.json(&("refused", denial.conn, denial_in_old_words(denial))),
            Action::Reply(Ok(Reply::Done)) => self.json(&("reply", "done")),
            Action::Reply(Ok(Reply::Peer(id))) => self.json(&("reply", "peer", id)),
            Action::Reply(Ok(Reply::Changed(true))) => self.json(&("reply", "done")),
            Action::Reply(Ok(Reply::Changed(false))) => self.json(&("reply", "error", replies.no_change)),
            Action::Reply(Ok(reply)) => self.json(&("reply", format!("{reply:?}"))),
            // This is how misuse was written when it was no error kind of its own.
            Action::Reply(Err(CommandError::Misuse(misuse))) => self.json(&("reply", "error", misuse)),
            Action::Reply(Err(error)) => self.json(&("reply", "error", error)),
            // Recordings of versions that did not have this action stay valid.
            Action::MeasureWindow { .. } => {}
            Action::Terminated => self.json(&("terminated",)),
        }
    }

    pub(crate) fn transmit(&mut self, Sent { conn, mode, lens, crc }: &Sent) {
        self.json(&("transmit", conn, mode, &lens[..], crc));
    }

    pub(crate) fn change(&mut self, change: &RouteChange) {
        let (known, news) = (change.next_hops(), (change.added(), change.removed()));
        self.json(&("change", change.vni, change.prefix, known, news));
    }

    fn json(&mut self, output: &impl Serialize) {
        self.text.clear();
        serde_json::to_writer(&mut self.text, output).expect("numbers and text have a form, and memory takes it");
        self.crc.update(&self.text);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn renamed_reasons_have_their_old_names_in_the_checksum() {
        let text = |reason| serde_json::to_string(&ReasonInOldWords(&reason)).unwrap();
        let time = Duration::from_millis(2500);
        assert_eq!(text(CloseReason::HoldTime(time)), r#"{"silence":2.5}"#);
        assert_eq!(text(CloseReason::Banned(time)), r#"{"kept_out":2.5}"#);
        assert_eq!(text(CloseReason::NotPermitted), r#""not_allowed""#);
        assert_eq!(text(CloseReason::Shutdown), serde_json::to_string(&CloseReason::Shutdown).unwrap());
    }
}
