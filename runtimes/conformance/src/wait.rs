//! Waiting for a condition, with a deadline far longer than it should ever take, so that no result depends on the deadline.

use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use smol::Timer;
pub use smol::block_on;
use smol::future::or;

const DEADLINE: Duration = Duration::from_secs(30);

/// Returns the output of `work`. Uses the system's clock.
///
/// # Panics
/// If `work` takes too long.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    within_by(sleep, what, work).await
}

/// Calls `is_so` repeatedly until it returns true. Uses the system's clock.
///
/// # Panics
/// If that takes too long.
pub async fn until<F: Future<Output = bool>>(what: &str, is_so: impl FnMut() -> F) {
    until_by(sleep, what, is_so).await;
}

/// Does the same as [`until`] for a program that has no executor.
///
/// # Panics
/// If that takes too long.
pub fn block_until(what: &str, mut is_so: impl FnMut() -> bool) {
    block_on(until(what, || ready(is_so())));
}

async fn sleep(duration: Duration) {
    Timer::after(duration).await;
}

/// Does the same as [`within`], with `sleep` as the clock.
///
/// # Panics
/// If `work` takes too long.
pub async fn within_by<T, S: Future<Output = ()>>(
    sleep: impl Fn(Duration) -> S,
    what: &str,
    work: impl Future<Output = T>,
) -> T {
    or(work, async {
        sleep(DEADLINE).await;
        panic!("{what} did not come")
    })
    .await
}

/// Does the same as [`until`], with `sleep` as the clock.
///
/// # Panics
/// If that takes too long.
pub async fn until_by<F: Future<Output = bool>, S: Future<Output = ()>>(
    sleep: impl Fn(Duration) -> S,
    what: &str,
    mut is_so: impl FnMut() -> F,
) {
    let asking = async {
        while !is_so().await {
            sleep(Duration::from_millis(2)).await;
        }
    };
    within_by(&sleep, what, asking).await;
}

/// Polls a future once.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}
