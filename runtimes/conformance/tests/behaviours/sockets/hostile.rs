//! Peers that violate the protocol: they are disconnected, and other peers are not affected.

use std::net::SocketAddr;

use metalbond_conformance::{HELLO, KEEPALIVE, RawPeer, SUBSCRIBE, route, routes};

use crate::behaviours::sockets::{established, silent};
use crate::behaviours::support::{Client, server};
use crate::behaviours::wait::until;
use crate::run;

#[test]
fn a_peer_that_sends_garbage_is_disconnected_and_others_go_on() {
    run(async {
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        announcer.node.announce_route(route(1, 1)).await.unwrap();
        subscriber.table.becomes(&[route(1, 1)].into()).await;

        let mut hostile = established(addr).await;
        hostile.send(b"GET / HTTP/1.1\r\n\r\n").await;
        hostile.end().await;

        announcer.node.announce_route(route(2, 1)).await.unwrap();
        subscriber.table.becomes(&[route(1, 1), route(2, 1)].into()).await;
        assert_eq!(server.peers().await.unwrap().len(), 2);
    });
}

#[test]
fn two_hundred_hostile_peers_affect_no_route() {
    run(async {
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        let hostile: Vec<_> = (0..200).map(|n| smol::spawn(attack(addr, n))).collect();

        for hypervisor in 1..=5 {
            announcer.node.announce_routes(routes(2000, hypervisor)).await.unwrap();
            subscriber.table.becomes(&routes(2000, hypervisor)).await;
            announcer.node.withdraw_routes(routes(2000, hypervisor)).await.unwrap();
            subscriber.table.becomes(&[].into()).await;
        }

        let mut open = Vec::new();
        for peer in hostile {
            open.extend(peer.await);
        }
        announcer.node.announce_route(route(1, 9)).await.unwrap();
        subscriber.table.becomes(&[route(1, 9)].into()).await;
        drop(open);
        until("only the friends", || async { server.peers().await.unwrap().len() == 2 }).await;
    });
}

/// Misbehaves in one of six ways. Returns the peer if the server cannot distinguish its behaviour from slowness, and so keeps the
/// connection.
async fn attack(server: SocketAddr, n: u8) -> Option<RawPeer> {
    let mut peer = silent(server).await.unwrap();
    // The server may close the connection before everything is written, so errors are ignored.
    match n % 6 {
        // Garbage.
        0 => {
            let noise: Vec<u8> = (0..50_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 ^ n).collect();
            let _ = peer.stream.write_all(&noise).await;
        }
        // A frame that is longer than permitted; the length field has no room for a million.
        1 => {
            let long = [HELLO, KEEPALIVE, &[1, 255, 255, 5], &[0; 1_000_000]].concat();
            let _ = peer.stream.write_all(&long).await;
        }
        // A message in the wrong order.
        2 => {
            let _ = peer.stream.write_all(&[SUBSCRIBE, HELLO].concat()).await;
        }
        // An UPDATE that is no valid protobuf message.
        3 => {
            let _ = peer.stream.write_all(&[HELLO, KEEPALIVE, &[1, 0, 3, 5, 255, 255, 255]].concat()).await;
        }
        // The first half of a frame.
        4 => {
            let _ = peer.stream.write_all(&[HELLO, KEEPALIVE, &SUBSCRIBE[..3]].concat()).await;
            return Some(peer);
        }
        // Frames that are cut at every byte, then a reset in the middle of one.
        _ => {
            let _ = peer.stream.set_nodelay(true);
            for byte in [HELLO, KEEPALIVE, SUBSCRIBE, &KEEPALIVE[..2]].concat() {
                let _ = peer.stream.write_all(&[byte]).await;
            }
            peer.reset();
            return None;
        }
    }
    peer.end().await;
    None
}

#[test]
fn a_peer_that_sends_nothing_is_disconnected() {
    run(async {
        let (server, addr) = server().await;
        let mut peer = silent(addr).await.unwrap();
        // A HELLO with a keepalive interval of 1 s.
        peer.send(&[1, 0, 2, 1, 8, 1]).await;
        peer.send(KEEPALIVE).await;
        until("a session", || async { server.peers().await.unwrap().len() == 1 }).await;
        peer.end().await;
        until("no peer is left", || async { server.peers().await.unwrap().is_empty() }).await;
    });
}
