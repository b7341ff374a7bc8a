//! The application's reader of a node's changes: the table that they report, and the way of reading.
//!
//! Property: each change follows from the earlier ones. The next hops that a change removes were there, those that it adds were not, and
//! its complete set of next hops is the result of both. Only after a resync, a change may add a next hop that is known.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use metalbond_conformance::simulated::{Host, SimulatedTask};
use metalbond_driver::{Changes, NextHop, Prefix, Route, RouteChange, RouteHandler, Runtime, Vni};

use super::ops::Reading;

/// The reader of one stream.
pub(crate) struct Reader {
    shared: Arc<Mutex<Shared>>,
    _task: SimulatedTask,
}

struct Shared {
    reading: Reading,
    /// True if `apply_to` reads the stream; `reading` then determines its handler.
    is_applying: bool,
    /// Every nth call of the handler fails.
    fails: u8,
    calls: u32,
    waker: Option<Waker>,
    hops: BTreeMap<(Vni, Prefix), BTreeSet<NextHop>>,
    /// The VNIs for which a resync was requested.
    resynced: BTreeSet<Vni>,
    end: Option<End>,
}

/// The way in which reading ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The application has dropped the stream.
    Dropped,
    /// The stream has ended. The number is that of the handler's undone calls.
    Ended(usize),
}

impl Reader {
    pub(crate) fn start(app: &Host, changes: Changes) -> Self {
        let shared = Shared {
            reading: Reading::On,
            is_applying: false,
            fails: 0,
            calls: 0,
            waker: None,
            hops: BTreeMap::new(),
            resynced: BTreeSet::new(),
            end: None,
        };
        let shared = Arc::new(Mutex::new(shared));
        let work = read(changes, Arc::clone(&shared), app.clone());
        Self { shared, _task: app.spawn(work) }
    }

    /// Changes the way of reading. A dropped stream stays dropped, and `apply_to` goes on to its end.
    pub(crate) fn set(&self, reading: Reading) {
        let mut shared = self.shared.lock().unwrap();
        if let Reading::Apply(fails) = reading {
            shared.fails = fails;
        }
        shared.reading = match (shared.is_applying, reading) {
            (true, Reading::Drop) => shared.reading,
            (_, reading) => reading,
        };
        let waker = shared.waker.take();
        drop(shared);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Reads all changes, with a handler that does not fail.
    pub(crate) fn settle(&self) {
        let is_applying = self.shared.lock().unwrap().is_applying;
        if is_applying {
            self.set(Reading::Apply(0));
        } else {
            self.set(Reading::On);
        }
    }

    pub(crate) fn expect_resync(&self, vni: Vni) {
        self.shared.lock().unwrap().resynced.insert(vni);
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.shared.lock().unwrap().end.clone()
    }

    /// Returns all routes that the changes have reported.
    pub(crate) fn routes(&self) -> BTreeSet<Route> {
        let shared = self.shared.lock().unwrap();
        let hops = shared.hops.iter();
        hops.flat_map(|(&(vni, prefix), hops)| hops.iter().map(move |&next_hop| Route { vni, prefix, next_hop }))
            .collect()
    }
}

async fn read(mut changes: Changes, shared: Arc<Mutex<Shared>>, app: Host) {
    let end = loop {
        let reading = shared.lock().unwrap().reading;
        match reading {
            Reading::Drop => break End::Dropped,
            Reading::Apply(_) => {
                shared.lock().unwrap().is_applying = true;
                let handler = Handler { shared: Arc::clone(&shared), app };
                break End::Ended(changes.apply_to(handler).await.undone.len());
            }
            Reading::On | Reading::Off => {}
        }
        let next = poll_fn(|cx| {
            let is_changed = {
                let mut shared = shared.lock().unwrap();
                shared.waker = Some(cx.waker().clone());
                shared.reading != reading
            };
            if is_changed {
                return Poll::Ready(Next::Reading);
            }
            match reading {
                // The future is dropped after each poll, which must not lose a change.
                Reading::On => pin!(changes.next()).poll(cx).map(Next::Change),
                _ => Poll::Pending,
            }
        });
        match next.await {
            Next::Change(Some(change)) => shared.lock().unwrap().apply(&change),
            Next::Change(None) => break End::Ended(0),
            Next::Reading => {}
        }
    };
    shared.lock().unwrap().end = Some(end);
}

enum Next {
    Change(Option<RouteChange>),
    /// The way of reading has changed.
    Reading,
}

impl Shared {
    fn apply(&mut self, change: &RouteChange) {
        let hops = self.hops.entry((change.vni, change.prefix)).or_default();
        let is_resynced = self.resynced.contains(&change.vni);
        for next_hop in change.removed() {
            assert!(hops.remove(next_hop) || is_resynced, "removed, and was not there: {change}");
        }
        for next_hop in change.added() {
            assert!(hops.insert(*next_hop) || is_resynced, "added, and was there: {change}");
        }
        let whole: BTreeSet<_> = change.next_hops().iter().copied().collect();
        assert_eq!(whole, *hops, "the complete set is not what comes of the change: {change}");
        assert!(!change.added().is_empty() || !change.removed().is_empty(), "the change changes nothing: {change}");
    }
}

/// A handler that sometimes fails, and waits while reading is off.
struct Handler {
    shared: Arc<Mutex<Shared>>,
    app: Host,
}

impl Handler {
    async fn call(&self, apply: impl FnOnce(&mut Shared) + Send) -> Result<(), &'static str> {
        self.app.yield_now().await;
        let shared = &self.shared;
        poll_fn(|cx| {
            let mut shared = shared.lock().unwrap();
            shared.waker = Some(cx.waker().clone());
            if shared.reading == Reading::Off { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        let mut shared = shared.lock().unwrap();
        shared.calls += 1;
        if shared.fails > 0 && shared.calls.is_multiple_of(u32::from(shared.fails)) {
            return Err("as planned");
        }
        apply(&mut shared);
        Ok(())
    }
}

impl RouteHandler for Handler {
    type Error = &'static str;

    async fn add(&mut self, route: Route) -> Result<(), Self::Error> {
        self.call(|shared| {
            shared.hops.entry((route.vni, route.prefix)).or_default().insert(route.next_hop);
        })
        .await
    }

    async fn remove(&mut self, route: Route) -> Result<(), Self::Error> {
        self.call(|shared| {
            shared.hops.entry((route.vni, route.prefix)).or_default().remove(&route.next_hop);
        })
        .await
    }
}
