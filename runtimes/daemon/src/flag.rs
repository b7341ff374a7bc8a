//! Flags that are set once, and that tasks wait for.

use tokio::sync::watch;

/// Waits until a flag is set, or until what would set it is gone.
pub(crate) async fn set(mut flag: watch::Receiver<bool>) {
    let _ = flag.wait_for(|is_set| *is_set).await;
}
