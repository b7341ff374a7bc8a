//! Connections that are cut and opened again.

use metalbond_conformance::{Line, route, routes};

use crate::behaviours::support::{Client, server};
use crate::run;

#[test]
fn a_connection_that_is_cut_repeatedly_comes_back_and_no_route_is_removed() {
    run(async {
        let (_server, addr) = server().await;
        let line = Line::to(addr).await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(line.addr).await;
        announcer.node.announce_routes(routes(100, 1)).await.unwrap();
        subscriber.table.becomes(&routes(100, 1)).await;

        for n in 100..110 {
            line.cut().await;
            announcer.node.announce_route(route(n, 1)).await.unwrap();
            subscriber.table.becomes(&routes(n + 1, 1)).await;
        }
        assert_eq!((subscriber.table.additions, subscriber.table.removals), (110, 0));
    });
}
