//! Waiting until a time of the system's clock, or with a limit.

use std::future::Future;
use std::time::{Duration, Instant};

use smol::Timer;
use smol::future::or;

pub(crate) async fn sleep(duration: Duration) {
    Timer::after(duration).await;
}

pub(crate) async fn sleep_until(at: Instant) {
    Timer::at(at).await;
}

/// What comes of the work; `None` if it takes too long.
pub(crate) async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    or(async { Some(work.await) }, async {
        sleep(limit).await;
        None
    })
    .await
}

/// What comes of the work; `None` if it isn't done by then.
pub(crate) async fn timeout_at<T>(at: Instant, work: impl Future<Output = T>) -> Option<T> {
    or(async { Some(work.await) }, async {
        sleep_until(at).await;
        None
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use macro_rules_attribute::apply;
    use smol_macros::test;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[apply(test!)]
    async fn a_wait_ends_at_its_time_and_not_before() {
        let at = Instant::now() + SOON;
        sleep_until(at).await;
        assert!(Instant::now() >= at);
        // A time that has passed.
        sleep_until(at).await;
    }

    #[apply(test!)]
    async fn work_ends_at_its_limit() {
        let before = Instant::now();
        assert_eq!(timeout(SOON, pending::<()>()).await, None);
        assert_eq!(timeout_at(before + 2 * SOON, pending::<()>()).await, None);
        assert!(before.elapsed() >= 2 * SOON);
    }

    #[apply(test!)]
    async fn work_that_is_done_counts_though_its_time_is_over() {
        assert_eq!(timeout(Duration::ZERO, ready(1)).await, Some(1));
        assert_eq!(timeout_at(Instant::now(), ready(2)).await, Some(2));
    }
}
