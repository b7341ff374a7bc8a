//! Waiting for what should come, with a deadline that is far longer than it should ever take: no result depends on it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use smol::Timer;
use smol::future::or;

const DEADLINE: Duration = Duration::from_secs(30);

/// The outcome, unless it takes for ever.
///
/// # Panics
/// If it does.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    or(work, async {
        Timer::after(DEADLINE).await;
        panic!("{what} did not come")
    })
    .await
}

/// Asks again and again until it is so.
///
/// # Panics
/// If it takes for ever.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    within(what, async {
        while !is_so().await {
            Timer::after(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Polls a future once.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}
