//! What becomes of the routes of a server that is gone.

use std::time::Duration;

use metalbond_conformance::{route, routes};

use super::support::{Client, config, server, server_at, warm_server};
use crate::driver::Config;
use crate::run;

#[test]
fn routes_stay_for_the_hold_time_and_go_then() {
    run(async {
        let hold = Duration::from_millis(300);
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed_with(Config { stale_time: Some(hold), ..config() }, addr).await;
        announcer.node.announce_routes(routes(10, 1)).await.unwrap();
        subscriber.table.becomes(&routes(10, 1)).await;

        let before = crate::now();
        server.shutdown().await;
        subscriber.table.becomes(&[].into()).await;
        assert!(crate::now() - before >= hold);
    });
}

#[test]
fn without_a_hold_time_routes_go_with_their_session() {
    run(async {
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber =
            Client::subscribed_with(Config { stale_time: Some(Duration::ZERO), ..config() }, addr).await;
        announcer.node.announce_routes(routes(10, 1)).await.unwrap();
        subscriber.table.becomes(&routes(10, 1)).await;

        server.shutdown().await;
        // The default is longer than a test may take.
        subscriber.table.becomes(&[].into()).await;
    });
}

#[test]
fn what_a_restarted_server_does_not_have_goes_when_it_has_told_all_it_has() {
    run(async {
        let (server, addr) = warm_server().await;
        let [stays, leaves] = [Client::of(addr).await, Client::of(addr).await];
        let mut subscriber = Client::subscribed(addr).await;
        stays.node.announce_route(route(1, 1)).await.unwrap();
        leaves.node.announce_route(route(2, 2)).await.unwrap();
        subscriber.table.becomes(&[route(1, 1), route(2, 2)].into()).await;

        server.shutdown().await;
        leaves.node.shutdown().await;
        let _server = server_at(addr, Config { convergence_time: Duration::ZERO, ..config() }).await;

        // What stays may go for a moment: its announcer may be back after the subscriber.
        subscriber.table.becomes(&[route(1, 1)].into()).await;
    });
}
