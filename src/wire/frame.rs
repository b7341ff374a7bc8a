//! Deframing: frames from a stream of bytes that TCP may split at any byte.
//!
//! Invariant: at most one incomplete frame is stored, and a frame that arrives whole is not copied.

use alloc::vec::Vec;

use super::{HEADER_LEN, MAX_PAYLOAD, VERSION};
use crate::DecodeError;

/// A frame of the protocol without its header: the type of the message, and the payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// The message type's number.
    pub kind: u8,
    /// At most 1,188 bytes.
    pub payload: &'a [u8],
}

/// Splits a stream of bytes into frames.
#[derive(Debug, Default)]
pub struct Deframer {
    /// The bytes of an incomplete frame: at most [`MAX_FRAME`](super::MAX_FRAME).
    partial: Vec<u8>,
    /// The frame in `partial` was complete and has been returned.
    spent: bool,
}

impl Deframer {
    /// Returns the next frame, and moves the start of `input` to the byte after it. `None`: `input` is empty now, and more bytes are needed.
    ///
    /// # Errors
    /// If a header is wrong, as soon as its first wrong byte arrives. No further frame can be found in the stream.
    #[inline]
    pub fn next<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Result<Option<Frame<'a>>, DecodeError> {
        if self.spent {
            self.partial.clear();
            self.spent = false;
        }
        if self.partial.is_empty()
            && let Some((frame, rest)) = whole(input)
        {
            *input = rest;
            return Ok(Some(frame));
        }
        self.next_in_parts(input)
    }

    /// Returns the next frame of a stream whose next bytes are not a complete valid frame.
    #[cold]
    fn next_in_parts(&mut self, input: &mut &[u8]) -> Result<Option<Frame<'_>>, DecodeError> {
        self.take(input, HEADER_LEN);
        let Some(len) = payload_len(&self.partial)? else { return Ok(None) };
        self.take(input, HEADER_LEN + len);
        if self.partial.len() < HEADER_LEN + len {
            return Ok(None);
        }
        self.spent = true;
        Ok(Some(Frame { kind: self.partial[3], payload: &self.partial[HEADER_LEN..] }))
    }

    /// Moves bytes from `input` until `partial` has `len` bytes.
    fn take(&mut self, input: &mut &[u8], len: usize) {
        let missing = len.saturating_sub(self.partial.len()).min(input.len());
        let (head, rest) = input.split_at(missing);
        self.partial.extend_from_slice(head);
        *input = rest;
    }
}

/// Returns the frame at the start of `bytes` and the bytes after it, if the frame is complete and its header valid.
#[inline(always)]
fn whole(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let [VERSION, high, low, kind, rest @ ..] = bytes else { return None };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    let (payload, rest) = rest.split_at_checked(len)?;
    (len <= MAX_PAYLOAD).then_some((Frame { kind: *kind, payload }, rest))
}

/// Returns the payload's length, once the header is complete.
///
/// # Errors
/// If a byte of the header is wrong, even if the header is not complete.
fn payload_len(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    if let Some(&version) = bytes.first()
        && version != VERSION
    {
        return Err(DecodeError::Version(version));
    }
    let [_, high, low, rest @ ..] = bytes else { return Ok(None) };
    let len = u16::from_be_bytes([*high, *low]);
    if usize::from(len) > MAX_PAYLOAD {
        return Err(DecodeError::PayloadTooLong(len));
    }
    Ok((!rest.is_empty()).then_some(usize::from(len)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn a_wrong_version_is_seen_at_the_first_byte() {
        assert_eq!(Deframer::default().next(&mut &[2][..]), Err(DecodeError::Version(2)));
    }

    #[test]
    fn a_payload_that_is_too_long_is_seen_before_it_comes() {
        assert_eq!(Deframer::default().next(&mut &[1, 4, 165][..]), Err(DecodeError::PayloadTooLong(1189)));
        assert_eq!(Deframer::default().next(&mut &[1, 4, 164][..]), Ok(None));
        let mut deframer = Deframer::default();
        assert_eq!(deframer.next(&mut &[1][..]), Ok(None));
        assert_eq!(deframer.next(&mut &[0xff, 0xff, 5][..]), Err(DecodeError::PayloadTooLong(65535)));
    }

    /// What a deframer makes of these bytes in pieces of this size, up to the first error.
    fn frames(mut bytes: &[u8], piece: usize) -> (Vec<(u8, Vec<u8>)>, Option<DecodeError>) {
        let (mut deframer, mut out) = (Deframer::default(), vec![]);
        while !bytes.is_empty() {
            let (mut chunk, rest) = bytes.split_at(piece.min(bytes.len()));
            bytes = rest;
            loop {
                match deframer.next(&mut chunk) {
                    Ok(Some(frame)) => out.push((frame.kind, frame.payload.to_vec())),
                    Ok(None) => break assert!(chunk.is_empty()),
                    Err(why) => return (out, Some(why)),
                }
            }
        }
        (out, None)
    }

    proptest! {
        #[test]
        fn bytes_that_are_wrong_are_refused_wherever_the_stream_is_cut(
            parts in prop::collection::vec((0..3u8, 0..6u8, 0..200u8, any::<u8>(), 0..200usize), 1..30),
            piece in 1usize..300,
        ) {
            let mut stream = vec![];
            for (version, high, low, kind, len) in parts {
                stream.extend_from_slice(&[version.max(1), high.saturating_sub(1), low, kind]);
                stream.resize(stream.len() + len, 1);
            }
            prop_assert_eq!(frames(&stream, piece), frames(&stream, 1));
            prop_assert_eq!(frames(&stream, stream.len()), frames(&stream, 1));
        }

        #[test]
        fn frames_come_out_as_they_went_in_wherever_the_stream_is_cut(
            frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            cuts in prop::collection::vec(1usize..50, 1..200),
        ) {
            let mut stream = vec![];
            for (kind, payload) in &frames {
                stream.extend_from_slice(&[1, 0, payload.len() as u8, *kind]);
                stream.extend_from_slice(payload);
            }
            let (mut deframer, mut out, mut rest) = (Deframer::default(), vec![], &stream[..]);
            for cut in cuts.iter().cycle() {
                let (mut chunk, tail) = rest.split_at((*cut).min(rest.len()));
                while let Some(frame) = deframer.next(&mut chunk).unwrap() {
                    out.push((frame.kind, frame.payload.to_vec()));
                }
                rest = tail;
                if rest.is_empty() { break }
            }
            prop_assert_eq!(out, frames);
        }
    }
}
