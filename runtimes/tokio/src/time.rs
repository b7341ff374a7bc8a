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
