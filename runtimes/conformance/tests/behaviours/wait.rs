//! Waiting with the clock of the runtime under test.

/// Returns the output of `work`. Fails if it takes too long.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    metalbond_conformance::within_by(crate::sleep, what, work).await
}

/// Calls `is_so` repeatedly until it returns true. Fails if that takes too long.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl FnMut() -> F) {
    metalbond_conformance::until_by(crate::sleep, what, is_so).await;
}
