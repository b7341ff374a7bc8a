//! Waiting by the clock of the runtime that the behaviours run on.

/// Returns the output of `work`, which must not take long.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    metalbond_conformance::within_by(crate::sleep, what, work).await
}

/// Asks again and again until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl FnMut() -> F) {
    metalbond_conformance::until_by(crate::sleep, what, is_so).await;
}
