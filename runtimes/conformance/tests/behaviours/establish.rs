//! Sessions come about, in whichever order things are wanted and there.

use metalbond_conformance::{VNI, route, routes};

use super::support::{Client, config, has_ipv6, listen, nobody, node, options, server, server_at, start};
use super::wait::until;
use crate::driver::{Direction, SessionState, start_with};
use crate::run;

#[test]
fn both_ends_see_each_other_among_their_peers() {
    run(async {
        let (server, addr) = server().await;
        let client = Client::of(addr).await;
        until("a session", || client.is_established()).await;

        let at_client = client.node.peers().await.unwrap().pop().unwrap();
        assert_eq!((at_client.direction(), at_client.remote()), (Direction::Dialled, Some(addr)));
        assert!(at_client.session().unwrap().is_server);
        until("a client", || async {
            let peers = server.peers().await.unwrap();
            let [peer] = &peers[..] else { return false };
            assert_eq!(peer.direction(), Direction::Accepted);
            assert_ne!(peer.remote().unwrap(), addr);
            peer.state() == SessionState::Established
        })
        .await;
    });
}

#[test]
fn everything_may_be_wanted_before_a_server_is_there() {
    run(async {
        let addr = nobody().await;
        let mut early = Client::subscribed(addr).await;
        let announcer = Client::of(addr).await;
        announcer.node.announce_routes(routes(10, 1)).await.unwrap();
        announcer.node.withdraw_route(route(0, 1)).await.unwrap();
        until("a failed dial", || async { early.dials().await > 1 }).await;

        let _server = server_at(addr, config()).await;

        early.table.becomes(&(1..10).map(|n| route(n, 1)).collect()).await;
    });
}

#[test]
fn everything_may_be_wanted_before_a_server_is_named() {
    run(async {
        let (_server, addr) = server().await;
        let (subscriber, announcer) = (start(config()).await, node().await);
        subscriber.0.subscribe(VNI).await.unwrap();
        announcer.announce_routes(routes(10, 1)).await.unwrap();

        announcer.add_peer(addr.into()).await.unwrap();
        subscriber.0.add_peer(addr.into()).await.unwrap();

        super::support::Table::new(subscriber.1).becomes(&routes(10, 1)).await;
    });
}

#[test]
fn a_name_leads_to_whichever_of_its_addresses_answers() {
    run(async {
        // `localhost` may be ::1 and 127.0.0.1; the server has only the latter.
        let (_server, addr) = server().await;
        let node = node().await;
        let peer = node.add_peer(format!("localhost:{}", addr.port()).parse().unwrap()).await.unwrap();
        until("a session", || async { node.peer_state(peer).await == Ok(SessionState::Established) }).await;
    });
}

#[test]
fn a_node_dials_from_the_local_address_that_it_was_given() {
    run(async {
        let (server, addr) = server().await;
        let local = [127, 0, 0, 2].into();
        let (client, _) = start_with(config(), options().local_address(local)).unwrap();
        // An address of the other family is no hindrance.
        let (other, _) = start_with(config(), options().local_address("2001:db8::1".parse().unwrap())).unwrap();
        for node in [&client, &other] {
            node.add_peer(addr.into()).await.unwrap();
        }
        let remotes =
            || async { server.peers().await.unwrap().iter().filter_map(|peer| peer.remote()).collect::<Vec<_>>() };
        until("two sessions", || async { remotes().await.len() == 2 }).await;
        let from_local = remotes().await.iter().filter(|remote| remote.ip() == local).count();
        assert_eq!(from_local, 1);
    });
}

#[test]
fn one_server_serves_clients_of_both_families() {
    run(async {
        if !has_ipv6() {
            return;
        }
        let server = node().await;
        let port = listen(&server, "[::]:0".parse().unwrap()).await.unwrap().port();
        let v4 = Client::of(([127, 0, 0, 1], port).into()).await;
        let v6 = Client::of(format!("[::1]:{port}").parse().unwrap()).await;
        until("two sessions", || async { v4.is_established().await && v6.is_established().await }).await;
        let remotes: Vec<_> =
            server.peers().await.unwrap().iter().map(|peer| peer.remote().unwrap().is_ipv4()).collect();
        assert!(remotes.contains(&true) && remotes.contains(&false), "IPv4 is named as such");
    });
}
