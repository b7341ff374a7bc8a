//! Routes between clients of a server.

use std::collections::BTreeSet;

use metalbond_conformance::{VNI, route, routes, routes_of};

use super::support::{Client, Table, server};
use super::wait::until;
use crate::driver::{Announcer, Route, Vni};
use crate::run;

#[test]
fn routes_of_all_kinds_reach_present_and_later_subscribers() {
    run(async {
        let (_server, addr) = server().await;
        let (mut a, mut b) = (Client::subscribed(addr).await, Client::subscribed(addr).await);
        let (of_a, of_b) = (routes(6, 1), routes(6, 2));

        assert_eq!(a.node.announce_routes(of_a.clone()).await, Ok(6));
        assert_eq!(b.node.announce_routes(of_b.clone()).await, Ok(6));
        a.table.becomes(&of_b).await;
        b.table.becomes(&of_a).await;

        let mut late = Client::subscribed(addr).await;
        late.table.becomes(&of_a.union(&of_b).copied().collect()).await;

        assert_eq!(a.node.withdraw_routes(of_a).await, Ok(6));
        b.table.becomes(&BTreeSet::new()).await;
        late.table.becomes(&of_b).await;
    });
}

#[test]
fn a_change_has_the_complete_set_of_next_hops() {
    run(async {
        let (_server, addr) = server().await;
        let (a, b, mut subscriber) = (Client::of(addr).await, Client::of(addr).await, Client::subscribed(addr).await);
        // Two clients announce the same destination with different hypervisors. `Table` compares the set in each change with its own.
        for (client, hypervisor) in [(&a, 1), (&b, 2)] {
            client.node.announce_route(route(0, hypervisor)).await.unwrap();
        }
        subscriber.table.becomes(&[route(0, 1), route(0, 2)].into()).await;
        a.node.withdraw_route(route(0, 1)).await.unwrap();
        subscriber.table.becomes(&[route(0, 2)].into()).await;
        b.node.withdraw_route(route(0, 2)).await.unwrap();
        subscriber.table.becomes(&[].into()).await;
    });
}

#[test]
fn fifty_thousand_routes_are_announced_together_and_withdrawn_together() {
    run(async {
        let (_server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        let many = routes(50_000, 1);

        assert_eq!(announcer.node.announce_routes(many.clone()).await, Ok(50_000));
        assert_eq!(announcer.node.announce_routes(many.clone()).await, Ok(0));
        subscriber.table.becomes(&many).await;
        assert_eq!(announcer.node.withdraw_routes(many.clone()).await, Ok(50_000));
        subscriber.table.becomes(&BTreeSet::new()).await;
        assert_eq!(announcer.node.withdraw_routes(many).await, Ok(0));
    });
}

#[test]
fn a_vni_can_be_unsubscribed_and_subscribed_again() {
    run(async {
        let (_server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        let other = routes_of(Vni(24), 10, 1);
        announcer.node.announce_routes(routes(10, 1)).await.unwrap();
        announcer.node.announce_routes(other.clone()).await.unwrap();
        subscriber.node.subscribe(Vni(24)).await.unwrap();
        subscriber.table.becomes(&routes(10, 1).union(&other).copied().collect()).await;

        subscriber.node.unsubscribe(VNI).await.unwrap();
        subscriber.table.becomes(&other).await;
        subscriber.node.subscribe(VNI).await.unwrap();
        subscriber.table.becomes(&routes(10, 1).union(&other).copied().collect()).await;
    });
}

#[test]
fn a_resync_reports_all_routes_of_a_vni_again_and_no_others() {
    run(async {
        let (_server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        let other = routes_of(Vni(24), 10, 1);
        announcer.node.announce_routes(routes(5000, 1)).await.unwrap();
        announcer.node.announce_routes(other.clone()).await.unwrap();
        subscriber.node.subscribe(Vni(24)).await.unwrap();
        subscriber.table.becomes(&routes(5000, 1).union(&other).copied().collect()).await;

        let own = route(6000, 9);
        subscriber.node.announce_routes([own, Route { vni: Vni(24), ..own }]).await.unwrap();

        assert_eq!(subscriber.node.resync_with_own(VNI).await, Ok(vec![own]), "no change reports its own routes");

        // The new table is that of an application that has lost its routes.
        let mut again = Table::new(subscriber.table.changes);
        again.becomes(&routes(5000, 1)).await;
        announcer.node.withdraw_routes(routes(5000, 1)).await.unwrap();
        again.becomes(&[].into()).await;
        assert_eq!(again.additions, 5000);
    });
}

#[test]
fn a_view_of_the_table_has_vnis_destinations_next_hops_and_announcers() {
    run(async {
        let (server, addr) = server().await;
        let (a, b) = (Client::of(addr).await, Client::subscribed(addr).await);
        let own = Route { vni: Vni(24), ..route(9, 9) };
        a.node.announce_routes([route(0, 1), route(1, 1)]).await.unwrap();
        b.node.announce_routes([route(0, 2), own]).await.unwrap();
        let table = server.route_table();
        until("all routes", || async {
            table.routes(VNI).await.unwrap().len() == 3 && table.vnis().await.unwrap().len() == 2
        })
        .await;

        assert_eq!(table.vnis().await, Ok(vec![VNI, Vni(24)]));
        assert_eq!(set(table.routes(VNI).await.unwrap()), [route(0, 1), route(0, 2), route(1, 1)].into());
        let destinations = table.destinations(VNI).await.unwrap();
        let sizes: BTreeSet<_> = destinations.iter().map(|to| (to.prefix, to.next_hops.len())).collect();
        assert_eq!(sizes, [(route(0, 1).prefix, 2), (route(1, 1).prefix, 1)].into());
        let hops: BTreeSet<_> = table.next_hops(VNI, route(0, 1).prefix).await.unwrap().into_iter().collect();
        assert_eq!(hops, [route(0, 1).next_hop, route(0, 2).next_hop].into());
        assert_eq!(table.next_hops(VNI, route(7, 1).prefix).await, Ok(vec![]));

        let mut announced = BTreeSet::new();
        for peer in server.peers().await.unwrap() {
            let routes = table.announced_by(peer.announcer()).await.unwrap();
            for route in &routes {
                assert_eq!(table.announcers(*route).await, Ok(vec![peer.announcer()]));
            }
            announced.insert(set(routes));
        }
        assert_eq!(announced, [[route(0, 1), route(1, 1)].into(), [route(0, 2), own].into()].into());

        // The client's table has its own routes and the learned ones.
        let view = b.node.route_table();
        until("what a announces", || async { b.learned().await.len() == 2 }).await;
        assert_eq!(set(view.announced_by(Announcer::Local).await.unwrap()), [route(0, 2), own].into());
        assert_eq!(set(view.announced_by(Announcer::Peer(b.peer)).await.unwrap()), b.learned().await);
        assert_eq!(view.announcers(own).await, Ok(vec![Announcer::Local]));
    });
}

fn set(routes: Vec<Route>) -> BTreeSet<Route> {
    routes.into_iter().collect()
}
