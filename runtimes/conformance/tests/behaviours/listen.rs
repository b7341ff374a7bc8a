//! Listening.

use metalbond_conformance::route;

use super::support::{ANY, Client, listen, server};
use crate::run;

#[test]
fn clients_of_different_listeners_exchange_routes() {
    run(async {
        let (server, first) = server().await;
        let second = listen(&server, ANY.parse().unwrap()).await.unwrap();
        let announcer = Client::of(first).await;
        let mut subscriber = Client::subscribed(second).await;

        announcer.node.announce_route(route(1, 1)).await.unwrap();

        subscriber.table.becomes(&[route(1, 1)].into()).await;
    });
}
