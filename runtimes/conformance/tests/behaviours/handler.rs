//! A handler that is called for each next hop.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use metalbond_conformance::{VNI, route, routes};
use smol::channel::{self, Receiver, Sender};
use smol::future::zip;

use super::support::{Client, config, server, start};
use super::wait::{until, within};
use crate::driver::{Changes, CommandError, Failure, MetalBond, Operation, Route, RouteHandler, Vni};
use crate::run;

/// Tells of each call, and refuses one route as often as it is told to.
struct Teller {
    calls: Sender<(Operation, Route)>,
    failures: Sender<Failure<&'static str>>,
    refuse: Route,
    times: u32,
}

struct Told {
    calls: Receiver<(Operation, Route)>,
    failures: Receiver<Failure<&'static str>>,
}

fn teller(refuse: Route, times: u32) -> (Teller, Told) {
    let (calls, told) = channel::unbounded();
    let (failures, failed) = channel::unbounded();
    (Teller { calls, failures, refuse, times }, Told { calls: told, failures: failed })
}

impl Teller {
    async fn call(&mut self, operation: Operation, route: Route) -> Result<(), &'static str> {
        if route == self.refuse && self.times > 0 {
            self.times -= 1;
            return Err("not today");
        }
        self.calls.send((operation, route)).await.unwrap();
        Ok(())
    }
}

impl RouteHandler for Teller {
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

impl Told {
    async fn next(&self) -> (Operation, Route) {
        within("a call", self.calls.recv()).await.unwrap()
    }
}

#[test]
fn a_call_that_fails_is_made_again_and_others_do_not_wait_for_it() {
    run(async {
        let (node, changes, announcer, _server) = subscribed().await;
        let (handler, told) = teller(route(0, 1), 3);
        let tale = async {
            announcer.node.announce_routes(routes(10, 1)).await.unwrap();
            let mut added = BTreeSet::new();
            while added.len() < 9 {
                let (Operation::Add, route) = told.next().await else { panic!("nothing was removed") };
                added.insert(route);
            }
            assert!(!added.contains(&route(0, 1)));
            assert_eq!(told.next().await, (Operation::Add, route(0, 1)));
            let failures: Vec<_> = std::iter::from_fn(|| told.failures.try_recv().ok()).collect();
            assert_eq!(failures.iter().map(|failure| failure.times).collect::<Vec<_>>(), [1, 2, 3]);

            announcer.node.withdraw_route(route(0, 1)).await.unwrap();
            assert_eq!(told.next().await, (Operation::Remove, route(0, 1)));
            node.shutdown().await;
        };
        let (applied, ()) = within("the end of the work", zip(changes.apply_to(handler), tale)).await;
        assert_eq!(applied.undone, []);
    });
}

#[test]
fn what_could_not_be_carried_out_is_told_at_the_end() {
    run(async {
        let (node, changes, announcer, _server) = subscribed().await;
        let (handler, told) = teller(route(0, 1), u32::MAX);
        let tale = async {
            announcer.node.announce_route(route(0, 1)).await.unwrap();
            told.failures.recv().await.unwrap();
            node.shutdown().await;
        };
        let (applied, ()) = within("the end of the work", zip(changes.apply_to(handler), tale)).await;
        assert_eq!(applied.undone, [(Operation::Add, route(0, 1))]);
    });
}

/// Subscribes to the network that a route's next hop names, as an agent does that finds out what it needs.
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
            // Each network leads to the next.
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

/// Refuses everything, and takes its time.
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
fn a_handler_that_fails_all_the_time_does_not_keep_the_node_from_its_work() {
    run(async {
        let (node, changes, announcer, _server) = subscribed().await;
        let tale = async {
            // All of them take longer than the shortest wait before one is tried again.
            announcer.node.announce_routes(routes(5_000, 1)).await.unwrap();
            until("all routes", || async { node.route_table().learned(VNI).await.unwrap().len() == 5_000 }).await;
            // Each would wait for a round of all that is due, half a second of calls, if there were no turns in between.
            for _ in 0..1_000 {
                node.subscribed_vnis().await.unwrap();
            }
            node.shutdown().await;
        };
        let (applied, ()) = within("the end of the work", zip(changes.apply_to(Wall), tale)).await;
        assert!(!applied.undone.is_empty());
    });
}

/// A node with its stream, and who announces routes to it; and the server between them.
async fn subscribed() -> (MetalBond, Changes, Client, MetalBond) {
    let (server, addr) = server().await;
    let announcer = Client::of(addr).await;
    let (node, changes) = start(config()).await;
    node.add_peer(addr.into()).await.unwrap();
    node.subscribe(VNI).await.unwrap();
    (node, changes, announcer, server)
}
