//! The stream of route changes. It is bounded, so that an application that does not read costs next to nothing: changes it has not read
//! stay in the node's table, where changes of one destination merge.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::vec;

use futures_channel::mpsc::{self, Receiver, Sender};
use futures_core::Stream;
use metalbond::RouteChange;

use crate::applier::Applier;
use crate::budget::{Budget, CHANGES, change_batch};
use crate::clock::{Timer, until};
use crate::tasks::Ended;
use crate::{Applied, RouteHandler};

/// The stream of route changes in the VNIs that the node subscribed to: each change is a destination with all of its next hops
/// ([`RouteChange`]).
///
/// An application that reads slowly receives fewer changes, because changes of a destination merge until they are read. While nothing is
/// read, the node stores the routes that it reported before, and no more. Drop the stream if you do not need it. It is not a handle: the
/// node lives as long as its handles.
pub struct Changes {
    batches: Receiver<Vec<RouteChange>>,
    batch: vec::IntoIter<RouteChange>,
    node: Ended,
    timer: Arc<dyn Timer>,
}

impl Changes {
    /// Waits for the next change. Returns `None` when the node has ended. Dropping the future loses no change.
    pub async fn next(&mut self) -> Option<RouteChange> {
        std::future::poll_fn(|cx| self.poll_change(cx)).await
    }

    /// Calls a handler for each next hop that was added or removed, until the node has ended: see [`RouteHandler`]. Then returns the
    /// handler and the calls that failed. While the handler works, changes wait as they do for any slow reader.
    ///
    /// Dropping the future drops the stream and the handler with it, perhaps in the middle of a call.
    ///
    /// ```
    /// # use metalbond_tokio::{Config, Operation, Route, RouteHandler};
    /// /// Keeps routes in memory.
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
    /// let (node, changes) = metalbond_tokio::start(Config::default())?;
    /// let work = tokio::spawn(changes.apply_to(Memory::default()));
    /// node.shutdown().await;
    /// assert_eq!(work.await?.undone, []);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn apply_to<H: RouteHandler>(mut self, handler: H) -> Applied<H> {
        let timer = Arc::clone(&self.timer);
        let now = || timer.now();
        let mut applier = Applier::new(handler);
        loop {
            let deadline = applier.poll_timeout();
            if let Some(at) = deadline
                && applier.is_full()
                && !self.node.has_ended()
            {
                // After the node's end, the stream receives no further changes.
                let _ = until(self.node.wait(), timer.sleep_until(at)).await;
                applier.work(&now, None).await;
                continue;
            }
            let next = match deadline {
                Some(at) => until(self.next(), timer.sleep_until(at)).await,
                None => Some(self.next().await),
            };
            match next {
                Some(Some(change)) => applier.work(&now, Some(change)).await,
                Some(None) => return applier.finish(),
                // A failed call is due to be repeated.
                None => applier.work(&now, None).await,
            }
        }
    }

    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<RouteChange>> {
        loop {
            if let Some(change) = self.batch.next() {
                return Poll::Ready(Some(change));
            }
            match ready!(Pin::new(&mut self.batches).poll_next(cx)) {
                Some(batch) => self.batch = batch.into_iter(),
                None => return Poll::Ready(None),
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

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

/// The actor's end of the stream.
#[derive(Debug)]
pub(crate) struct ChangesSender {
    batches: Sender<Vec<RouteChange>>,
    /// True if the stream was full when it was last filled: the node may have more changes.
    is_full: bool,
}

/// Makes the two ends of a stream.
pub(crate) fn channel(node: Ended, timer: Arc<dyn Timer>) -> (ChangesSender, Changes) {
    // The sender has one more slot of its own.
    let (sender, batches) = mpsc::channel(CHANGES - 1);
    (ChangesSender { batches: sender, is_full: false }, Changes { batches, batch: Vec::new().into_iter(), node, timer })
}

impl ChangesSender {
    /// Polls for room if the stream was full; otherwise never ready. Also ready when the application has dropped the stream.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_full { self.batches.poll_ready(cx).map(|_| ()) } else { Poll::Pending }
    }

    /// Fills the stream. Returns true if the budget ended while there were changes and room.
    pub(crate) fn fill(&mut self, mut poll_change: impl FnMut() -> Option<RouteChange>) -> bool {
        let mut budget = Budget::changes();
        while budget.is_left() {
            // No task has to be woken here: the actor calls `poll_room` before it waits.
            let room = self.batches.poll_ready(&mut Context::from_waker(Waker::noop()));
            self.is_full = room.is_pending();
            let Poll::Ready(reader) = room else { return false };
            let (batch, is_last) = change_batch(&mut poll_change);
            // Without a reader, changes are taken and dropped, so that the node need not keep them.
            if reader.is_ok() && !batch.is_empty() {
                // There is room, so this fails only if the reader has just been dropped.
                let _ = self.batches.try_send(batch);
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
    use metalbond::{Instant, NextHop, Vni};

    use super::*;
    use crate::tasks::token;

    /// The number of changes in a batch, when each has one next hop.
    const BATCH: usize = 256;

    #[test]
    fn changes_come_in_order_through_a_stream_that_is_bounded() {
        let (mut sender, mut receiver) = ends();
        let all = 3 * CHANGES * BATCH;
        let mut source = (0..all as u32).map(change);

        while sender.fill(|| source.next()) {}
        assert_eq!(source.len(), all - CHANGES * BATCH, "it is full");
        assert!(sender.poll_room(&mut cx()).is_pending());

        for n in 0..all as u32 {
            assert_eq!(receiver.poll_change(&mut cx()), Poll::Ready(Some(change(n))));
            if sender.poll_room(&mut cx()).is_ready() {
                while sender.fill(|| source.next()) {}
            }
        }
        drop(sender);
        assert_eq!(receiver.poll_change(&mut cx()), Poll::Ready(None));
    }

    #[test]
    fn without_a_reader_changes_are_taken_and_dropped() {
        let (mut sender, receiver) = ends();
        let mut source = (0..3 * (CHANGES * BATCH) as u32).map(change);
        while sender.fill(|| source.next()) {}
        drop(receiver);
        assert!(sender.poll_room(&mut cx()).is_ready());
        while sender.fill(|| source.next()) {}
        assert_eq!(source.next(), None);
    }

    #[test]
    fn the_actor_does_not_wait_for_a_stream_that_has_room() {
        let (mut sender, _receiver) = ends();
        assert!(!sender.fill(|| None));
        assert!(sender.poll_room(&mut cx()).is_pending());
    }

    struct Stopped;

    impl Timer for Stopped {
        fn now(&self) -> Instant {
            Instant::EPOCH
        }

        fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            Box::pin(std::future::pending())
        }
    }

    fn ends() -> (ChangesSender, Changes) {
        channel(token().1, Arc::new(Stopped))
    }

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn change(n: u32) -> RouteChange {
        let prefix = "10.0.0.0/8".parse().unwrap();
        let next_hop = NextHop::standard(std::net::Ipv4Addr::LOCALHOST.into());
        RouteChange::new(Vni(n), prefix, [], [next_hop], [])
    }
}
