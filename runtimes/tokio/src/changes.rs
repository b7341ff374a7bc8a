//! The stream of route changes: bounded, so that an embedder that does not read costs next to nothing. What it misses
//! stays in the node's table, where changes of one destination merge.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use futures_core::Stream;
use metalbond::RouteChange;
use metalbond_driver::{Applied, Applier, Budget, CHANGES, Clock, RouteHandler, change_batch};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::time::{sleep_until, timeout_at};

/// The changes of the routes of the VNIs that the node subscribed to: destination by destination, each with its complete
/// set of next hops ([`RouteChange`]).
///
/// Read it slowly and you are told less, but never something wrong: of what changes several times meanwhile, only the
/// outcome comes. While nobody reads, the node keeps what it has told before, and no more. Drop the stream if you don't
/// want it.
#[derive(Debug)]
pub struct Changes {
    batches: mpsc::Receiver<Vec<RouteChange>>,
    batch: vec::IntoIter<RouteChange>,
}

impl Changes {
    /// The next change; `None` when the node is gone. Can be cancelled without losing one.
    pub async fn next(&mut self) -> Option<RouteChange> {
        std::future::poll_fn(|cx| self.poll_change(cx)).await
    }

    /// Calls a handler for each next hop that comes or goes, until the node is gone: see [`RouteHandler`]. While it works,
    /// changes wait as they do for any slow reader.
    ///
    /// Dropping the future drops the stream and the handler with it, perhaps in the middle of a call.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time enabled, when a call has failed.
    ///
    /// ```
    /// # use metalbond_tokio::{Config, MetalBond, Operation, Route, RouteHandler};
    /// /// Knows routes by heart.
    /// #[derive(Default)]
    /// struct Memory(std::collections::BTreeSet<Route>);
    ///
    /// impl RouteHandler for Memory {
    ///     type Error = std::convert::Infallible;
    ///
    ///     async fn add(&mut self, route: Route) -> Result<(), Self::Error> {
    ///         self.0.insert(route);
    ///         Ok(())
    ///     }
    ///
    ///     async fn remove(&mut self, route: Route) -> Result<(), Self::Error> {
    ///         self.0.remove(&route);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (node, changes) = MetalBond::start(Config::default())?;
    /// let work = tokio::spawn(changes.apply_to(Memory::default()));
    /// node.shutdown().await;
    /// assert_eq!(work.await?.undone, []);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn apply_to<H: RouteHandler>(mut self, handler: H) -> Applied<H> {
        let clock = Clock::start();
        let now = || clock.now();
        let mut applier = Applier::new(handler);
        loop {
            let deadline = applier.poll_timeout().and_then(|at| clock.system(at));
            if let Some(at) = deadline
                && applier.is_full()
                && !self.batches.is_closed()
            {
                sleep_until(at).await;
                applier.work(&now, None).await;
                continue;
            }
            let next = match deadline {
                Some(at) => timeout_at(at, self.next()).await,
                None => Some(self.next().await),
            };
            match next {
                Some(Some(change)) => applier.work(&now, Some(change)).await,
                Some(None) => return applier.finish(),
                // Time to try something again.
                None => applier.work(&now, None).await,
            }
        }
    }

    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<RouteChange>> {
        loop {
            if let Some(change) = self.batch.next() {
                return Poll::Ready(Some(change));
            }
            match self.batches.poll_recv(cx) {
                Poll::Ready(Some(batch)) => self.batch = batch.into_iter(),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Stream for Changes {
    type Item = RouteChange;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RouteChange>> {
        self.poll_change(cx)
    }
}

/// The actor's end of the stream.
#[derive(Debug)]
pub(crate) struct ChangesSender {
    batches: mpsc::Sender<Vec<RouteChange>>,
    /// The stream was full when it was last looked at: the node may have more.
    full: bool,
}

/// The two ends.
pub(crate) fn channel() -> (ChangesSender, Changes) {
    let (sender, receiver) = mpsc::channel(CHANGES);
    (ChangesSender { batches: sender, full: false }, Changes { batches: receiver, batch: Vec::new().into_iter() })
}

impl ChangesSender {
    /// Waits for room, if there was none; for ever otherwise. Also ends when the embedder drops the stream.
    pub(crate) async fn room(&self) {
        if self.full {
            // The permit is given back: the turn that follows takes it.
            let _ = self.batches.reserve().await;
        } else {
            std::future::pending().await
        }
    }

    /// Takes what the embedder has room for. True if there may be more at once.
    pub(crate) fn fill(&mut self, mut poll_change: impl FnMut() -> Option<RouteChange>) -> bool {
        self.full = false;
        let mut budget = Budget::changes();
        while budget.is_left() {
            let permit = match self.batches.try_reserve() {
                Ok(permit) => Some(permit),
                Err(TrySendError::Closed(())) => None,
                Err(TrySendError::Full(())) => {
                    self.full = true;
                    return false;
                }
            };
            let (batch, is_last) = change_batch(&mut poll_change);
            // Without a reader they are taken and dropped, so that the node need not keep them.
            if let Some(permit) = permit.filter(|_| !batch.is_empty()) {
                permit.send(batch);
            }
            if is_last {
                return false;
            }
            budget.spend(0);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use metalbond::{NextHop, Vni};

    use super::*;

    /// Changes of one next hop that one message carries.
    const CHANGES_BATCH: usize = 256;

    #[tokio::test]
    async fn changes_come_in_order_through_a_stream_that_is_bounded() {
        let (mut sender, mut receiver) = channel();
        let all = 3 * CHANGES * CHANGES_BATCH;
        let mut source = (0..all as u32).map(change);

        while sender.fill(|| source.next()) {}
        assert_eq!(source.len(), all - CHANGES * CHANGES_BATCH, "it is full");

        for n in 0..all as u32 {
            assert_eq!(receiver.next().await, Some(change(n)));
            if sender.full && receiver.batch.len() == 0 {
                sender.room().await;
                while sender.fill(|| source.next()) {}
            }
        }
        drop(sender);
        assert_eq!(receiver.next().await, None);
    }

    #[tokio::test]
    async fn without_a_reader_changes_are_taken_and_dropped() {
        let (mut sender, receiver) = channel();
        let mut source = (0..3 * (CHANGES * CHANGES_BATCH) as u32).map(change);
        while sender.fill(|| source.next()) {}
        drop(receiver);
        sender.room().await;
        while sender.fill(|| source.next()) {}
        assert_eq!(source.next(), None);
    }

    fn change(n: u32) -> RouteChange {
        let prefix = "10.0.0.0/8".parse().unwrap();
        let next_hop = NextHop::standard(std::net::Ipv4Addr::LOCALHOST.into());
        RouteChange::new(Vni(n), prefix, [], [next_hop], [])
    }
}
