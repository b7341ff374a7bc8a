//! Netlink attributes: length, kind and value, padded to four bytes. Numbers are in the machine's byte order.

/// The flag for a value that consists of attributes.
const NESTED: u16 = 1 << 15;
/// The bits of a kind that are flags.
const FLAGS: u16 = 3 << 14;
/// The size of the header: length and kind.
const HEADER: usize = 4;

/// An iterator over the attributes in some bytes. Ends at the first attribute that is incomplete.
#[derive(Clone)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Attributes<'a> {
    /// The kind, without flags, and the value.
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let len = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & !FLAGS;
        let value = self.0.get(HEADER..len)?;
        self.0 = self.0.get(padded(len)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Appends an attribute.
pub(crate) fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let start = begin(out, kind);
    out.extend_from_slice(value);
    finish(out, start);
}

/// Appends an attribute whose value is the attributes that `fill` appends.
pub(crate) fn nest(out: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = begin(out, kind | NESTED);
    fill(out);
    finish(out, start);
}

fn begin(out: &mut Vec<u8>, kind: u16) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&kind.to_ne_bytes());
    start
}

fn finish(out: &mut Vec<u8>, start: usize) {
    set_u16_len(out, start);
    out.resize(start + padded(out.len() - start), 0);
}

/// Writes at `start` the number of bytes from there to the end. The callers limit that number: see [`crate::operation`].
pub(crate) fn set_u16_len(out: &mut [u8], start: usize) {
    let len = u16::try_from(out.len() - start).expect("the number of legs and members is bounded");
    out[start..start + 2].copy_from_slice(&len.to_ne_bytes());
}

pub(crate) const fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(array_at(bytes, at)?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(array_at(bytes, at)?))
}

/// Returns `N` bytes from `at`, or `None` if there are fewer.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Generates attributes of small kinds. Some have a length that does not fit, and after them come a few bytes that are no attribute.
    pub(crate) fn almost() -> impl Strategy<Value = Vec<u8>> {
        let wrong_len = prop::option::weighted(0.2, 0..40u16);
        let one = (prop_oneof![4 => 0..32u16, 1 => any::<u16>()], prop::collection::vec(any::<u8>(), 0..24), wrong_len);
        (prop::collection::vec(one, 0..6), prop::collection::vec(any::<u8>(), 0..6)).prop_map(|(all, rest)| {
            let mut out = Vec::new();
            for (kind, value, wrong_len) in all {
                let start = out.len();
                put(&mut out, kind, &value);
                if let Some(len) = wrong_len {
                    out[start..start + 2].copy_from_slice(&len.to_ne_bytes());
                }
            }
            [out, rest].concat()
        })
    }

    #[test]
    fn attributes_are_padded_and_read_back() {
        let mut out = Vec::new();
        put(&mut out, 1, b"abc");
        nest(&mut out, 2, |out| put(out, 3, &7u32.to_ne_bytes()));
        let (abc, nested) = ([b'a', b'b', b'c'], 7u32.to_ne_bytes());
        let mut attributes = Attributes::new(&out);
        assert_eq!(attributes.next(), Some((1, &abc[..])));
        let (kind, value) = attributes.next().unwrap();
        assert_eq!(kind, 2);
        assert_eq!(Attributes::new(value).collect::<Vec<_>>(), [(3, &nested[..])]);
        assert_eq!(attributes.next(), None);
        assert_eq!(out.len(), 8 + 4 + 8);
    }

    #[test]
    fn an_incomplete_or_too_short_attribute_ends_the_iteration() {
        let mut out = Vec::new();
        put(&mut out, 1, b"abcd");
        for len in 0..out.len() {
            assert_eq!(Attributes::new(&out[..len]).next(), None);
        }
        for len in 0..4u8 {
            out[..2].copy_from_slice(&u16::from(len).to_ne_bytes());
            assert_eq!(Attributes::new(&out).next(), None);
        }
    }

    proptest! {
        #[test]
        fn attributes_are_read_as_they_were_written_up_to_the_first_that_is_cut(
            written in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..24)), 0..6),
            cut: prop::sample::Index,
        ) {
            let (mut out, mut ends) = (Vec::new(), Vec::new());
            for (kind, value) in &written {
                ends.push(out.len() + 4 + value.len());
                put(&mut out, *kind, value);
            }
            let cut = cut.index(out.len() + 1);
            let whole = written.iter().zip(ends).take_while(|(_, end)| *end <= cut);
            let whole: Vec<_> = whole.map(|((kind, value), _)| (kind % (1 << 14), &value[..])).collect();
            prop_assert_eq!(Attributes::new(&out[..cut]).collect::<Vec<_>>(), whole);
        }

        #[test]
        fn attributes_lie_in_their_bytes_one_after_the_other_until_nothing_whole_is_left(
            bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..100), almost()],
        ) {
            let mut at = 0;
            for (kind, value) in Attributes::new(&bytes) {
                let len = 4 + value.len();
                prop_assert_eq!(usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]])), len);
                prop_assert_eq!(u16::from_ne_bytes([bytes[at + 2], bytes[at + 3]]) % (1 << 14), kind);
                prop_assert_eq!(value.as_ptr_range(), bytes[at + 4..at + len].as_ptr_range());
                at += len.next_multiple_of(4);
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let is_whole = |len: usize| (4..=rest.len()).contains(&len);
            prop_assert!(rest.len() < 4 || !is_whole(u16::from_ne_bytes([rest[0], rest[1]]).into()), "{:?}", rest);
        }
    }
}
