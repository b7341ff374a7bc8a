//! Warnings before certificates and revocation lists expire.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{error, info, warn};

use super::expiry::Left;
use super::secrets::Secrets;

/// Interval of warnings.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Logs the expiry of the files in use: at once, after each change, and daily if little time is left. Returns when
/// there is no sender any more.
pub(crate) fn remind(mut secrets: watch::Receiver<Secrets>) -> impl Future<Output = ()> {
    say(&secrets.borrow_and_update(), true);
    async move {
        let mut day = interval_at(Instant::now() + DAY, DAY);
        day.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_new = tokio::select! {
                _ = day.tick() => false,
                changed = secrets.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return,
                },
            };
            let now = secrets.borrow_and_update().clone();
            say(&now, is_new);
        }
    }
}

fn say(secrets: &Secrets, is_new: bool) {
    let now = Timestamp::now().as_second();
    for (_, expiry) in secrets.certificates() {
        let (path, date) = (expiry.path.display(), expiry.date());
        match expiry.left(now) {
            Left::Enough if is_new => info!("certificate {path}: valid until {date}"),
            Left::Enough => {}
            Left::Days(days) => warn!("certificate {path}: expires in {days} days, at {date}"),
            Left::Nothing => error!("certificate {path}: has expired, at {date}"),
        }
    }
    if let Some(list) = secrets.revocation()
        && list.left(now) == Left::Nothing
    {
        let (path, date) = (list.path.display(), list.date());
        warn!("revocation list {path}: out of date since {date}; it is still used");
    }
}
