//! The format of the lines of a recording.

use std::num::ParseIntError;
use std::str::FromStr;

use metalbond::{Config, Input, Instant};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version of the format.
pub(crate) const FORMAT: u32 = 1;

/// The part of the first line that is read before its format is known.
#[derive(Deserialize, Debug)]
pub(crate) struct AnyHeader {
    pub(crate) metalbond_recording: u32,
}

/// The first line.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    /// The version of the format: [`FORMAT`].
    pub(crate) metalbond_recording: u32,
    /// The version of this package. Only with the same version are the outputs certainly the same.
    pub(crate) version: String,
    /// The time of the node's start.
    pub(crate) start: Instant,
    /// The node's settings, with its seed.
    pub(crate) config: Config,
}

/// Any line after the first.
#[derive(Serialize, Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// The time of the input; `None` if it is that of the previous input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) now: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<Input>,
    /// The number of calls of `poll_transmit`, including those that returned `None`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) poll_transmit: u16,
    /// The number of calls of `poll_change` after those, including those that returned `None`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) poll_change: u16,
    /// The result of `poll_timeout` at the end of an iteration, after those calls.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) poll_timeout: Option<Option<Instant>>,
    /// The checksum of all outputs so far; `None` if it has not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) crc: Option<Crc>,
}

impl Line {
    /// Returns true if nothing was called.
    pub(crate) fn is_empty(&self) -> bool {
        self.input.is_none() && self.poll_transmit == 0 && self.poll_change == 0 && self.poll_timeout.is_none()
    }
}

fn is_zero(n: &u16) -> bool {
    *n == 0
}

/// Returns `Some` for a field that is there, even if it is `null`; the default `None` means that the field is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Instant>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A checksum, written as eight hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Crc(pub(crate) u32);

impl std::fmt::Display for Crc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for Crc {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u32::from_str_radix(text, 16).map(Self)
    }
}

impl Serialize for Crc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Crc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;

        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|why| D::Error::custom(format_args!("{text:?} is not a crc: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metalbond::ConnId;

    use super::*;

    #[test]
    fn a_line_has_the_calls_and_nothing_else() {
        let written = |line: &Line| {
            let text = serde_json::to_string(line).unwrap();
            let read: Line = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
            text
        };
        let now = Instant::from_epoch(Duration::from_millis(1500));
        let input = Some(Input::Sent { conn: ConnId::accepted(0) });
        let line = Line { now: Some(now), input, poll_transmit: 1, crc: Some(Crc(0xbeef)), ..Line::default() };
        let text = r#"{"now":"1.500000000","input":{"sent":{"conn":"a0"}},"poll_transmit":1,"crc":"0000beef"}"#;
        assert_eq!(written(&line), text);
        let line = Line { poll_change: 3, poll_timeout: Some(Some(now)), ..Line::default() };
        assert_eq!(written(&line), r#"{"poll_change":3,"poll_timeout":"1.500000000"}"#);
        let line = Line { poll_timeout: Some(None), ..Line::default() };
        assert_eq!(written(&line), r#"{"poll_timeout":null}"#);
        assert!(serde_json::from_str::<Line>(r#"{"poll_nothing":1}"#).is_err());
    }
}
