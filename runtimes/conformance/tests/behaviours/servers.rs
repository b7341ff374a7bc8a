//! Several servers: a route stays as long as one server has it, and is reported once.

use std::net::SocketAddr;

use metalbond_conformance::{VNI, route, routes};

use super::support::{Client, converged_server};
use super::wait::until;
use crate::driver::MetalBond;
use crate::run;

#[test]
fn a_route_of_two_servers_is_reported_once_and_stays_while_one_of_them_has_it() {
    run(async {
        let [(first, one), (_second, two)] = [converged_server().await, converged_server().await];
        let (announcer, mut subscriber) = (at_both(Client::of(one).await, two).await, Client::subscribed(one).await);
        subscriber = at_both(subscriber, two).await;
        announcer.node.announce_routes(routes(100, 1)).await.unwrap();
        subscriber.table.becomes(&routes(100, 1)).await;
        until("both copies", || held(&subscriber.node, 200)).await;

        first.shutdown().await;

        // The new route comes from the other server, after all changes that the end of the first server could cause.
        announcer.node.announce_route(route(100, 1)).await.unwrap();
        subscriber.table.becomes(&routes(101, 1)).await;
        assert_eq!((subscriber.table.additions, subscriber.table.removals), (101, 0));

        // A withdrawal by a connected server removes the route, although the other server's stale copy is still there.
        announcer.node.withdraw_routes(routes(101, 1)).await.unwrap();
        subscriber.table.becomes(&[].into()).await;
    });
}

#[test]
fn the_removal_of_a_server_removes_only_the_routes_that_no_other_server_has() {
    run(async {
        let [(_first, one), (_second, two)] = [converged_server().await, converged_server().await];
        let (at_one, at_two) = (Client::of(one).await, Client::of(two).await);
        let mut subscriber = at_both(Client::subscribed(one).await, two).await;
        at_one.node.announce_routes(routes(20, 1)).await.unwrap();
        at_two.node.announce_routes(routes(10, 1)).await.unwrap();
        subscriber.table.becomes(&routes(20, 1)).await;
        until("both copies", || held(&subscriber.node, 30)).await;

        subscriber.node.remove_peer(subscriber.peer).await.unwrap();

        subscriber.table.becomes(&routes(10, 1)).await;
        assert_eq!(subscriber.table.removals, 10);
    });
}

#[test]
fn a_route_of_one_server_is_not_announced_to_the_other() {
    run(async {
        let [(_first, one), (second, two)] = [converged_server().await, converged_server().await];
        let announcer = Client::of(one).await;
        let mut between = at_both(Client::subscribed(one).await, two).await;
        announcer.node.announce_route(route(1, 1)).await.unwrap();
        between.table.becomes(&[route(1, 1)].into()).await;
        between.node.announce_route(route(2, 2)).await.unwrap();

        let table = second.route_table();
        until("its own route", || async { table.routes(VNI).await.unwrap() == [route(2, 2)] }).await;
    });
}

async fn at_both(client: Client, other: SocketAddr) -> Client {
    client.node.add_peer(other.into()).await.unwrap();
    client
}

/// Returns true if the node has this many routes of its servers. A route of two servers counts twice.
async fn held(node: &MetalBond, routes: usize) -> bool {
    let peers = node.peers().await.unwrap();
    peers.iter().map(|peer| peer.configured().unwrap().routes).sum::<usize>() == routes
}
