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

    /// Generates messages. Some have a length that does not fit, and after them come a few bytes that are no message.
    fn almost() -> impl Strategy<Value = Vec<u8>> {
        let wrong_len = prop::option::weighted(0.2, 0..80u32);
        let one = (any::<(u16, u16, u32)>(), prop::collection::vec(any::<[u8; 4]>(), 0..8), wrong_len);
        (prop::collection::vec(one, 0..4), prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(all, rest)| {
            let mut out = Vec::new();
            for ((kind, flags, sequence), body, wrong_len) in all {
                let start = out.len();
                put(&mut out, kind, flags, sequence, |out| out.extend_from_slice(body.as_flattened()));
                if let Some(len) = wrong_len {
                    out[start..start + 4].copy_from_slice(&len.to_ne_bytes());
                }
            }
            [out, rest].concat()
        })
    }

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written_up_to_the_first_that_is_cut(
            written in prop::collection::vec((any::<(u16, u16, u32)>(), prop::collection::vec(any::<u8>(), 0..30)), 0..5),
            cut: prop::sample::Index,
        ) {
            let (mut out, mut ends) = (Vec::new(), Vec::new());
            for ((kind, flags, sequence), body) in &written {
                put(&mut out, *kind, *flags, *sequence, |out| out.extend_from_slice(body));
                ends.push(out.len());
                // As the kernel does. The attributes of this package's own messages are padded.
                out.resize(out.len().next_multiple_of(4), 0);
            }
            let cut = cut.index(out.len() + 1);
            let whole = written.iter().zip(ends).take_while(|(_, end)| *end <= cut);
            let whole = whole.map(|(((kind, flags, sequence), body), _)| (*kind, flags | REQUEST, *sequence, &body[..]));
            let read = Messages::new(&out[..cut]).map(|message| (message.kind, message.flags, message.sequence, message.body));
            prop_assert_eq!(read.collect::<Vec<_>>(), whole.collect::<Vec<_>>());
        }

        #[test]
        fn messages_lie_in_their_bytes_one_after_the_other_until_nothing_whole_is_left(
            bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), almost()],
        ) {
            let mut at = 0;
            for message in Messages::new(&bytes) {
                let header: [u8; 16] = bytes[at..at + 16].try_into().unwrap();
                let len = 16 + message.body.len();
                prop_assert!(header[..4] == (len as u32).to_ne_bytes());
                prop_assert!(header[4..6] == message.kind.to_ne_bytes());
                prop_assert!(header[6..8] == message.flags.to_ne_bytes());
                prop_assert!(header[8..12] == message.sequence.to_ne_bytes());
                prop_assert_eq!(message.body.as_ptr_range(), bytes[at + 16..at + len].as_ptr_range());
                at += len.next_multiple_of(4);
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let is_whole = |len: u32| (16..=rest.len()).contains(&(len as usize));
            prop_assert!(rest.len() < 16 || !is_whole(u32::from_ne_bytes(*rest.first_chunk().unwrap())), "{:?}", rest);
        }

        #[test]
        fn an_answer_that_is_cut_has_its_whole_text_or_none(
            number in 0..i32::MAX, request_len in 0..12usize, is_capped: bool, has_more: bool, words in "[ -~]{0,40}",
        ) {
            let (flags, request) = if is_capped { (CAPPED, request(0)) } else { (0, request(4 * request_len)) };
            let mut body = (-number).to_ne_bytes().to_vec();
            body.extend(&request);
            if has_more {
                attribute::put(&mut body, ACK_TEXT + 1, &[1; 4]);
            }
            let end_of_text = body.len() + 4 + words.len() + 1;
            attribute::put(&mut body, ACK_TEXT, format!("{words}\0").as_bytes());
            for cut in 0..=body.len() {
                let answer = |flags| Answer::parse(&Message { kind: ERROR, flags, sequence: 9, body: &body[..cut] });
                // The length of a request that is not capped stands in the request.
                let is_answer = cut >= if is_capped { 4 } else { 8 };
                let text = (cut >= end_of_text).then(|| words.clone());
                prop_assert_eq!(answer(flags | ACK_ATTRIBUTES), is_answer.then_some(Answer { errno: number, text }), "cut at {}", cut);
                prop_assert_eq!(answer(flags), (cut >= 4).then_some(Answer { errno: number, text: None }), "cut at {}", cut);
            }
        }

        #[test]
        fn what_an_answer_says_stands_in_its_message(
            number: i32, request_len in 0..48u32, rest in attribute::tests::almost(), flags: u16, cut: prop::sample::Index,
        ) {
            let mut body = [number.to_ne_bytes(), request_len.to_ne_bytes()].concat();
            body.extend(&rest);
            body.truncate(cut.index(body.len() * 2));
            let message = Message { kind: ERROR, flags, sequence: 9, body: &body };
            let expected = (body.len() >= 4).then(|| number.checked_neg().unwrap_or(i32::MAX));
            prop_assert_eq!(errno(&message), expected);
            let Some(Answer { errno, text }) = Answer::parse(&message) else { return Ok(()) };
            prop_assert_eq!(Some(errno), expected);
            if let Some(text) = text {
                prop_assert!(flags & ACK_ATTRIBUTES != 0);
                let is_there = text.is_empty() || body.windows(text.len()).any(|bytes| bytes == text.as_bytes());
                prop_assert!(is_there || text.contains(char::REPLACEMENT_CHARACTER), "{:?}", text);
            }
        }
    }
}
