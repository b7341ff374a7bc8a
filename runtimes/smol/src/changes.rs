//! The stream of route changes: bounded, so that an embedder that does not read costs nothing. What it misses stays in
//! the node's table, where changes of one destination merge.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use futures_core::{Stream, ready};
use metalbond::RouteChange;
use metalbond_common::{Budget, CHANGES, CHANGES_BATCH};
use smol::channel::{self, Receiver, Sender, TryRecvError};

/// The changes of the routes of the VNIs that the node subscribed to, in order.
///
/// Read it slowly and you get fewer changes, but never a wrong table: applied one by one they lead to what the node
/// knows. Where a route came and went meanwhile, an addition of what is there or a removal of what is not may be among
/// them: both are without effect. Drop the stream if you don't want it.
#[derive(Debug)]
pub struct Changes {
    batches: Pin<Box<Receiver<Vec<RouteChange>>>>,
    batch: vec::IntoIter<RouteChange>,
    /// Each batch that is taken out leaves its place to another one.
    places: Sender<()>,
}

impl Changes {
    /// The next change; `None` when the node is gone. Can be cancelled without losing one.
    pub async fn next(&mut self) -> Option<RouteChange> {
        std::future::poll_fn(|cx| self.poll_change(cx)).await
    }

    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<RouteChange>> {
        loop {
            if let Some(change) = self.batch.next() {
                return Poll::Ready(Some(change));
            }
            // Only ever polled so: `recv` would listen a second time, and might miss what wakes the first.
            match ready!(self.batches.as_mut().poll_next(cx)) {
                Some(batch) => self.batch = batch.into_iter(),
                None => return Poll::Ready(None),
            }
            // There are no more of them than fit.
            let _ = self.places.try_send(());
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
    batches: Sender<Vec<RouteChange>>,
    places: Receiver<()>,
    /// Waited for, and not yet used.
    place: Option<()>,
    /// The stream was full when it was last looked at: the node may have more.
    full: bool,
}

/// The two ends.
pub(crate) fn channel() -> (ChangesSender, Changes) {
    let (sender, receiver) = channel::bounded(CHANGES);
    let (free, places) = channel::bounded(CHANGES);
    (0..CHANGES).for_each(|_| free.try_send(()).expect("it has just been made, for as many"));
    (
        ChangesSender { batches: sender, places, place: None, full: false },
        Changes { batches: Box::pin(receiver), batch: Vec::new().into_iter(), places: free },
    )
}

impl ChangesSender {
    /// Waits for room, if there was none; for ever otherwise. Also ends when the embedder drops the stream.
    pub(crate) async fn room(&mut self) {
        if self.full {
            // Kept: the turn that follows takes it.
            self.place = self.places.recv().await.ok();
        } else {
            std::future::pending().await
        }
    }

    /// Takes what the embedder has room for. True if there may be more at once.
    pub(crate) fn fill(&mut self, mut poll_change: impl FnMut() -> Option<RouteChange>) -> bool {
        self.full = false;
        let mut budget = Budget::changes();
        while budget.is_left() {
            let place = match self.place.take().map_or_else(|| self.places.try_recv(), Ok) {
                Ok(place) => Some(place),
                Err(TryRecvError::Closed) => None,
                Err(TryRecvError::Empty) => {
                    self.full = true;
                    return false;
                }
            };
            let batch: Vec<_> = std::iter::from_fn(&mut poll_change).take(CHANGES_BATCH).collect();
            let is_last = batch.len() < CHANGES_BATCH;
            // Without a reader they are taken and dropped, so that the node need not keep them.
            if batch.is_empty() {
                self.place = place;
            } else if place.is_some() {
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
    use macro_rules_attribute::apply;
    use metalbond::{NextHop, Vni};
    use smol_macros::test;

    use super::*;

    #[apply(test!)]
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

    #[apply(test!)]
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
        RouteChange { vni: Vni(n), prefix, added: [next_hop].into_iter().collect(), removed: Default::default() }
    }
}
