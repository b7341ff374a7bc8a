//! Serialization that the feature `serde` does not derive: text in formats that people read, shorter values in others. A
//! value that no constructor returns is refused. The shapes are in the crate's documentation.

use core::fmt;
use core::marker::PhantomData;
use core::net::IpAddr;
use core::str::FromStr;
use core::time::Duration;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{ConnId, Instant, Prefix};

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            (self.addr(), self.prefix_len()).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return parse(deserializer, "a prefix like 10.0.0.0/8");
        }
        let (addr, len) = <(IpAddr, u8)>::deserialize(deserializer)?;
        Self::new(addr, len.into()).map_err(D::Error::custom)
    }
}

// Not a number: JSON readers whose numbers are `f64` would lose bits.
impl Serialize for ConnId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.to_bits().serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for ConnId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return parse(deserializer, "a connection like a7 or d7");
        }
        u64::deserialize(deserializer).map(Self::from_bits)
    }
}

// Exact, unlike the seconds of a setting: a replay must not differ from its recording by a nanosecond.
impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let since = self.since_epoch();
        if serializer.is_human_readable() {
            serializer.collect_str(&format_args!("{}.{:09}", since.as_secs(), since.subsec_nanos()))
        } else {
            since.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return parse(deserializer, "seconds and nanoseconds like 1.500000000").map(|Nanos(instant)| instant);
        }
        Duration::deserialize(deserializer).map(Self::from_epoch)
    }
}

/// An instant as text: seconds, a point, and nine digits.
struct Nanos(Instant);

impl FromStr for Nanos {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (secs, nanos) = text.split_once('.').ok_or("no '.'")?;
        if nanos.len() != 9 || !digits(nanos) || !digits(secs) {
            return Err("not seconds and nine digits of nanoseconds");
        }
        let number = "a number that is too large";
        let since = Duration::new(secs.parse().map_err(|_| number)?, nanos.parse().map_err(|_| number)?);
        Ok(Self(Instant::from_epoch(since)))
    }
}

/// Deserializes a text and parses it. `expected` is what an error says that the text should be.
pub(crate) fn parse<'de, T, D>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    struct Text<T>(&'static str, PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(|why| E::custom(format_args!("{text:?} is not {}: {why}", self.0)))
        }
    }

    deserializer.deserialize_str(Text(expected, PhantomData))
}

/// A duration. As text: a number of seconds, whole or not, as on a command line.
pub(crate) mod seconds {
    use super::{Deserialize, Deserializer, Duration, Error, Serialize, Serializer, Unexpected, Visitor, fmt};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            duration.serialize(serializer)
        } else if duration.subsec_nanos() == 0 {
            serializer.serialize_u64(duration.as_secs())
        } else {
            serializer.serialize_f64(duration.as_secs_f64())
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_f64(Seconds)
        } else {
            Duration::deserialize(deserializer)
        }
    }

    struct Seconds;

    impl Visitor<'_> for Seconds {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number of seconds from 0 on")
        }

        fn visit_u64<E: Error>(self, secs: u64) -> Result<Duration, E> {
            Ok(Duration::from_secs(secs))
        }

        fn visit_i64<E: Error>(self, secs: i64) -> Result<Duration, E> {
            let secs = u64::try_from(secs).map_err(|_| E::invalid_value(Unexpected::Signed(secs), &self))?;
            Ok(Duration::from_secs(secs))
        }

        fn visit_f64<E: Error>(self, secs: f64) -> Result<Duration, E> {
            // `Duration::MAX` is written as this number, which is too large to be converted back.
            if secs == Duration::MAX.as_secs_f64() {
                return Ok(Duration::MAX);
            }
            Duration::try_from_secs_f64(secs).map_err(|_| E::invalid_value(Unexpected::Float(secs), &self))
        }
    }
}

/// A duration or none. As text: `null` for none.
pub(crate) mod optional_seconds {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Seconds(#[serde(with = "super::seconds")] Duration);

    pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(Seconds).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Seconds>::deserialize(deserializer)?.map(|Seconds(duration)| duration))
    }
}

/// A time that the wire carries: a whole number of seconds in 32 bits, in every format.
pub(crate) mod whole_seconds {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        match u32::try_from(time.as_secs()) {
            Ok(secs) if time.subsec_nanos() == 0 => serializer.serialize_u32(secs),
            _ => Err(serde::ser::Error::custom(format_args!("{time:?} is not a whole number of seconds in 32 bits"))),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u32::deserialize(deserializer).map(|secs| Duration::from_secs(secs.into()))
    }
}

/// The same, or nothing: `null` for people.
pub(crate) mod optional_whole_seconds {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Seconds(#[serde(with = "super::whole_seconds")] Duration);

    pub(crate) fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Seconds).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Seconds>::deserialize(deserializer)?.map(|Seconds(time)| time))
    }
}

/// Bytes. As text: hexadecimal digits.
pub(crate) mod hex {
    use alloc::vec::Vec;

    use bytes::Bytes;

    use super::{Deserialize, Deserializer, FromStr, Serialize, Serializer, fmt, parse};

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(&Hex(bytes)) } else { bytes.serialize(serializer) }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        if deserializer.is_human_readable() {
            return parse(deserializer, "hexadecimal digits").map(|Digits(bytes)| bytes);
        }
        Bytes::deserialize(deserializer)
    }

    struct Hex<'a>(&'a [u8]);

    // 256 bytes at once: byte by byte with `{:x}` takes ten times as long.
    impl fmt::Display for Hex<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let mut text = [0; 512];
            for bytes in self.0.chunks(text.len() / 2) {
                for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
                    pair[0] = DIGITS[usize::from(byte >> 4)];
                    pair[1] = DIGITS[usize::from(byte & 15)];
                }
                f.write_str(core::str::from_utf8(&text[..2 * bytes.len()]).expect("digits are ASCII"))?;
            }
            Ok(())
        }
    }

    struct Digits(Bytes);

    impl FromStr for Digits {
        type Err = &'static str;

        fn from_str(text: &str) -> Result<Self, Self::Err> {
            let nibble = |digit: &u8| char::from(*digit).to_digit(16).map(|n| n as u8); // below 16
            let byte = |pair: &[u8]| match pair {
                [high, low] => Some(nibble(high)? << 4 | nibble(low)?),
                _ => None,
            };
            let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
            bytes.map(|bytes| Self(bytes.into())).ok_or("not pairs of them")
        }
    }
}
