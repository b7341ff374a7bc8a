//! A node that listens and dials servers itself: what it passes on of their routes to its own peers, and for how long.

use std::time::Duration;

use crate::sim::act::run;
use crate::sim::host::Kind;
use crate::sim::model::Routes;
use crate::sim::ops::Op::*;
use crate::sim::rig::{LEGACY_SERVER, OUR_SERVER, OURS, Rig, route};
use crate::sim::wire::{Hello, Msg};
use crate::sim::world::Setup;
use metalbond::{Config, ConnId, TransportEnd, Vni};

const VNI: Vni = Vni(23);

#[test]
fn a_route_of_a_dialled_server_is_passed_on_to_clients_until_the_server_withdraws_it() {
    let (mut rig, server, client) = node_between(OUR_SERVER);
    assert_eq!(rig.heard_routes(client), [Msg::Add(route(1, 1))]);
    rig.say(server, &[Msg::Add(route(2, 1)), Msg::Remove(route(1, 1))]);
    assert_eq!(rig.heard_routes(client), [Msg::Add(route(2, 1)), Msg::Remove(route(1, 1))]);
}

#[test]
fn a_route_of_a_dialled_server_is_passed_on_to_no_server() {
    let (mut rig, server, _) = node_between(OUR_SERVER);
    rig.add_peer("s1");
    let (second, _) = rig.reach(OUR_SERVER);
    let accepted = rig.join(OUR_SERVER);
    rig.say(accepted, &[Msg::Subscribe(VNI), Msg::Keepalive]);
    rig.say(server, &[Msg::Add(route(2, 1))]);
    assert_eq!(rig.heard(accepted), [Msg::Keepalive]);
    assert_eq!(rig.heard_routes(second), []);
    assert_eq!(rig.heard_routes(server), []);
}

#[test]
fn routes_of_clients_and_of_accepted_servers_are_not_sent_to_a_dialled_server() {
    let (mut rig, server, client) = node_between(OUR_SERVER);
    let accepted = rig.join(OUR_SERVER);
    rig.say(client, &[Msg::Add(route(2, 2))]);
    rig.say(accepted, &[Msg::Add(route(3, 3))]);
    rig.announce(route(4, 4));
    assert_eq!(rig.heard_routes(server), [Msg::Add(route(4, 4))]);
}

#[test]
fn clients_keep_the_routes_of_a_lost_server_for_the_stale_time() {
    let (mut rig, server, client) = node_between(OUR_SERVER);
    rig.heard(client);
    rig.end(server, TransportEnd::Reset);
    rig.live(59, &[client]);
    assert_eq!(rig.heard_routes(client), []);
    rig.live(1, &[client]);
    assert_eq!(rig.heard_routes(client), [Msg::Remove(route(1, 1))]);
}

#[test]
fn clients_lose_what_a_server_does_not_announce_again_at_its_end_of_rib() {
    let (mut rig, server, client) = node_between(OUR_SERVER);
    rig.say(server, &[Msg::Add(route(2, 1))]);
    rig.end(server, TransportEnd::Eof);
    rig.heard(client);
    rig.await_dial();
    let (again, _) = rig.reach(OUR_SERVER);
    rig.say(again, &[Msg::Add(route(2, 1))]);
    assert_eq!(rig.heard_routes(client), []);
    rig.say(again, &[Msg::Keepalive]);
    assert_eq!(rig.heard_routes(client), [Msg::Remove(route(1, 1))]);
}

#[test]
fn a_route_of_two_servers_stays_with_clients_while_one_of_them_has_it() {
    let (mut rig, first, client) = node_between(OUR_SERVER);
    let second = second_server(&mut rig);
    rig.heard(client);
    rig.say(first, &[Msg::Remove(route(1, 1))]);
    assert_eq!(rig.heard_routes(client), []);
    rig.say(second, &[Msg::Remove(route(1, 1))]);
    assert_eq!(rig.heard_routes(client), [Msg::Remove(route(1, 1))]);
}

#[test]
fn a_stale_route_goes_from_clients_when_another_server_withdraws_it() {
    let (mut rig, first, client) = node_between(OUR_SERVER);
    let second = second_server(&mut rig);
    rig.heard(client);
    rig.end(first, TransportEnd::Reset);
    assert_eq!(rig.heard_routes(client), []);
    rig.say(second, &[Msg::Remove(route(1, 1))]);
    assert_eq!(rig.heard_routes(client), [Msg::Remove(route(1, 1))]);
}

#[test]
fn an_unsubscription_of_the_application_takes_the_routes_of_dialled_servers_from_clients() {
    let (mut rig, _, client) = node_between(OUR_SERVER);
    let other = rig.join_from("2001:db8::3".parse().unwrap(), OURS);
    rig.say(other, &[Msg::Add(route(2, 2))]);
    rig.heard(client);
    rig.unsubscribe(23);
    assert_eq!(rig.heard_routes(client), [Msg::Remove(route(1, 1))]);
    assert_eq!(rig.table(23), Routes::from([route(2, 2)]));
}

/// UNSUBSCRIBE would withdraw what the node announces, so the node stays subscribed, and its clients keep the routes.
#[test]
fn a_vni_that_the_node_cannot_leave_at_a_legacy_server_is_still_passed_on_to_clients() {
    let (mut rig, server, client) = node_between(LEGACY_SERVER);
    rig.announce(route(9, 9));
    rig.heard(client);
    rig.unsubscribe(23);
    assert_eq!(rig.changes().last(), Some(&(false, route(1, 1))));
    rig.say(server, &[Msg::Add(route(2, 1)), Msg::Remove(route(1, 1))]);
    assert_eq!(rig.heard_routes(client), [Msg::Add(route(2, 1)), Msg::Remove(route(1, 1))]);
    assert_eq!(rig.learned(23), Routes::new());
    rig.end(server, TransportEnd::Eof);
    rig.live(59, &[client]);
    assert_eq!(rig.heard_routes(client), []);
    rig.live(1, &[client]);
    assert_eq!(rig.heard_routes(client), [Msg::Remove(route(2, 1))]);
}

/// The other server's route arrives in the session that this node dialled, and in the one that the other one dialled.
#[test]
fn a_route_of_a_server_that_dials_this_one_too_goes_when_both_sessions_have_withdrawn_it() {
    for first in [true, false] {
        let (mut rig, dialled, client) = node_between(OUR_SERVER);
        let accepted = rig.join(OUR_SERVER);
        rig.say(accepted, &[Msg::Subscribe(VNI), Msg::Add(route(1, 1))]);
        rig.heard(client);
        let (one, two) = if first { (dialled, accepted) } else { (accepted, dialled) };
        rig.say(one, &[Msg::Remove(route(1, 1))]);
        assert_eq!(rig.heard_routes(client), []);
        assert_eq!(rig.learned(23), Routes::from([route(1, 1)]));
        rig.say(two, &[Msg::Remove(route(1, 1))]);
        assert_eq!(rig.heard_routes(client), [Msg::Remove(route(1, 1))]);
        assert_eq!(rig.learned(23), Routes::new());
        assert_eq!(rig.heard_routes(accepted), []);
    }
}

#[test]
fn the_hello_to_a_dialled_server_says_whether_the_node_listens() {
    for listens in [true, false] {
        let mut rig = if listens { Rig::server() } else { Rig::new(Config::default()) };
        rig.add_peer("s0");
        let server = rig.connect();
        assert!(matches!(rig.heard(server)[..], [Msg::Hello(Hello { is_server, .. })] if is_server == listens));
    }
}

/// Each node is checked against the messages that it receives. At rest, the world is also compared with what all
/// applications announce, so a HELLO that is wrong for both ends is noticed.
#[test]
fn three_servers_that_dial_each_other_have_the_routes_of_each_others_applications_and_clients_once() {
    let setup = Setup {
        servers: 3,
        clients: [Kind::Client, Kind::Listening, Kind::Legacy, Kind::Client],
        pacing: false,
        prompt: false,
        seed: 0,
    };
    let dials = (0..3).flat_map(|s| [Dial(s, 0, true), Dial(s, 1, true), Subscribe(s, 0)]);
    let announcements = (0..7).flat_map(|host| [Announce(host, 0, host % 3, host), Subscribe(host, 0)]);
    // One client is a client of one server only.
    let rest = [RemovePeer(0, 0), RemovePeer(0, 1), Advance(5), Rest, Kill(0), Withdraw(1, 0, 1, 1), Rest];
    run(setup, &dials.chain(announcements).chain(rest).collect::<Vec<_>>());
}

/// Returns a node that is subscribed to a VNI, with a session with a server that announces a route in it, and a client
/// that is subscribed to it.
fn node_between(hello: Hello) -> (Rig, ConnId, ConnId) {
    let mut rig = Rig::server();
    rig.subscribe(23);
    rig.add_peer("s0");
    let (server, heard) = rig.reach(hello);
    assert!(heard.contains(&Msg::Subscribe(VNI)));
    rig.say(server, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    let client = rig.join(OURS);
    rig.say(client, &[Msg::Subscribe(VNI)]);
    (rig, server, client)
}

/// Adds a second server, which announces the same route.
fn second_server(rig: &mut Rig) -> ConnId {
    rig.add_peer("s1");
    let (second, _) = rig.reach(OUR_SERVER);
    rig.say(second, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    rig.advance(Duration::from_millis(10));
    second
}
