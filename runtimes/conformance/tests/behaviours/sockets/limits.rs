//! Limits on connections, and on the time for which a peer may read nothing.

use std::time::Duration;

use metalbond_conformance::{KEEPALIVE, SUBSCRIBE, route, routes};
use socket2::SockRef;

use crate::behaviours::limits::closed;
use crate::behaviours::sockets::{established, silent};
use crate::behaviours::support::{Client, config, server_with};
use crate::behaviours::wait::until;
use crate::driver::{CloseKind, Config, Limits, PeerLimit};
use crate::run;

#[test]
fn connections_over_the_limit_are_closed_and_the_open_ones_go_on() {
    run(async {
        let limits = Limits { connections_per_address: 3, ..Limits::default() };
        let (server, addr) = server_with(Config { limits, ..config() }).await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        until("both sessions", || async { announcer.is_established().await && subscriber.is_established().await })
            .await;
        let mut third = established(addr).await;
        for _ in 0..50 {
            assert_eq!(silent(addr).await.unwrap().end().await, 0);
        }
        announcer.node.announce_route(route(1, 1)).await.unwrap();
        subscriber.table.becomes(&[route(1, 1)].into()).await;
        third.send(KEEPALIVE).await;
        assert_eq!(third.frame().await, KEEPALIVE);
        assert_eq!(closed(&server, CloseKind::Limit(PeerLimit::ConnectionsPerAddress)).await, 50);

        drop(third);
        until("a place", || async { server.peers().await.unwrap().len() == 2 }).await;
        established(addr).await;
    });
}

#[test]
fn a_peer_that_does_not_read_is_closed_after_the_send_hold_time() {
    run(async {
        let (server, addr) = server_with(Config { send_hold_time: Duration::from_secs(1), ..config() }).await;
        let announcer = Client::of(addr).await;
        let mut quick = Client::subscribed(addr).await;
        let mut deaf = established(addr).await;
        // The buffer is small, so that the table does not fit.
        SockRef::from(&deaf.stream).set_recv_buffer_size(4096).unwrap();
        deaf.send(SUBSCRIBE).await;

        let all = routes(300_000, 1);
        announcer.node.announce_routes(all.clone()).await.unwrap();
        quick.table.becomes(&all).await;
        until("the deaf one closed", || async { closed(&server, CloseKind::NotReading).await == 1 }).await;
        assert!(announcer.is_established().await && quick.is_established().await);
    });
}
