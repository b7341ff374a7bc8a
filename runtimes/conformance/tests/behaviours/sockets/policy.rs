//! A policy towards a peer that floods the node with denied routes.

use metalbond_conformance::VNI;

use crate::behaviours::policy::{of, policy, refused};
use crate::behaviours::sockets::established;
use crate::behaviours::support::{Client, config, server_with};
use crate::behaviours::wait::until;
use crate::driver::Config;
use crate::run;

/// An UPDATE that adds 10.0.23.0/24 with the next hop 2001:db8::66, written byte by byte as in the protocol's description.
const FORBIDDEN_ADD: &[u8] = &[
    1, 0, 0x20, 5, 0x10, 0x17, 0x1a, 8, 0x12, 4, 10, 0, 23, 0, 0x18, 24, 0x22, 0x12, 0x0a, 16, 0x20, 1, 0x0d, 0xb8, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x66,
];

#[test]
fn a_flood_of_denied_routes_delays_no_route() {
    run(async {
        let (server, addr) = server_with(Config { policy: Some(policy(&[1])), ..config() }).await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        let mut hostile = established(addr).await;
        hostile.send(&FORBIDDEN_ADD.repeat(10_000)).await;
        announcer.node.announce_route(of(1)).await.unwrap();
        subscriber.table.becomes(&[of(1)].into()).await;
        until("all refused", || async { refused(&server).await == (10_000, 0) }).await;
        assert_eq!(server.route_table().routes(VNI).await.unwrap(), [of(1)]);
        assert_eq!(server.peers().await.unwrap().len(), 3, "it has kept its session");
    });
}
