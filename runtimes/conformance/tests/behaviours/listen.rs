//! Listening.

use std::io::ErrorKind;

use metalbond_conformance::route;

use super::support::{ANY, Client, established, has_ipv6, listen, listen_on, node, server, silent};
use crate::driver::ListenError;
use crate::run;

#[test]
fn a_taken_port_is_an_error_and_the_node_goes_on() {
    run(async {
        let (_first, taken) = server().await;
        let second = node().await;

        match listen(&second, taken).await.unwrap_err() {
            ListenError::System { addr, source } => {
                assert_eq!((addr, source.kind()), (taken, ErrorKind::AddrInUse));
            }
            other => panic!("{other}"),
        }

        let addr = listen(&second, ANY.parse().unwrap()).await.unwrap();
        established(addr).await;
    });
}

#[test]
fn clients_of_different_listeners_exchange_routes() {
    run(async {
        let second = if has_ipv6() { "[::1]:0" } else { ANY };
        let (server, first) = server().await;
        let second = listen(&server, second.parse().unwrap()).await.unwrap();
        let announcer = Client::of(first).await;
        let mut subscriber = Client::subscribed(second).await;

        announcer.node.announce_route(route(1, 1)).await.unwrap();

        subscriber.table.becomes(&[route(1, 1)].into()).await;
    });
}

#[test]
fn a_socket_that_is_handed_over_is_listened_on() {
    run(async {
        let node = node().await;
        // Bound, and not listening yet.
        let listener = std::net::TcpListener::bind(ANY).unwrap();
        let bound = listener.local_addr().unwrap();
        assert_eq!(listen_on(&node, listener).await.unwrap(), bound);
        established(bound).await;

        let other = std::os::unix::net::UnixListener::bind(socket_path()).unwrap();
        std::fs::remove_file(socket_path()).unwrap();
        let other = std::net::TcpListener::from(std::os::fd::OwnedFd::from(other));
        assert!(matches!(listen_on(&node, other).await, Err(ListenError::Socket(_))));

        node.shutdown().await;
        let late = std::net::TcpListener::bind(ANY).unwrap();
        assert!(matches!(listen_on(&node, late).await, Err(ListenError::Closed)));
    });
}

/// One for each thread that runs the test: the suite is run by several programs at a time.
fn socket_path() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("metalbond-listen-{}", std::process::id()))
}

#[test]
fn a_specific_ipv6_address_does_not_take_ipv4() {
    run(async {
        if !has_ipv6() {
            return;
        }
        let server = node().await;
        let port = listen(&server, "[::1]:0".parse().unwrap()).await.unwrap().port();
        assert!(silent(([127, 0, 0, 1], port).into()).await.is_err());
    });
}
