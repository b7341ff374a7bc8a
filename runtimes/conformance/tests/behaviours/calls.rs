//! Calls of a handle: their answers, and that a task may make them at any time.

use metalbond_conformance::{VNI, route, routes};

use super::support::{Client, config, misuse, node, server, start};
use super::wait::within;
use crate::driver::{ApiMisuse, CommandError, Config, Limit, Notice, Route, TryNotifyError, Vni};
use crate::run;

#[test]
fn a_handle_returns_an_error_for_each_misuse_and_reads_back_what_was_set() {
    run(async {
        let node = node().await;
        assert_eq!(node.subscribe(VNI).await, Ok(true));
        assert_eq!(node.subscribe(VNI).await, Ok(false));
        assert_eq!((node.is_subscribed(VNI).await, node.subscribed_vnis().await), (Ok(true), Ok(vec![VNI])));
        assert_eq!(node.resync(VNI).await, Ok(()));
        assert_eq!(node.unsubscribe(VNI).await, Ok(true));
        assert_eq!(node.unsubscribe(VNI).await, Ok(false));
        assert_eq!(node.resync(VNI).await, misuse(ApiMisuse::NotSubscribed));

        assert_eq!(node.announce_route(route(1, 1)).await, Ok(true));
        assert_eq!(node.announce_route(route(1, 1)).await, Ok(false));
        assert_eq!(node.announced_routes().await, Ok(vec![route(1, 1)]));
        assert_eq!(node.route_table().routes(VNI).await, Ok(vec![route(1, 1)]));
        assert_eq!(node.route_table().learned(VNI).await, Ok(vec![]));
        assert_eq!(node.withdraw_route(route(2, 1)).await, Ok(false));
        assert_eq!(node.withdraw_route(route(1, 1)).await, Ok(true));
        assert_eq!(node.is_route_announced(route(1, 1)).await, Ok(false));

        let peer = node.add_peer("localhost:1".parse().unwrap()).await.unwrap();
        assert_eq!(node.add_peer("localhost:1".parse().unwrap()).await, misuse(ApiMisuse::PeerExists));
        assert_eq!(node.remove_peer(peer).await, Ok(true));
        assert_eq!(node.remove_peer(peer).await, Ok(false));
        assert_eq!(node.reset_peer(peer).await, misuse(ApiMisuse::NoSuchPeer));
        assert_eq!(node.peer_state(peer).await, misuse(ApiMisuse::NoSuchPeer));
    });
}

#[test]
fn an_error_names_the_limit_and_earlier_settings_stay() {
    run(async {
        let limits = Config { peers_max: 1, subscriptions_max: 2, announcements_max: 1500, ..config() };
        let (node, _) = start(limits).await;
        node.add_peer("localhost:1".parse().unwrap()).await.unwrap();
        assert_eq!(node.add_peer("localhost:2".parse().unwrap()).await, Err(CommandError::Limit(Limit::Peers)));
        assert_eq!(node.add_peer("localhost:1".parse().unwrap()).await, misuse(ApiMisuse::PeerExists));

        node.subscribe(Vni(1)).await.unwrap();
        node.subscribe(Vni(2)).await.unwrap();
        assert_eq!(node.subscribe(Vni(3)).await, Err(CommandError::Limit(Limit::Subscriptions)));
        node.unsubscribe(Vni(1)).await.unwrap();
        assert_eq!(node.subscribe(Vni(3)).await, Ok(true));

        let limit = Err(CommandError::Limit(Limit::Announcements));
        assert_eq!(node.announce_routes((0..2000).map(|n| route(n, 1))).await, limit);
        assert_eq!(node.announced_routes().await.unwrap().len(), 1500);
        assert_eq!(node.announce_routes((0..1500).map(|n| route(n, 1))).await, Ok(0));
        node.withdraw_route(route(0, 1)).await.unwrap();
        assert_eq!(node.announce_route(route(1999, 1)).await, Ok(true));
    });
}

#[test]
fn notices_are_carried_out_in_their_order_and_before_a_later_call() {
    run(async {
        let node = node().await;
        node.notify(Notice::Subscribe(VNI)).await;
        node.notify(Notice::Subscribe(VNI)).await;
        node.notify(Notice::Announce(route(1, 1))).await;
        node.notify(Notice::Announce(route(2, 1))).await;
        node.notify(Notice::Withdraw(route(1, 1))).await;
        node.notify(Notice::Withdraw(route(3, 1))).await;
        assert_eq!(node.announced_routes().await, Ok(vec![route(2, 1)]));
        assert_eq!(node.try_notify(Notice::Unsubscribe(VNI)), Ok(()));
        assert_eq!(node.subscribed_vnis().await, Ok(vec![]));
    });
}

#[test]
fn try_notify_distinguishes_a_busy_node_from_one_that_has_ended() {
    run(async {
        let node = node().await;
        let busy = node.clone();
        // While `inspect` runs, the node takes no messages from its mailbox.
        let (taken, refused) = node
            .inspect(move |_| {
                let mut taken = 0..;
                let refused = taken.find_map(|n| busy.try_notify(Notice::Subscribe(Vni(n))).err());
                (taken.start - 1, refused)
            })
            .await
            .unwrap();
        assert_eq!(refused, Some(TryNotifyError::Busy));
        assert_eq!(node.subscribed_vnis().await.unwrap().len(), taken as usize, "what was taken is done");
        assert_eq!(node.try_notify(Notice::Unsubscribe(Vni(0))), Ok(()));

        node.shutdown().await;
        assert_eq!(node.try_notify(Notice::Subscribe(VNI)), Err(TryNotifyError::Closed));
        node.notify(Notice::Subscribe(VNI)).await;
    });
}

#[test]
fn every_call_may_be_made_while_a_change_is_handled() {
    run(async {
        let (_server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut client = Client::subscribed(addr).await;
        // More changes than the stream has room for: it is full while the calls are made.
        announcer.node.announce_routes(routes(6000, 1)).await.unwrap();
        let node = client.node.clone();
        let table = node.route_table();

        within("the handling of all", async {
            while client.table.routes.len() < 6000 {
                let change = client.table.changes.next().await.unwrap();
                client.table.apply(&change);
                let n = client.table.routes.len() as u32;
                let own = Route { vni: Vni(99), ..route(n, 2) };
                node.announce_route(own).await.unwrap();
                node.notify(Notice::Subscribe(Vni(1000 + n))).await;
                assert!(node.is_subscribed(Vni(1000 + n)).await.unwrap());
                assert!(!table.next_hops(change.vni, change.prefix).await.unwrap().is_empty());
                if n.is_multiple_of(1000) {
                    node.reset_peer(client.peer).await.unwrap();
                    node.announce_routes(routes(100, 3)).await.unwrap();
                }
            }
        })
        .await;
        assert_eq!(node.announced_routes().await.unwrap().len(), 6100);
        assert_eq!(node.subscribed_vnis().await.unwrap().len(), 6001);
    });
}

#[test]
fn calls_are_answered_while_peers_flood_the_node() {
    run(async {
        let (server, addr) = server().await;
        // The announcers send more than the mailbox has room for.
        let mut flood = Vec::new();
        for hypervisor in 0..5 {
            let Client { node, .. } = Client::of(addr).await;
            flood.push(node.clone());
            crate::spawn(async move {
                let routes = routes(1000, hypervisor);
                while node.announce_routes(routes.clone()).await.is_ok()
                    && node.withdraw_routes(routes.clone()).await.is_ok()
                {}
            });
        }
        within("forty answers", async {
            for n in 0..20 {
                server.subscribe(Vni(n)).await.unwrap();
                assert_eq!(server.is_subscribed(Vni(n)).await, Ok(true));
            }
        })
        .await;
        for node in flood {
            node.shutdown().await;
        }
    });
}
