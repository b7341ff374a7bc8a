//! Sessions come about, in whichever order things are wanted and there.

use std::time::Duration;

use metalbond_conformance::{VNI, route, routes};

use super::support::{Client, config, nobody, node, server, server_at, start};
use super::wait::until;
use crate::driver::{Config, Direction, MetalBond, SessionInfo, SessionState};
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
fn a_session_in_which_nothing_happens_is_kept_alive() {
    run(async {
        let (server, addr) = server().await;
        let client = Client::with(Config { keepalive: Duration::from_secs(1), ..config() }, addr).await;
        let first = session(&server).await;
        // Well over 2.5 intervals: a HELLO, and KEEPALIVEs of 4 bytes.
        until("five KEEPALIVEs", || async { session(&server).await.counters.bytes_in >= 40 }).await;
        assert_eq!(session(&server).await.conn, first.conn);
        drop(client);
    });
}

/// The only one, when there is one.
async fn session(server: &MetalBond) -> SessionInfo {
    until("a session", || async { server.peers().await.unwrap().len() == 1 }).await;
    server.peers().await.unwrap()[0].session().unwrap().clone()
}
