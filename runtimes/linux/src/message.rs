//! Netlink messages: the header, a batch of messages in one buffer, and the kernel's answers. Source: `linux/netlink.h`.

use crate::attribute::{Attributes, array_at, padded, u16_at, u32_at};

/// The size of the header: length, kind, flags, sequence number, port.
const HEADER: usize = 16;

/// The kind of an acknowledgement or an error.
pub(crate) const ERROR: u16 = 2;
/// The kind of the end of a dump.
pub(crate) const DONE: u16 = 3;

/// The flag of a request to the kernel.
pub(crate) const REQUEST: u16 = 0x1;
/// The flag that asks for an answer to a success, too.
pub(crate) const ACK: u16 = 0x4;
/// The flag of a dump that may be incomplete, because something changed at the same time.
pub(crate) const DUMP_INTERRUPTED: u16 = 0x10;
/// The flags that ask for all objects, not for one.
pub(crate) const DUMP: u16 = 0x300;
/// The flag that replaces an existing object.
pub(crate) const REPLACE: u16 = 0x100;
/// The flag that fails if the object exists.
pub(crate) const EXCLUSIVE: u16 = 0x200;
/// The flag that makes the object if it does not exist.
pub(crate) const CREATE: u16 = 0x400;

/// The flag of an answer that has only the header of the request.
const CAPPED: u16 = 0x100;
/// The flag of an answer with attributes.
const ACK_ATTRIBUTES: u16 = 0x200;
/// The attribute with the kernel's error text.
const ACK_TEXT: u16 = 1;

/// A received message.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) body: &'a [u8],
}

/// An iterator over received messages. Ends at the first message that is incomplete.
pub(crate) struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let len = u32_at(self.0, 0)? as usize;
        let body = self.0.get(HEADER..len)?;
        let message =
            Message { kind: u16_at(self.0, 4)?, flags: u16_at(self.0, 6)?, sequence: u32_at(self.0, 8)?, body };
        self.0 = self.0.get(padded(len)..).unwrap_or_default();
        Some(message)
    }
}

/// Appends a message whose body is the bytes that `fill` appends.
pub(crate) fn put(out: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let len = u32::try_from(out.len() - start).expect("a message is far below 4 GiB");
    out[start..start + 4].copy_from_slice(&len.to_ne_bytes());
}

/// Sets the flag that asks for an answer to the message that begins at `start`.
pub(crate) fn ask_for_answer(out: &mut [u8], start: usize) {
    let flags = u16_at(out, start + 6).expect("a message begins at `start`") | ACK;
    out[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
}

/// The kernel's answer to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    /// The error number, 0 for success.
    pub(crate) errno: i32,
    /// The kernel's error text.
    pub(crate) text: Option<String>,
}

impl Answer {
    /// Reads a message of kind [`ERROR`].
    pub(crate) fn parse(message: &Message<'_>) -> Option<Self> {
        let errno = errno(message)?;
        let mut text = None;
        if message.flags & ACK_ATTRIBUTES != 0 {
            let request = if message.flags & CAPPED != 0 { HEADER } else { u32_at(message.body, 4)? as usize };
            let attributes = message.body.get(4usize.saturating_add(padded(request))..).unwrap_or_default();
            text = Attributes::new(attributes).find(|&(kind, _)| kind == ACK_TEXT).map(|(_, value)| {
                let value = value.split(|&byte| byte == 0).next().unwrap_or_default();
                String::from_utf8_lossy(value).into_owned()
            });
        }
        Some(Self { errno, text })
    }
}

/// Returns the error number of an [`ERROR`], or of a [`DONE`] that has one: 0 for success.
pub(crate) fn errno(message: &Message<'_>) -> Option<i32> {
    Some(i32::from_ne_bytes(array_at(message.body, 0)?).saturating_neg())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attribute;

    fn error(flags: u16, errno: i32, request: &[u8], text: Option<&str>) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, ERROR, flags, 9, |out| {
            out.extend_from_slice(&(-errno).to_ne_bytes());
            out.extend_from_slice(request);
            if let Some(text) = text {
                attribute::put(out, ACK_TEXT, text.as_bytes());
            }
        });
        out
    }

    fn request(body: usize) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, 24, 0, 9, |out| out.resize(out.len() + body, 0xff));
        out
    }

    #[test]
    fn an_answer_has_the_kernels_text_after_a_capped_or_a_whole_request() {
        let words = "Nexthop id does not exist";
        let whole = error(ACK_ATTRIBUTES, 22, &request(40), Some("Nexthop id does not exist\0"));
        let capped = error(ACK_ATTRIBUTES | CAPPED, 22, &request(40)[..16], Some("Nexthop id does not exist\0"));
        for bytes in [whole, capped] {
            let message = Messages::new(&bytes).next().unwrap();
            assert_eq!(Answer::parse(&message), Some(Answer { errno: 22, text: Some(words.into()) }));
        }
        let success = error(CAPPED, 0, &request(0), None);
        let message = Messages::new(&success).next().unwrap();
        assert_eq!(Answer::parse(&message), Some(Answer { errno: 0, text: None }));
    }

    #[test]
    fn messages_of_a_batch_follow_each_other() {
        let mut out = request(8);
        let second = out.len();
        out.extend(request(4));
        ask_for_answer(&mut out, second);
        let messages: Vec<_> = Messages::new(&out).map(|message| (message.flags, message.body.len())).collect();
        assert_eq!(messages, [(REQUEST, 8), (REQUEST | ACK, 4)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), flags: u16, len in 0u32..200) {
            let mut framed = request(0);
            framed[..4].copy_from_slice(&len.to_ne_bytes());
            framed[6..8].copy_from_slice(&flags.to_ne_bytes());
            framed.extend(&bytes);
            for bytes in [&bytes, &framed] {
                for message in Messages::new(bytes) {
                    let _ = (Answer::parse(&message), errno(&message));
                }
            }
        }
    }
}
