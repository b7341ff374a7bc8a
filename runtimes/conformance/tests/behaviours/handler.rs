//! A [`RouteHandler`], which is called for each next hop.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use metalbond_conformance::{VNI, route, routes};
use smol::channel::{self, Receiver, Sender};
use smol::future::zip;

use super::support::{Client, config, server, start};
use super::wait::{until, within};
use crate::driver::{Changes, CommandError, Failure, MetalBond, Operation, Route, RouteHandler, Vni};
use crate::run;

/// Reports each call, and fails for one route as many times as the test wants.
struct Reporter {
    calls: Sender<(Operation, Route)>,
    failures: Sender<Failure<&'static str>>,
    refuse: Route,
    times: u32,
}

struct Reports {
    calls: Receiver<(Operation, Route)>,
    failures: Receiver<Failure<&'static str>>,
}

fn reporter(refuse: Route, times: u32) -> (Reporter, Reports) {
    let (calls, reports) = channel::unbounded();
    let (failures, failed) = channel::unbounded();
    (Reporter { calls, failures, refuse, times }, Reports { calls: reports, failures: failed })
}

impl Reporter {
    async fn call(&mut self, operation: Operation, route: Route) -> Result<(), &'static str> {
        if route == self.refuse && self.times > 0 {
            self.times -= 1;
            return Err("not today");
        }
        self.calls.send((operation, route)).await.unwrap();
        Ok(())
    }
}

impl RouteHandler for Reporter {
    type Error = &'static str;

    async fn add(&mut self, route: Route) -> Result<(), Self::Error> {
        self.call(Operation::Add, route).await
    }

    async fn remove(&mut self, route: Route) -> Result<(), Self::Error> {
        self.call(Operation::Remove, route).await
    }

    fn failed(&mut self, failure: &Failure<Self::Error>) {
        self.failures.try_send(failure.clone()).unwrap();
    }
}

impl Reports {
    async fn next(&self) -> (Operation, Route) {
        within("a call", self.calls.recv()).await.unwrap()
    }
}

#[test]
fn a_failed_call_is_repeated_and_other_calls_do_not_wait_for_it() {
    run(async {
        let (node, changes, announcer, _server) = subscribed().await;
        let (handler, reports) = reporter(route(0, 1), 3);
        let tale = async {
            announcer.node.announce_routes(routes(10, 1)).await.unwrap();
            let mut added = BTreeSet::new();
            while added.len() < 9 {
                let (Operation::Add, route) = reports.next().await else { panic!("nothing was removed") };
                added.insert(route);
            }
            assert!(!added.contains(&route(0, 1)));
            assert_eq!(reports.next().await, (Operation::Add, route(0, 1)));
            let failures: Vec<_> = std::iter::from_fn(|| reports.failures.try_recv().ok()).collect();
            assert_eq!(failures.iter().map(|failure| failure.times).collect::<Vec<_>>(), [1, 2, 3]);

            announcer.node.withdraw_route(route(0, 1)).await.unwrap();
            assert_eq!(reports.next().await, (Operation::Remove, route(0, 1)));
            node.shutdown().await;
        };
        let (applied, ()) = within("the end of the work", zip(changes.apply_to(handler), tale)).await;
        assert_eq!(applied.undone, []);
    });
}

#[test]
fn calls_that_never_succeeded_are_returned_at_the_end() {
    run(async {
        let (node, changes, announcer, _server) = subscribed().await;
        let (handler, reports) = reporter(route(0, 1), u32::MAX);
        let tale = async {
            announcer.node.announce_route(route(0, 1)).await.unwrap();
            reports.failures.recv().await.unwrap();
            node.shutdown().await;
        };
        let (applied, ()) = within("the end of the work", zip(changes.apply_to(handler), tale)).await;
        assert_eq!(applied.undone, [(Operation::Add, route(0, 1))]);
    });
}

/// Subscribes to the VNI in each route's next hop, like an agent that finds out the VNIs that it needs.
struct Explorer(MetalBond);

impl RouteHandler for Explorer {
    type Error = CommandError;

    async fn add(&mut self, route: Route) -> Result<(), Self::Error> {
        self.0.subscribed_vnis().await?;
        self.0.subscribe(route.next_hop.target_vni).await.map(drop)
    }

    async fn remove(&mut self, route: Route) -> Result<(), Self::Error> {
        Ok(self.0.unsubscribe(route.next_hop.target_vni).await.map(drop)?)
    }
}

#[test]
fn a_handler_may_call_its_node() {
    run(async {
        let (node, changes, announcer, _server) = subscribed().await;
        let tale = async {
            // The route of each VNI leads to the next VNI.
            let chain = (VNI.0..VNI.0 + 100).map(|vni| {
                let mut route = Route { vni: Vni(vni), ..route(0, 1) };
                route.next_hop.target_vni = Vni(vni + 1);
                route
            });
            announcer.node.announce_routes(chain.clone()).await.unwrap();
            until("the last network", || async { node.subscribed_vnis().await.unwrap().len() == 101 }).await;
            announcer.node.withdraw_routes(chain).await.unwrap();
            until("only the first", || async { node.subscribed_vnis().await.unwrap() == [VNI] }).await;
            node.shutdown().await;
        };
        within("the end of the work", zip(changes.apply_to(Explorer(node.clone())), tale)).await;
    });
}

/// Fails all calls, after some time.
struct Wall;

impl RouteHandler for Wall {
    type Error = &'static str;

    async fn add(&mut self, _: Route) -> Result<(), Self::Error> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(100) {}
        Err("no")
    }

    async fn remove(&mut self, _: Route) -> Result<(), Self::Error> {
        Err("no")
    }
}

#[test]
fn a_handler_that_fails_all_the_time_does_not_stop_the_node() {
    run(async {
        let (node, changes, announcer, _server) = subscribed().await;
        let tale = async {
            // All calls together take longer than the shortest wait before a call is repeated.
            announcer.node.announce_routes(routes(5_000, 1)).await.unwrap();
            until("all routes", || async { node.route_table().learned(VNI).await.unwrap().len() == 5_000 }).await;
            // If the handler did not yield between its calls, each of these would wait for half a second of calls.
            for _ in 0..1_000 {
                node.subscribed_vnis().await.unwrap();
            }
            node.shutdown().await;
        };
        let (applied, ()) = within("the end of the work", zip(changes.apply_to(Wall), tale)).await;
        assert!(!applied.undone.is_empty());
    });
}

/// Returns a subscribed node with its stream, a client that announces routes, and the server between them.
async fn subscribed() -> (MetalBond, Changes, Client, MetalBond) {
    let (server, addr) = server().await;
    let announcer = Client::of(addr).await;
    let (node, changes) = start(config()).await;
    node.add_peer(addr.into()).await.unwrap();
    node.subscribe(VNI).await.unwrap();
    (node, changes, announcer, server)
}
