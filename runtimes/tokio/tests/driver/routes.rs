//! Routes travel between clients through a server.

use std::collections::BTreeSet;

use metalbond_tokio::{ApiMisuse, Direction, MetalBond, SessionState};

use crate::support::{Client, VNI, config, has_ipv6, route, routes, server, until};

#[tokio::test]
async fn routes_of_all_kinds_reach_clients_of_both_families_live_and_late() {
    if !has_ipv6() {
        return;
    }
    let (server, _) = MetalBond::start(config()).unwrap();
    let port = server.listen("[::]:0".parse().unwrap()).await.unwrap().port();
    let v4 = Client::subscribed(([127, 0, 0, 1], port).into()).await;
    let v6 = Client::subscribed(format!("[::1]:{port}").parse().unwrap()).await;
    let (mut v4, mut v6) = (v4, v6);
    let (of_v4, of_v6) = (routes(6, 4), routes(6, 6));

    assert_eq!(v4.node.announce_routes(of_v4.clone()).await, Ok(6));
    assert_eq!(v6.node.announce_routes(of_v6.clone()).await, Ok(6));
    v4.table.becomes(&of_v6).await;
    v6.table.becomes(&of_v4).await;

    let mut late = Client::subscribed(([127, 0, 0, 1], port).into()).await;
    late.table.becomes(&of_v4.union(&of_v6).copied().collect()).await;

    assert_eq!(v4.node.withdraw_routes(of_v4).await, Ok(6));
    v6.table.becomes(&BTreeSet::new()).await;
    late.table.becomes(&of_v6).await;
}

#[tokio::test]
async fn a_client_may_want_routes_before_its_server_exists() {
    let (placeholder, addr) = server().await;
    placeholder.shutdown().await;
    let mut early = Client::subscribed(addr).await;
    let announcer = Client::of(addr).await;
    announcer.node.announce_route(route(1, 1)).await.unwrap();
    until("a failed dial", || async { early.node.peers().await.unwrap()[0].configured().unwrap().dials > 1 }).await;

    let (server, _) = MetalBond::start(config()).unwrap();
    server.listen(addr).await.unwrap();

    early.table.becomes(&[route(1, 1)].into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_routes_are_announced_at_once_and_withdrawn_at_once() {
    let (_server, addr) = server().await;
    let announcer = Client::of(addr).await;
    let mut subscriber = Client::subscribed(addr).await;
    let many = routes(50_000, 1);

    assert_eq!(announcer.node.announce_routes(many.clone()).await, Ok(50_000));
    assert_eq!(announcer.node.announce_routes(many.clone()).await, Ok(0));
    subscriber.table.becomes(&many).await;
    assert_eq!(announcer.node.withdraw_routes(many.clone()).await, Ok(50_000));
    subscriber.table.becomes(&BTreeSet::new()).await;
    assert_eq!(announcer.node.withdraw_routes(many).await, Ok(0));
}

#[tokio::test]
async fn a_handle_tells_misuses_apart_and_sees_what_is_wanted() {
    let (node, _) = MetalBond::start(config()).unwrap();
    assert_eq!(node.subscribe(VNI).await, Ok(()));
    assert_eq!(node.subscribe(VNI).await, Err(ApiMisuse::AlreadySubscribed));
    assert_eq!((node.is_subscribed(VNI).await, node.subscribed_vnis().await), (Ok(true), Ok(vec![VNI])));
    assert_eq!(node.unsubscribe(VNI).await, Ok(()));
    assert_eq!(node.unsubscribe(VNI).await, Err(ApiMisuse::NotSubscribed));

    assert_eq!(node.announce_route(route(1, 1)).await, Ok(()));
    assert_eq!(node.announce_route(route(1, 1)).await, Err(ApiMisuse::AlreadyAnnounced));
    assert_eq!(node.announced_routes().await, Ok(vec![route(1, 1)]));
    assert_eq!(node.route_table().routes(VNI).await, Ok(vec![route(1, 1)]));
    assert_eq!(node.route_table().learned(VNI).await, Ok(vec![]));
    assert_eq!(node.withdraw_route(route(2, 1)).await, Err(ApiMisuse::NoSuchRoute));
    assert_eq!(node.is_route_announced(route(2, 1)).await, Ok(false));

    let peer = node.add_peer("localhost:1".parse().unwrap()).await.unwrap();
    assert_eq!(node.add_peer("localhost:1".parse().unwrap()).await, Err(ApiMisuse::PeerExists));
    assert_eq!(node.remove_peer(peer).await, Ok(()));
    assert_eq!(node.remove_peer(peer).await, Err(ApiMisuse::NoSuchPeer));
    assert_eq!(node.reset_peer(peer).await, Err(ApiMisuse::NoSuchPeer));
    assert_eq!(node.peer_state(peer).await, Err(ApiMisuse::NoSuchPeer));
}

#[tokio::test]
async fn both_ends_see_each_other_among_their_peers() {
    let (server, addr) = server().await;
    let client = Client::of(addr).await;
    until("a session", || async { client.node.peer_state(client.peer).await == Ok(SessionState::Established) }).await;

    let at_client = client.node.peers().await.unwrap().pop().unwrap();
    assert_eq!((at_client.direction(), at_client.remote()), (Direction::Dialled, Some(addr)));
    assert!(at_client.session().unwrap().is_server);
    until("a client", || async {
        let peers = server.peers().await.unwrap();
        let [peer] = &peers[..] else { return false };
        peer.direction() == Direction::Accepted && peer.state() == SessionState::Established && peer.remote().is_some()
    })
    .await;
}
