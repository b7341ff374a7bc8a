//! Listening.

use std::io::ErrorKind;

use metalbond_tokio::{ListenError, MetalBond};
use tokio::net::TcpStream;

use crate::support::{Client, config, has_ipv6, route, server};

#[tokio::test]
async fn a_taken_port_is_an_error_and_the_node_goes_on() {
    let (_first, taken) = server().await;
    let (second, _) = MetalBond::start(config()).unwrap();

    let refused = second.listen(taken).await.unwrap_err();
    assert!(matches!(refused, ListenError::System { source, .. } if source.kind() == ErrorKind::AddrInUse));

    second.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn clients_of_different_listeners_exchange_routes() {
    let second = if has_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
    let (server, first) = server().await;
    let second = server.listen(second.parse().unwrap()).await.unwrap();
    let announcer = Client::of(first).await;
    let mut subscriber = Client::subscribed(second).await;

    announcer.node.announce_route(route(1, 1)).await.unwrap();

    subscriber.table.becomes(&[route(1, 1)].into()).await;
}

#[tokio::test]
async fn a_specific_ipv6_address_does_not_take_ipv4() {
    if !has_ipv6() {
        return;
    }
    let (server, _) = MetalBond::start(config()).unwrap();
    let port = server.listen("[::1]:0".parse().unwrap()).await.unwrap().port();
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}
