//! The clock of a node: the clock of its runtime, as the time since the node's start, which is how the core counts time.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use metalbond::Instant;

use crate::Runtime;

/// The clock and the timers of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock<R> {
    runtime: R,
    start: std::time::Instant,
}

impl<R: Runtime> Clock<R> {
    /// Makes a clock whose epoch is now.
    pub(crate) fn start(runtime: R) -> Self {
        let start = runtime.now();
        Self { runtime, start }
    }

    pub(crate) const fn runtime(&self) -> &R {
        &self.runtime
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_epoch(self.runtime.now().saturating_duration_since(self.start))
    }

    /// Waits until `at`, or for ever if `at` is too far away for the system's clock.
    pub(crate) async fn sleep_until(&self, at: Instant) {
        let Some(deadline) = self.start.checked_add(at.since_epoch()) else { return std::future::pending().await };
        // A timer may end early.
        while self.now() < at {
            self.runtime.sleep_until(deadline).await;
        }
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
    }

    /// Returns the output of `work`, or `None` if it is not ready at `at`.
    pub(crate) async fn timeout_at<T>(&self, at: Instant, work: impl Future<Output = T>) -> Option<T> {
        until(work, self.sleep_until(at)).await
    }
}

/// Returns the output of `work`, or `None` if `end` is ready before it. If both are ready, it returns the output.
pub(crate) async fn until<T>(work: impl Future<Output = T>, end: impl Future<Output = ()>) -> Option<T> {
    let (mut work, mut end) = (pin!(work), pin!(end));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => end.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// A [`Clock`] without the type of its runtime, so that handles have the same type under any runtime.
pub(crate) trait Timer: Send + Sync {
    /// Returns the time: see [`Clock::now`].
    fn now(&self) -> Instant;

    /// Waits until a time: see [`Clock::sleep_until`].
    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl<R: Runtime> Timer for Clock<R> {
    fn now(&self) -> Instant {
        self.now()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.sleep_until(at))
    }
}
