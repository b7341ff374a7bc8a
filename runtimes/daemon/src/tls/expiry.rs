//! Expiry of certificates and revocation lists, and warnings before it.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{error, info, warn};

use super::held::Held;

/// Interval of warnings.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
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
enum Left {
    Enough,
    Days(i64),
    Nothing,
}

impl Expiry {
    fn left(&self, now: i64) -> Left {
        match self.not_after.saturating_sub(now) {
            ..=0 => Left::Nothing,
            left if left < SOON => Left::Days(left / (24 * 60 * 60)),
            _ => Left::Enough,
        }
    }

    /// Formats the time of the expiry for people.
    fn date(&self) -> String {
        Timestamp::from_second(self.not_after).map_or_else(|_| "the end of time".to_owned(), |date| date.to_string())
    }
}

/// Logs the expiry of the files in use: at once, after each change, and daily if little time is left. Returns when
/// there is no sender any more.
pub(crate) fn remind(mut held: watch::Receiver<Held>) -> impl Future<Output = ()> {
    say(&held.borrow_and_update(), true);
    async move {
        let mut day = interval_at(Instant::now() + DAY, DAY);
        day.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_new = tokio::select! {
                _ = day.tick() => false,
                changed = held.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return,
                },
            };
            let now = held.borrow_and_update().clone();
            say(&now, is_new);
        }
    }
}

fn say(held: &Held, is_new: bool) {
    let now = Timestamp::now().as_second();
    for (_, expiry) in held.certificates() {
        let (path, date) = (expiry.path.display(), expiry.date());
        match expiry.left(now) {
            Left::Enough if is_new => info!("certificate {path}: good until {date}"),
            Left::Enough => {}
            Left::Days(days) => warn!("certificate {path}: expires in {days} days, at {date}"),
            Left::Nothing => error!("certificate {path}: has expired, at {date}"),
        }
    }
    if let Some(list) = held.revocation()
        && list.left(now) == Left::Nothing
    {
        let (path, date) = (list.path.display(), list.date());
        warn!("revocation list {path}: out of date since {date}; what it says is still held to");
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
