//! A place in a table, to go on from when the table is looked at in pieces.

use core::fmt;
use core::str::FromStr;

/// A place in the table of a VNI, for [`Node::walk`](crate::Node::walk). The default is the beginning of the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Bookmark {
    /// In which arrangement of the table.
    pub(super) layout: u64,
    /// The first place that was not seen.
    pub(super) place: u32,
}

/// The error for a [`Bookmark`] that is not valid any more, because its table was rearranged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved;

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the table was rearranged meanwhile: begin again")
    }
}

impl core::error::Error for Moved {}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.layout, self.place)
    }
}

/// The error for a text that is not a [`Bookmark`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseBookmarkError(());

impl fmt::Display for ParseBookmarkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not two numbers with a dot between them")
    }
}

impl core::error::Error for ParseBookmarkError {}

impl FromStr for Bookmark {
    type Err = ParseBookmarkError;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (layout, place) = text.split_once('.').ok_or(ParseBookmarkError(()))?;
        match (layout.parse(), place.parse()) {
            (Ok(layout), Ok(place)) => Ok(Self { layout, place }),
            _ => Err(ParseBookmarkError(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn a_bookmark_is_read_as_it_is_printed() {
        let bookmark = Bookmark { layout: u64::MAX, place: u32::MAX };
        assert_eq!(bookmark.to_string().parse(), Ok(bookmark));
        for text in ["", ".", "1", "1.", ".1", "1.1.1", "-1.1", "1.4294967296"] {
            assert!(text.parse::<Bookmark>().is_err(), "{text}");
        }
    }
}
