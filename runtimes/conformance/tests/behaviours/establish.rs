//! How sessions open, in whichever order servers, subscriptions and announcements are added.

use std::time::Duration;

use metalbond_conformance::{VNI, poll_once, route, routes};

use super::support::{Client, config, misuse, node, server, server_at, start, unused_address};
use super::wait::{until, within};
use crate::driver::{ApiMisuse, CommandError, Config, Direction, MetalBond, PeerId, SessionInfo, SessionState};
use crate::run;

#[test]
fn each_end_has_the_other_among_its_peers() {
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
fn a_caller_waits_until_a_session_is_established_and_no_longer() {
    run(async {
        let addr = unused_address().await;
        let client = node().await;
        let peer = client.add_peer(addr.into()).await.unwrap();
        let no_such_peer: Result<(), CommandError> = misuse(ApiMisuse::NoSuchPeer);
        assert_eq!(client.wait_established(PeerId(peer.0 + 1)).await, no_such_peer);
        // Dropping one wait does not change the others.
        assert!(poll_once(&mut Box::pin(client.wait_established(peer))).await.is_pending());
        let mut waits = Box::pin(client.wait_established(peer));
        assert!(poll_once(&mut waits).await.is_pending());

        let _server = server_at(addr, config()).await;

        assert_eq!(within("the session", waits).await, Ok(()));
        assert_eq!(client.peer_state(peer).await, Ok(SessionState::Established));
        assert_eq!(client.wait_established(peer).await, Ok(()), "at once");

        let away = client.add_peer(unused_address().await.into()).await.unwrap();
        let mut waits = Box::pin(client.wait_established(away));
        assert!(poll_once(&mut waits).await.is_pending());
        assert_eq!(client.remove_peer(away).await, Ok(true));
        assert_eq!(within("the removal", waits).await, no_such_peer);

        let away = client.add_peer(unused_address().await.into()).await.unwrap();
        let mut waits = Box::pin(client.wait_established(away));
        assert!(poll_once(&mut waits).await.is_pending());
        client.shutdown().await;
        assert_eq!(within("the end", waits).await, Err(CommandError::Closed));
        assert_eq!(client.wait_established(peer).await, Err(CommandError::Closed));
    });
}

#[test]
fn subscriptions_and_announcements_may_precede_the_start_of_the_server() {
    run(async {
        let addr = unused_address().await;
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
fn subscriptions_and_announcements_may_precede_the_configuration_of_a_server() {
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
fn a_dial_tries_all_addresses_of_a_name() {
    run(async {
        // `localhost` may mean ::1 and 127.0.0.1; the server listens only on the latter.
        let (_server, addr) = server().await;
        let node = node().await;
        let peer = node.add_peer(format!("localhost:{}", addr.port()).parse().unwrap()).await.unwrap();
        until("a session", || async { node.peer_state(peer).await == Ok(SessionState::Established) }).await;
    });
}

#[test]
fn a_session_without_messages_is_kept_alive() {
    run(async {
        let (server, addr) = server().await;
        let client = Client::with(Config { keepalive: Duration::from_secs(1), ..config() }, addr).await;
        let first = session(&server).await;
        // This takes longer than 2.5 intervals: a HELLO, and KEEPALIVEs of 4 bytes.
        until("five KEEPALIVEs", || async { session(&server).await.counters.bytes_in >= 40 }).await;
        assert_eq!(session(&server).await.conn, first.conn);
        drop(client);
    });
}

/// Waits until the server has a session, which is the only one, and returns it.
async fn session(server: &MetalBond) -> SessionInfo {
    until("a session", || async { server.peers().await.unwrap().len() == 1 }).await;
    server.peers().await.unwrap()[0].session().unwrap().clone()
}
