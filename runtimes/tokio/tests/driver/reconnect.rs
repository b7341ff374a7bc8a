//! Sessions come back.

use metalbond_tokio::{CloseReason, MetalBond, SessionState};

use crate::support::{Client, config, route, routes, server, until};

#[tokio::test]
async fn a_server_restarts_on_its_port_and_no_client_loses_a_route() {
    let (server, addr) = server().await;
    let announcer = Client::of(addr).await;
    let mut subscriber = Client::subscribed(addr).await;
    announcer.node.announce_routes(routes(100, 1)).await.unwrap();
    subscriber.table.becomes(&routes(100, 1)).await;

    server.shutdown().await;
    let (server, _) = MetalBond::start(config()).unwrap();
    server.listen(addr).await.unwrap();

    // That a new route arrives shows that the sessions are back; it comes behind what was announced before it.
    announcer.node.announce_route(route(100, 1)).await.unwrap();
    subscriber.table.becomes(&routes(101, 1)).await;
    assert_eq!(subscriber.table.removals, 0);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_tried_again() {
    let (node, _) = MetalBond::start(config()).unwrap();
    // A label has at most 63 characters: no resolver has to be asked.
    node.add_peer(format!("{}:4711", "a".repeat(64)).parse().unwrap()).await.unwrap();

    until("three dials", || async { node.peers().await.unwrap()[0].configured().unwrap().dials >= 3 }).await;

    let peers = node.peers().await.unwrap();
    assert!(matches!(peers[0].configured().unwrap().last_close, Some(CloseReason::DialFailed(_))));
}

#[tokio::test]
async fn a_name_leads_to_whichever_of_its_addresses_answers() {
    // `localhost` may be ::1 and 127.0.0.1; the server has only the latter.
    let (_server, addr) = server().await;
    let (node, _) = MetalBond::start(config()).unwrap();
    let peer = node.add_peer(format!("localhost:{}", addr.port()).parse().unwrap()).await.unwrap();
    until("a session", || async { node.peer_state(peer).await == Ok(SessionState::Established) }).await;
}

#[tokio::test]
async fn a_reset_peer_is_dialled_again_and_its_routes_stay() {
    let (server, addr) = server().await;
    let announcer = Client::of(addr).await;
    let mut subscriber = Client::subscribed(addr).await;
    announcer.node.announce_route(route(1, 1)).await.unwrap();
    subscriber.table.becomes(&[route(1, 1)].into()).await;

    subscriber.node.reset_peer(subscriber.peer).await.unwrap();
    for peer in server.peers().await.unwrap() {
        peer.reset().await;
    }

    announcer.node.announce_route(route(2, 1)).await.unwrap();
    subscriber.table.becomes(&[route(1, 1), route(2, 1)].into()).await;
    assert!(subscriber.node.peers().await.unwrap()[0].configured().unwrap().dials > 1);
}

#[tokio::test]
async fn a_removed_peer_is_not_dialled_again_and_its_routes_go() {
    let (server, addr) = server().await;
    let announcer = Client::of(addr).await;
    let mut subscriber = Client::subscribed(addr).await;
    announcer.node.announce_route(route(1, 1)).await.unwrap();
    subscriber.table.becomes(&[route(1, 1)].into()).await;

    subscriber.node.remove_peer(subscriber.peer).await.unwrap();

    subscriber.table.becomes(&[].into()).await;
    until("one client left", || async { server.peers().await.unwrap().len() == 1 }).await;
    assert!(subscriber.node.peers().await.unwrap().is_empty());
}
