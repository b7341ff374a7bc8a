//! What an application can ask of its node, what the node reports to it, and what it can look up.

use crate::sim::rig::{OUR_SERVER, OURS, Rig, route, route_in};
use crate::sim::seat::Event;
use crate::sim::wire::Msg;
use metalbond::{
    Announcer, ApiMisuse, Command, CommandError, Config, Destination, Input, Limit, PeerId, Reply, Route, RouteChange,
    Vni,
};

/// Sorts changes, because destinations are reported in any order.
fn sorted(mut changes: Vec<(bool, Route)>) -> Vec<(bool, Route)> {
    changes.sort();
    changes
}

#[test]
fn a_change_has_the_complete_set_of_next_hops() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    let (conn, _) = rig.reach(OUR_SERVER);

    rig.say(conn, &[Msg::Add(route(1, 1))]);
    rig.say(conn, &[Msg::Add(route(1, 2))]);
    rig.say(conn, &[Msg::Remove(route(1, 1)), Msg::Add(route(1, 3))]);

    let [one, two, three] = [1, 2, 3].map(|n| route(1, n).next_hop);
    let sets: Vec<_> = changes(&rig).iter().map(|change| change.next_hops().to_vec()).collect();
    assert_eq!(sets, [vec![one], vec![one, two], vec![two, three]]);
    let last = changes(&rig).pop().unwrap();
    assert_eq!((last.added(), last.removed()), (&[three][..], &[one][..]));
}

#[test]
fn a_route_that_comes_and_goes_between_two_polls_is_not_reported() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1))]);
    rig.seat.deaf = true;
    for n in 2..200 {
        rig.say(conn, &[Msg::Remove(route(1, 1)), Msg::Add(route(n, 1))]);
        rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Remove(route(n, 1))]);
    }
    rig.say(conn, &[Msg::Remove(route(1, 1)), Msg::Add(route(1, 2))]);
    rig.changes();

    rig.seat.deaf = false;
    rig.feed(Input::Tick);

    assert_eq!(rig.changes(), [(true, route(1, 2)), (false, route(1, 1))]);
}

#[test]
fn a_resync_reports_all_routes_of_its_vni_again_and_none_of_others() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    rig.subscribe(0);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Add(route(1, 2)), Msg::Add(route(2, 1)), Msg::Add(route_in(0, 1, 1))]);
    rig.changes();

    rig.command(Command::Resync(Vni(23))).unwrap();

    assert_eq!(sorted(rig.changes()), [(true, route(1, 1)), (true, route(1, 2)), (true, route(2, 1))]);
    assert_eq!(rig.command(Command::Resync(Vni(25))), Err(ApiMisuse::NotSubscribed.into()));
}

#[test]
fn an_application_that_unsubscribes_and_subscribes_between_two_polls_gets_only_the_difference() {
    let mut rig = Rig::server();
    let conn = rig.join(OURS);
    rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.subscribe(23);
    assert_eq!(rig.changes().len(), 2);

    rig.seat.deaf = true;
    rig.unsubscribe(23);
    rig.say(conn, &[Msg::Remove(route(2, 1)), Msg::Add(route(3, 1))]);
    rig.subscribe(23);
    rig.seat.deaf = false;
    rig.feed(Input::Tick);

    assert_eq!(sorted(rig.changes()), [(false, route(2, 1)), (true, route(3, 1))]);
}

#[test]
fn quiet_destinations_are_reported_although_others_change_all_the_time() {
    let mut rig = Rig::server();
    let conn = rig.join(OURS);
    let quiet: Vec<_> = (10..110).map(|n| Msg::Add(route(n, 1))).collect();
    rig.say(conn, &quiet);
    rig.seat.is_watched = false;
    rig.seat.deaf = true;
    rig.subscribe(23);
    let mut reported = std::collections::BTreeSet::new();
    for n in 0..400u16 {
        // Two destinations change for each change that is taken.
        let [now, before] = [n % 2 + 1, (n + 1) % 2 + 1];
        for dest in [1, 2] {
            rig.say(conn, &[Msg::Add(route(dest, now)), Msg::Remove(route(dest, before))]);
        }
        reported.extend(rig.seat.node.poll_change().map(|change| change.prefix));
    }
    assert_eq!(reported.len(), 102);
}

#[test]
fn a_resync_is_not_lost_if_the_application_unsubscribes_and_subscribes_before_its_end() {
    let mut rig = Rig::server();
    let conn = rig.join(OURS);
    rig.subscribe(23);
    rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.changes();
    rig.seat.deaf = true;
    rig.command(Command::Resync(Vni(23))).unwrap();
    rig.unsubscribe(23);
    rig.subscribe(23);
    rig.seat.deaf = false;
    rig.feed(Input::Tick);
    assert_eq!(sorted(rig.changes()), [(true, route(1, 1)), (true, route(2, 1))]);
}

#[test]
fn a_node_that_shuts_down_reports_no_changes_meanwhile() {
    let mut rig = Rig::server();
    rig.subscribe(23);
    let alice = rig.join(OURS);
    rig.say(alice, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.announce(route(2, 1));
    rig.add_peer("server:4711");
    let (server, _) = rig.reach(OUR_SERVER);
    rig.changes();

    rig.command(Command::Shutdown { cleanup: true }).unwrap();
    rig.advance(std::time::Duration::from_millis(100));
    assert!(!rig.terminated, "the server has not confirmed the withdrawals");
    assert_eq!(rig.changes(), []);

    // The second command does not wait for the server.
    rig.command(Command::Shutdown { cleanup: false }).unwrap();
    assert!(rig.terminated);
    assert!(rig.closed.contains_key(&server));
}

#[test]
fn an_applications_requests_have_limits_and_removals_make_room() {
    let config = Config { peers_max: 1, subscriptions_max: 2, announcements_max: 2, ..Config::default() };
    let mut rig = Rig::client(config);
    // The watcher does not know limits.
    rig.seat.is_watched = false;
    let mut ask = |command| rig.command(command);
    let limit = |limit| Err(CommandError::Limit(limit));
    let [done, no_change] = [true, false].map(|is_changed| Ok(Reply::Changed(is_changed)));

    assert_eq!(ask(Command::AddPeer { endpoint: "another:4711".into() }), limit(Limit::Peers));
    let vnis = [1, 2, 3].map(Vni);
    assert_eq!(vnis.map(|vni| ask(Command::Subscribe(vni))), [done, done, limit(Limit::Subscriptions)]);
    assert_eq!(ask(Command::Subscribe(vnis[1])), no_change);
    let routes = [route(1, 1), route(2, 1), route_in(24, 1, 1)];
    assert_eq!(routes.map(|route| ask(Command::Announce(route))), [done, done, limit(Limit::Announcements)]);
    assert_eq!(ask(Command::Announce(routes[1])), no_change);

    assert_eq!(ask(Command::Unsubscribe(vnis[0])), done);
    assert_eq!(ask(Command::Withdraw(routes[0])), done);
    assert_eq!(ask(Command::RemovePeer(PeerId(0))), done);
    assert_eq!(ask(Command::Unsubscribe(vnis[0])), no_change);
    assert_eq!(ask(Command::Withdraw(routes[0])), no_change);
    assert_eq!(ask(Command::RemovePeer(PeerId(0))), no_change);
    assert_eq!(ask(Command::Subscribe(vnis[2])), done);
    assert_eq!(ask(Command::Announce(routes[2])), done);
    assert_eq!(ask(Command::AddPeer { endpoint: "another:4711".into() }), Ok(Reply::Peer(PeerId(1))));
}

#[test]
fn routes_can_be_looked_up_by_destination_and_by_announcer() {
    let mut rig = Rig::server();
    let [alice, bob] = [rig.join(OURS), rig.join(OURS)];
    rig.say(alice, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.say(bob, &[Msg::Add(route(1, 1)), Msg::Add(route(1, 2))]);
    rig.announce(route(1, 3));

    let node = &rig.seat.node;
    let destination = |n, hypervisors: &[u16]| Destination {
        prefix: route(n, 0).prefix,
        next_hops: hypervisors.iter().map(|h| route(n, *h).next_hop).collect(),
    };
    assert!(node.destinations(Vni(23)).eq([destination(1, &[1, 2, 3]), destination(2, &[1])]));
    assert!(node.next_hops(Vni(23), &route(2, 0).prefix).eq([route(2, 1).next_hop]));
    assert_eq!(node.next_hops(Vni(24), &route(2, 0).prefix).count(), 0);
    assert!(node.announcers(&route(1, 1)).eq([Announcer::Conn(alice), Announcer::Conn(bob)]));
    assert!(node.announcers(&route(1, 3)).eq([Announcer::Local]));
    assert!(node.announced_by(Announcer::Conn(bob)).eq([route(1, 1), route(1, 2)]));
    assert!(node.announced_by(Announcer::Local).eq([route(1, 3)]));
}

#[test]
fn a_server_is_an_announcer_over_all_its_sessions_and_a_client_that_left_is_departed() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1))]);
    rig.end(conn, metalbond::TransportEnd::Reset);
    assert!(rig.seat.node.announcers(&route(1, 1)).eq([Announcer::Peer(PeerId(0))]));
    assert!(rig.seat.node.announced_by(Announcer::Peer(PeerId(0))).eq([route(1, 1)]));
    assert_eq!(rig.seat.node.announced_by(Announcer::Conn(conn)).count(), 0);

    let mut rig = Rig::server();
    let alice = rig.join(crate::sim::wire::Hello { restart_time: 10, ..OURS });
    rig.say(alice, &[Msg::Add(route(1, 1))]);
    rig.end(alice, metalbond::TransportEnd::Reset);
    assert!(rig.seat.node.announcers(&route(1, 1)).eq([Announcer::Departed]));
}

/// Takes all changes so far.
fn changes(rig: &Rig) -> Vec<RouteChange> {
    let iterations = rig.seat.recording.events.iter().filter_map(|event| match event {
        Event::Iteration { changes, .. } => Some(changes.clone()),
        Event::Input(..) => None,
    });
    iterations.flatten().collect()
}
