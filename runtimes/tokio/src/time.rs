//! Waiting until a time of the system's clock, or with a limit.

use std::future::Future;
use std::time::{Duration, Instant};

pub(crate) use tokio::time::sleep;

pub(crate) async fn sleep_until(at: Instant) {
    tokio::time::sleep_until(at.into()).await;
}

/// What comes of the work; `None` if it takes too long.
pub(crate) async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

/// What comes of the work; `None` if it isn't done by then.
pub(crate) async fn timeout_at<T>(at: Instant, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(at.into(), work).await.ok()
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_wait_ends_at_its_time_and_not_before() {
        let at = Instant::now() + SOON;
        sleep_until(at).await;
        assert!(Instant::now() >= at);
        // A time that has passed.
        sleep_until(at).await;
    }

    #[tokio::test]
    async fn work_ends_at_its_limit() {
        let before = Instant::now();
        assert_eq!(timeout(SOON, pending::<()>()).await, None);
        assert_eq!(timeout_at(before + 2 * SOON, pending::<()>()).await, None);
        assert!(before.elapsed() >= 2 * SOON);
    }

    #[tokio::test]
    async fn work_that_is_done_counts_though_its_time_is_over() {
        assert_eq!(timeout(Duration::ZERO, ready(1)).await, Some(1));
        assert_eq!(timeout_at(Instant::now(), ready(2)).await, Some(2));
    }
}
