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
