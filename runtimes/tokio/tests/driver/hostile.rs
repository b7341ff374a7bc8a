//! Peers that do not keep to the protocol: closed, and nobody else notices.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Client, HELLO, KEEPALIVE, SUBSCRIBE, raw_client, read_to_end, route, routes, server, until};

#[tokio::test]
async fn a_peer_that_sends_garbage_is_closed_and_others_go_on() {
    let (server, addr) = server().await;
    let announcer = Client::of(addr).await;
    let mut subscriber = Client::subscribed(addr).await;
    announcer.node.announce_route(route(1, 1)).await.unwrap();
    subscriber.table.becomes(&[route(1, 1)].into()).await;

    let mut hostile = raw_client(addr).await;
    hostile.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    read_to_end(&mut hostile).await;

    announcer.node.announce_route(route(2, 1)).await.unwrap();
    subscriber.table.becomes(&[route(1, 1), route(2, 1)].into()).await;
    assert_eq!(server.peers().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_hostile_peers_disturb_no_route() {
    let (server, addr) = server().await;
    let announcer = Client::of(addr).await;
    let mut subscriber = Client::subscribed(addr).await;
    let hostile: Vec<_> = (0..200).map(|n| tokio::spawn(attack(addr, n))).collect();

    for hypervisor in 1..=5 {
        announcer.node.announce_routes(routes(2000, hypervisor)).await.unwrap();
        subscriber.table.becomes(&routes(2000, hypervisor)).await;
        announcer.node.withdraw_routes(routes(2000, hypervisor)).await.unwrap();
        subscriber.table.becomes(&[].into()).await;
    }

    let mut open = Vec::new();
    for peer in hostile {
        open.extend(peer.await.unwrap());
    }
    announcer.node.announce_route(route(1, 9)).await.unwrap();
    subscriber.table.becomes(&[route(1, 9)].into()).await;
    drop(open);
    until("only the friends", || async { server.peers().await.unwrap().len() == 2 }).await;
}

/// One of six ways to misbehave. Those that the server cannot tell from slowness are left open, and returned.
async fn attack(server: SocketAddr, n: u8) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    // The server may be quicker to close than we are to write: no error matters.
    let is_open = match n % 6 {
        // Garbage.
        0 => {
            let noise: Vec<u8> = (0..50_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 ^ n).collect();
            let _ = stream.write_all(&noise).await;
            false
        }
        // A frame that is longer than any may be; the length field has no room for a million.
        1 => {
            let _ = stream.write_all(&[HELLO, KEEPALIVE, &[1, 255, 255, 5], &[0; 1_000_000]].concat()).await;
            false
        }
        // Wrong order.
        2 => {
            let _ = stream.write_all(&[SUBSCRIBE, HELLO].concat()).await;
            false
        }
        // UPDATE that is no protobuf.
        3 => {
            let _ = stream.write_all(&[HELLO, KEEPALIVE, &[1, 0, 3, 5, 255, 255, 255]].concat()).await;
            false
        }
        // Half a frame, and nothing more.
        4 => {
            let _ = stream.write_all(&[HELLO, KEEPALIVE, &SUBSCRIBE[..3]].concat()).await;
            true
        }
        // Frames cut at every byte, then a reset in the middle of one.
        _ => {
            let _ = stream.set_nodelay(true);
            for byte in [HELLO, KEEPALIVE, SUBSCRIBE, &KEEPALIVE[..2]].concat() {
                let _ = stream.write_all(&[byte]).await;
            }
            let _ = stream.set_zero_linger();
            return None;
        }
    };
    if is_open {
        return Some(stream);
    }
    read_to_end(&mut stream).await;
    None
}
