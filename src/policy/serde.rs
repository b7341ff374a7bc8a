//! Serialization of names, patterns and sets as operators write them in files. A set is a text, a number, or a list of
//! these.

use alloc::string::{String, ToString};
use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{NextHopSet, PeerName, PeerPattern, PrefixSet, VniSet};
use crate::KindSet;
use crate::serde::parse;

impl Serialize for PeerName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PeerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(deserializer, "a name like dns:h7.example.org")
    }
}

impl Serialize for PeerPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// One text, unlike a set: joined by commas, a list of patterns could be read as one URI, which no peer has.
impl<'de> Deserialize<'de> for PeerPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(deserializer, r#"a peer like "dns:*.example.org" or "from:10.0.0.0/8""#)
    }
}

macro_rules! as_text {
    ($($set:ty: $expected:literal,)*) => {$(
        impl Serialize for $set {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $set {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    deserializer.deserialize_any(Entries($expected, PhantomData))
                } else {
                    deserializer.deserialize_str(Entries($expected, PhantomData))
                }
            }
        }
    )*};
}

as_text! {
    VniSet: r#"VNIs like [23, "100-199"] or "all""#,
    PrefixSet: r#"prefixes like ["10.0.0.0/8", "2001:db8::/32"] or "all""#,
    NextHopSet: r#"next hops like ["self", "2001:db8::/64"] or "any""#,
    KindSet: r#"types of routes like ["STD", "LB"]"#,
}

/// Reads a set: the entries of a list are joined by commas and parsed as one text.
struct Entries<T>(&'static str, PhantomData<T>);

impl<'de, T: FromStr<Err: fmt::Display>> Visitor<'de> for Entries<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|why| E::custom(format_args!("{text:?} is not {}: {why}", self.0)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<T, A::Error> {
        let Some(Entry(mut text)) = entries.next_element()? else { return self.visit_str("none") };
        while let Some(Entry(entry)) = entries.next_element()? {
            text.push(',');
            text.push_str(&entry);
        }
        self.visit_str(&text)
    }
}

/// An entry of a list: a text or a number.
struct Entry(String);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;

        impl Visitor<'_> for One {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Entry, E> {
                Ok(Entry(text.into()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Entry, E> {
                Ok(Entry(number.to_string()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Entry, E> {
                Ok(Entry(number.to_string()))
            }
        }

        deserializer.deserialize_any(One)
    }
}
