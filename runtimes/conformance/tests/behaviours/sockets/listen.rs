//! The addresses that a node listens on, and the address that it dials from.

use std::io::ErrorKind;

use metalbond_conformance::has_ipv6;

use crate::behaviours::sockets::{established, listen_on, silent};
use crate::behaviours::support::{ANY, Client, config, listen, node, options, server};
use crate::behaviours::wait::until;
use crate::driver::{ListenError, start_with};
use crate::run;

#[test]
fn a_port_in_use_is_an_error_and_the_node_goes_on() {
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
fn a_node_listens_on_a_socket_that_it_is_given() {
    run(async {
        let node = node().await;
        // The socket is bound and does not listen yet.
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

/// Returns a path of this process's own, because several programs run this test at the same time.
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

#[test]
fn a_node_dials_from_its_configured_local_address() {
    run(async {
        let (server, addr) = server().await;
        let local = [127, 0, 0, 2].into();
        let (client, _) = start_with(config(), options().local_address(local)).unwrap();
        // An address of the other family does not prevent a dial.
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
