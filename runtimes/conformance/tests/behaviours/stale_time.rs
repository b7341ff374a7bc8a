//! Stale routes: the routes of a server whose session was lost.

use std::time::Duration;

use metalbond_conformance::{route, routes};

use super::support::{Client, config, converged_server, server, server_at};
use crate::driver::Config;
use crate::run;

#[test]
fn routes_stay_for_the_stale_time_and_are_removed_then() {
    run(async {
        let stale_time = Duration::from_millis(300);
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed_with(Config { stale_time: Some(stale_time), ..config() }, addr).await;
        announcer.node.announce_routes(routes(10, 1)).await.unwrap();
        subscriber.table.becomes(&routes(10, 1)).await;

        let before = crate::now();
        server.shutdown().await;
        subscriber.table.becomes(&[].into()).await;
        assert!(crate::now() - before >= stale_time);
    });
}

#[test]
fn without_a_stale_time_routes_are_removed_with_their_session() {
    run(async {
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber =
            Client::subscribed_with(Config { stale_time: Some(Duration::ZERO), ..config() }, addr).await;
        announcer.node.announce_routes(routes(10, 1)).await.unwrap();
        subscriber.table.becomes(&routes(10, 1)).await;

        server.shutdown().await;
        // The default stale time is longer than a test may take.
        subscriber.table.becomes(&[].into()).await;
    });
}

#[test]
fn stale_routes_that_a_restarted_server_does_not_announce_are_removed_at_its_end_of_rib() {
    run(async {
        let (server, addr) = converged_server().await;
        let [stays, leaves] = [Client::of(addr).await, Client::of(addr).await];
        let mut subscriber = Client::subscribed(addr).await;
        stays.node.announce_route(route(1, 1)).await.unwrap();
        leaves.node.announce_route(route(2, 2)).await.unwrap();
        subscriber.table.becomes(&[route(1, 1), route(2, 2)].into()).await;

        server.shutdown().await;
        leaves.node.shutdown().await;
        let _server = server_at(addr, Config { convergence_time: Duration::ZERO, ..config() }).await;

        // A route that stays may be removed for a moment, because its announcer may reconnect after the subscriber.
        subscriber.table.becomes(&[route(1, 1)].into()).await;
    });
}
