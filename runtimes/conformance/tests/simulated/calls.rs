//! The calls of an application, with every method of the handles.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metalbond_conformance::simulated::Host;
use metalbond_driver::{
    Announcer, Closed, CommandError, Endpoint, ListenError, MetalBond, Notice, PeerId, PeerPattern, Policy, Rule,
    Runtime, TryNotifyError, VniSet,
};

use super::ops::{self, Call, Query};
use super::record::{OpenCall, Shared, Wanted};

/// A handle of a node. The node keeps running as long as a clone exists.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) node: MetalBond,
    pub(crate) _holder: Arc<()>,
}

/// The information that a call needs.
#[derive(Clone)]
pub(crate) struct Context {
    /// The number of the node, from which its routes are derived.
    pub(crate) number: usize,
    pub(crate) app: Host,
    /// True if calls may be dropped before they are answered, even before the node has received them.
    pub(crate) may_be_dropped: bool,
    /// The time at which the application's clock starts.
    pub(crate) start: std::time::Instant,
    pub(crate) record: Shared,
    /// The endpoints that the node may dial.
    pub(crate) endpoints: Arc<[Endpoint]>,
    /// The addresses that the node may listen on. The first is its usual address.
    pub(crate) addresses: [SocketAddr; 2],
}

/// The message of intended panics.
const PLANNED: &str = "as planned";
/// A number of notices for which no mailbox should have room.
const FLOOD: usize = 1000;

impl Context {
    fn now(&self) -> Duration {
        self.app.now() - self.start
    }

    fn open(&self, what: String) -> OpenCall {
        OpenCall::new(&self.record, what, self.now())
    }

    fn wanted(&self, call: Call) -> Vec<Wanted> {
        match call {
            Call::Subscribe(v) | Call::Unsubscribe(v) => vec![Wanted::Subscription(ops::vni(v))],
            Call::Announce(v, r) | Call::Withdraw(v, r) | Call::Flap(v, r, _) => {
                vec![Wanted::Announcement(ops::route(self.number, v, r))]
            }
            Call::AnnounceMany(n) | Call::WithdrawMany(n) => {
                ops::routes(self.number, n).map(Wanted::Announcement).collect()
            }
            Call::Notify(kind, n) => notice(self, kind, n).1.map(|(wanted, _)| wanted).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the context of a call that may be dropped before its answer. The call may then have been carried out or not.
    pub(crate) fn abandon(&self, call: Call) -> Self {
        let wanted = self.wanted(call);
        let mut record = self.record.lock().unwrap();
        wanted.into_iter().for_each(|wanted| record.forget(wanted));
        if matches!(call, Call::Shutdown | Call::ShutdownWithCleanup) {
            record.may_end();
        }
        drop(record);
        Self { may_be_dropped: true, ..self.clone() }
    }

    /// Sends notices until the mailbox is full.
    pub(crate) fn flood(&self, handle: &Handle, kind: u8) {
        let (notice, wanted) = notice(self, kind, 0);
        if let Some((wanted, _)) = wanted {
            // Calls that wait for room in the mailbox are carried out later, so the result is unknown.
            self.record.lock().unwrap().forget(wanted);
        }
        for _ in 0..FLOOD {
            match handle.node.try_notify(notice) {
                Ok(()) => {}
                Err(TryNotifyError::Busy) => return,
                Err(TryNotifyError::Closed) => return self.record.lock().unwrap().closed(),
                Err(other) => panic!("{other}"),
            }
        }
        panic!("the mailbox has no bound: it holds {FLOOD} notices");
    }
}

/// Returns a notice, and the setting that it changes with its new state.
fn notice(context: &Context, kind: u8, n: u8) -> (Notice, Option<(Wanted, bool)>) {
    let peer = context.record.lock().unwrap().peers.get(usize::from(n)).copied().unwrap_or(PeerId(u32::MAX));
    let (vni, route) = (ops::vni(n), ops::route(context.number, n, n));
    let (subscription, announcement) = (Wanted::Subscription(vni), Wanted::Announcement(route));
    match kind % 7 {
        0 => (Notice::Subscribe(vni), Some((subscription, true))),
        1 => (Notice::Unsubscribe(vni), Some((subscription, false))),
        2 => (Notice::Announce(route), Some((announcement, true))),
        3 => (Notice::Withdraw(route), Some((announcement, false))),
        4 => (Notice::ResetPeer(peer), None),
        5 => (Notice::ResetConn(metalbond_driver::ConnId::accepted(u64::from(n))), None),
        _ => (Notice::RemovePeer(peer), None),
    }
}

/// Makes a call, and records the answer.
pub(crate) async fn make(context: Context, handle: Handle, call: Call) {
    let _open = context.open(format!("{call:?}"));
    let node = &handle.node;
    let number = context.number;
    let note = |wanted, is_so, answer| context.record.lock().unwrap().answered(wanted, is_so, answer);
    match call {
        Call::Subscribe(v) => {
            let answer = node.subscribe(ops::vni(v)).await;
            note(Wanted::Subscription(ops::vni(v)), true, answer);
        }
        Call::Unsubscribe(v) => {
            let answer = node.unsubscribe(ops::vni(v)).await;
            note(Wanted::Subscription(ops::vni(v)), false, answer.map_err(Into::into));
        }
        Call::Resync(v) => allow(&context, node.resync(ops::vni(v)).await),
        Call::Announce(v, r) => {
            let route = ops::route(number, v, r);
            note(Wanted::Announcement(route), true, node.announce_route(route).await);
        }
        Call::Withdraw(v, r) => {
            let route = ops::route(number, v, r);
            note(Wanted::Announcement(route), false, node.withdraw_route(route).await.map_err(Into::into));
        }
        Call::AnnounceMany(n) => {
            let answer = node.announce_routes(ops::routes(number, n)).await;
            context.record.lock().unwrap().all_answered(&context.wanted(call), true, answer);
        }
        Call::WithdrawMany(n) => {
            let answer = node.withdraw_routes(ops::routes(number, n)).await;
            context.record.lock().unwrap().all_answered(&context.wanted(call), false, answer.map_err(Into::into));
        }
        Call::Flap(v, r, n) => {
            let route = ops::route(number, v, r);
            for _ in 0..8 * n {
                note(Wanted::Announcement(route), true, node.announce_route(route).await);
                note(Wanted::Announcement(route), false, node.withdraw_route(route).await.map_err(Into::into));
            }
        }
        Call::AddPeer(n) => {
            let endpoint = context.endpoints[usize::from(n) % context.endpoints.len()].clone();
            match node.add_peer(endpoint).await {
                Ok(peer) => context.record.lock().unwrap().peers.push(peer),
                Err(misuse) => allow::<()>(&context, Err(misuse)),
            }
        }
        Call::RemovePeer(n) => allow(&context, node.remove_peer(peer(&context, n)).await),
        Call::ResetPeer(n) => allow(&context, node.reset_peer(peer(&context, n)).await),
        Call::Reset(n) => match node.peers().await {
            Ok(peers) => {
                if let Some(peer) = peers.get(usize::from(n)) {
                    peer.reset().await;
                }
            }
            Err(misuse) => allow::<()>(&context, Err(misuse)),
        },
        Call::SetPolicy(n) => allow(&context, node.set_policy(policy(n)).await),
        Call::Listen(n) => {
            let address = context.addresses[usize::from(n) % 2];
            match node.listen(address).await {
                Ok(bound) => context.record.lock().unwrap().listens |= bound.port() == address.port(),
                Err(ListenError::Closed) => context.record.lock().unwrap().closed(),
                Err(_) => {}
            }
        }
        Call::Notify(kind, n) => {
            let (notice, wanted) = notice(&context, kind, n);
            node.notify(notice).await;
            if let Some((wanted, is_so)) = wanted {
                context.record.lock().unwrap().note(wanted, is_so);
            }
        }
        Call::Shutdown | Call::ShutdownWithCleanup => {
            let begin = context.now();
            if !context.may_be_dropped {
                context.record.lock().unwrap().end(begin);
            }
            if call == Call::Shutdown {
                node.shutdown().await;
            } else {
                node.shutdown_with_cleanup().await;
            }
            context.record.lock().unwrap().end(begin);
            // Everything that the node had is closed now.
            assert_eq!(node.peers().await.map(|peers| peers.len()), Err(Closed));
        }
    }
}

fn peer(context: &Context, n: u8) -> PeerId {
    context.record.lock().unwrap().peers.get(usize::from(n)).copied().unwrap_or(PeerId(u32::MAX))
}

/// Checks an answer that may be an error: there is no such peer or subscription, or the node has ended.
fn allow<T>(context: &Context, answer: Result<T, impl Into<CommandError>>) {
    match answer.map_err(Into::into) {
        Ok(_) => {}
        Err(CommandError::Closed) => context.record.lock().unwrap().closed(),
        Err(CommandError::Misuse(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

fn policy(n: u8) -> Option<Policy> {
    let all: [PeerPattern; 1] = ["from:0.0.0.0/0".parse().expect("it is a pattern")];
    let readers = Rule { subscribe: VniSet::ALL, ..Rule::new("readers", all) };
    match n % 4 {
        0 | 1 => None,
        2 => Some(Policy::new([readers])),
        _ => Some(Policy::default()),
    }
}

/// Makes a call that changes nothing, and checks its answer.
pub(crate) async fn ask(context: Context, handle: Handle, query: Query) {
    let _open = context.open(format!("{query:?}"));
    let node = &handle.node;
    let vni = ops::vni(0);
    let route = ops::route(context.number, 0, 0);
    match query {
        Query::PeerState => allow(&context, node.peer_state(peer(&context, 0)).await),
        Query::Peers => allow(&context, node.peers().await),
        Query::IsSubscribed => allow(&context, node.is_subscribed(vni).await),
        Query::SubscribedVnis => allow(&context, node.subscribed_vnis().await),
        Query::IsRouteAnnounced => allow(&context, node.is_route_announced(route).await),
        Query::AnnouncedRoutes => allow(&context, node.announced_routes().await),
        Query::Table => {
            let table = node.route_table();
            allow(&context, table.vnis().await);
            allow(&context, table.destinations(vni).await);
            allow(&context, table.next_hops(vni, route.prefix).await);
            allow(&context, table.routes(vni).await);
            allow(&context, table.learned(vni).await);
            allow(&context, table.announced_by(Announcer::Peer(peer(&context, 0))).await);
            allow(&context, table.announcers(route).await);
        }
        Query::Inspect => {
            let looks = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&looks);
            let answer =
                node.inspect(move |node| (counted.fetch_add(1, Ordering::Relaxed), node.peers().count())).await;
            assert_eq!(looks.load(Ordering::Relaxed), usize::from(answer.is_ok()), "looked once, or never if closed");
            allow(&context, answer);
        }
        Query::InspectAndPanic => {
            let mut look = pin!(node.inspect(|_| -> () { resume_unwind(Box::new(PLANNED)) }));
            let looked = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| look.as_mut().poll(cx))) {
                Ok(poll) => poll.map(Ok),
                Err(panic) => std::task::Poll::Ready(Err(panic)),
            });
            match looked.await {
                Ok(Ok(())) => panic!("the panic got lost"),
                Ok(Err(misuse)) => allow::<()>(&context, Err(misuse)),
                Err(panic) => assert_eq!(panic.downcast_ref(), Some(&PLANNED)),
            }
        }
        Query::IterationTimes => allow(&context, node.iteration_times().await),
    }
    assert!(node.now().since_epoch() <= context.now(), "the node's clock is ahead");
}
