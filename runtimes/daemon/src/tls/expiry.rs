//! Expiry of certificates and revocation lists.

use std::path::PathBuf;

use jiff::Timestamp;

/// Warnings start this many seconds before the expiry.
const SOON: i64 = 30 * 24 * 60 * 60;

/// The expiry of a certificate chain, which is that of its first certificate to expire, or of a revocation list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Expiry {
    pub(super) path: PathBuf,
    /// Time of the expiry in seconds since 1970.
    pub(crate) not_after: i64,
}

/// The time left until the expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    Enough,
    Days(i64),
    Nothing,
}

impl Expiry {
    /// Returns the time left, for the current time in seconds since 1970.
    pub(super) fn left(&self, now: i64) -> Left {
        match self.not_after.saturating_sub(now) {
            ..=0 => Left::Nothing,
            left if left < SOON => Left::Days(left / (24 * 60 * 60)),
            _ => Left::Enough,
        }
    }

    /// Formats the time of the expiry for people.
    pub(super) fn date(&self) -> String {
        Timestamp::from_second(self.not_after).map_or_else(|_| "the end of time".to_owned(), |date| date.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_days_need_no_warning_and_fewer_are_counted() {
        const DAY: i64 = 24 * 60 * 60;
        let expiry = Expiry { path: "x".into(), not_after: 1000 * DAY };
        assert_eq!(expiry.left(970 * DAY), Left::Enough);
        assert_eq!(expiry.left(970 * DAY + 1), Left::Days(29));
        assert_eq!(expiry.left(1000 * DAY - 1), Left::Days(0));
        assert_eq!(expiry.left(1000 * DAY), Left::Nothing);
        assert_eq!(expiry.date(), "1972-09-27T00:00:00Z");
    }
}
