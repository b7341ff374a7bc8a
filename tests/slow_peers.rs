//! A peer that does not read costs little, delays no other peer, and has the right routes when it reads again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::sim::fold;
use crate::sim::rig::{LEGACY, OURS, Rig, route};
use crate::sim::wire::Msg;
use metalbond::{CloseReason, ConnId, Route, TransportEnd, Vni};
use proptest::prelude::*;

const VNI: Vni = Vni(23);

#[test]
fn a_peer_that_does_not_read_is_handed_one_transmit_and_then_nothing() {
    let mut rig = Rig::server();
    let (announcer, slow) = (rig.join(OURS), rig.join(OURS));
    rig.stall(slow);
    rig.say(slow, &[Msg::Subscribe(VNI), Msg::Keepalive]);
    let mut handed = rig.heard_bytes(slow).len();
    for n in 0..2000 {
        let r = route((n % 20) as u8, 1);
        rig.say(announcer, &[if n / 20 % 2 == 0 { Msg::Add(r) } else { Msg::Remove(r) }]);
        handed += rig.heard_bytes(slow).len();
    }
    assert!(handed < 65_536, "{handed} bytes");
    rig.resume(slow);
    assert!(rig.heard(slow).len() <= 2 * 20);
}

#[test]
fn a_peer_that_does_not_read_delays_no_other_peer() {
    let mut rig = Rig::server();
    let (announcer, slow, other) = (rig.join(OURS), rig.join(OURS), rig.join(LEGACY));
    for conn in [slow, other] {
        rig.say(conn, &[Msg::Subscribe(VNI)]);
    }
    rig.stall(slow);
    for n in 0..50 {
        rig.say(announcer, &[Msg::Add(route(n, 1))]);
        assert_eq!(rig.heard(other), [Msg::Add(route(n, 1))]);
    }
}

#[test]
fn a_peer_that_sends_and_does_not_read_stays_for_the_send_hold_time() {
    let mut rig = Rig::server();
    let (announcer, slow) = (rig.join(OURS), rig.join(OURS));
    rig.say(slow, &[Msg::Subscribe(VNI)]);
    rig.stall(slow);
    for n in 0..11 {
        rig.say(announcer, &[Msg::Add(route(n, 1))]);
        rig.live(5, &[announcer, slow]);
    }
    assert!(rig.is_open(slow));
    rig.resume(slow);
    let heard = rig.heard(slow);
    assert_eq!(heard.iter().filter(|m| **m == Msg::Keepalive).count(), 55, "each KEEPALIVE of the peer is answered");
    assert_eq!(fold(&heard), rig.table(23));

    rig.stall(slow);
    // The time starts with the first answer that the peer does not read.
    rig.live(1 + 59, &[announcer, slow]);
    assert!(rig.is_open(slow));
    rig.live(1, &[announcer, slow]);
    assert_eq!(rig.reason(slow), Some(CloseReason::NotReading(Duration::from_secs(60))));
    assert!(rig.is_open(announcer));
}

#[test]
fn a_subscriber_that_holds_back_too_many_removals_is_closed_as_too_slow() {
    let (mut rig, announcer, slow, other) = server_with_routes(20_000);
    rig.stall(slow);
    let mut removed = 0;
    // New routes are announced and withdrawn, one after the other, beside those that stay.
    for part in numbered(20_000..150_000).chunks(1000) {
        rig.say(announcer, &part.iter().copied().map(Msg::Add).collect::<Vec<_>>());
        rig.say(announcer, &part.iter().copied().map(Msg::Remove).collect::<Vec<_>>());
        removed += part.len();
        let is_closed = rig.closed.contains_key(&slow);
        assert!(!is_closed || removed > 20_000 + 65_536, "{removed} removals are not too many");
        // The node counts held-back removals only now and then, so an eighth more is possible.
        assert!(is_closed || removed <= (20_000 + 65_536) * 9 / 8 + 3000, "{removed} removals are held back");
    }
    assert_eq!(rig.reason(slow), Some(CloseReason::TooSlow));
    assert_eq!(fold(&rig.heard(other)).len(), 0, "all routes were announced and withdrawn");
    assert!(rig.is_open(other));
}

#[test]
fn no_subscriber_is_too_slow_for_a_large_table_that_is_withdrawn_at_once() {
    let (mut rig, announcer, slow, other) = server_with_routes(200_000);
    rig.stall(slow);
    rig.end(announcer, TransportEnd::TimedOut);
    assert!(rig.table(23).is_empty());
    assert!(rig.is_open(slow));
    rig.resume(slow);
    for conn in [slow, other] {
        assert_eq!(rig.heard(conn).len(), 200_000, "each removal is sent once");
    }
}

fn numbered(numbers: std::ops::Range<u32>) -> Vec<Route> {
    numbers.map(|n| route((n % 250) as u8, (n / 250) as u16)).collect()
}

/// Returns a server, an announcer of this many routes, and two subscribers that have been sent them.
fn server_with_routes(routes: u32) -> (Rig, ConnId, ConnId, ConnId) {
    let mut rig = Rig::server();
    rig.seat.is_watched = false;
    let (announcer, slow, other) = (rig.join(OURS), rig.join(OURS), rig.join(OURS));
    for conn in [slow, other] {
        rig.say(conn, &[Msg::Subscribe(VNI)]);
    }
    for part in numbered(0..routes).chunks(1000) {
        rig.say(announcer, &part.iter().copied().map(Msg::Add).collect::<Vec<_>>());
    }
    for conn in [slow, other] {
        assert_eq!(rig.heard(conn).len(), routes as usize);
    }
    (rig, announcer, slow, other)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Invariant *bound*.
    #[test]
    fn bound_however_many_updates_pass_a_resumed_reader_gets_two_messages_a_route_at_most(
        steps in proptest::collection::vec((any::<bool>(), 0..4u8, 0..3u16), 1..300),
        legacy in any::<bool>(),
        is_filled_first in any::<bool>(),
    ) {
        let mut rig = Rig::server();
        let (announcer, slow) = (rig.join(OURS), rig.join(if legacy { LEGACY } else { OURS }));
        let mut held = Vec::new();
        rig.say(slow, &[Msg::Subscribe(VNI)]);
        if is_filled_first {
            let all: Vec<_> = (0..4).flat_map(|n| (0..3).map(move |h| Msg::Add(route(n, h)))).collect();
            rig.say(announcer, &all);
        }
        held.extend(rig.heard(slow));
        rig.stall(slow);
        for (add, n, hypervisor) in steps {
            let r = route(n, hypervisor);
            rig.say(announcer, &[if add { Msg::Add(r) } else { Msg::Remove(r) }]);
        }
        held.extend(rig.heard(slow));
        rig.resume(slow);
        let after = rig.heard(slow);
        let mut counts = BTreeMap::new();
        for msg in &after {
            if let Msg::Add(r) | Msg::Remove(r) = msg {
                *counts.entry(*r).or_insert(0) += 1;
            }
        }
        prop_assert!(counts.values().all(|n| *n <= 2), "{:?}", after);
        held.extend(after);
        prop_assert_eq!(fold(&held), rig.table(23));
    }

    /// Syncs and catching up take several transmits here, with changes between any two of them.
    #[test]
    fn convergence_a_reader_that_is_fed_in_pieces_ends_with_the_table(
        steps in proptest::collection::vec((any::<bool>(), 0..3000_u16, 1..1500_u16, 0..4u8), 1..25),
        joins_late in any::<bool>(),
    ) {
        let mut rig = Rig::server();
        rig.seat.is_watched = false;
        let (announcer, second, slow) = (rig.join(OURS), rig.join(OURS), rig.join(OURS));
        let mut held = Vec::new();
        rig.stall(slow);
        if !joins_late {
            rig.say(slow, &[Msg::Subscribe(VNI)]);
        }
        for (n, (add, start, len, network)) in steps.iter().enumerate() {
            let who = if network % 2 == 0 { announcer } else { second };
            // Three next hops for each destination.
            let routes = (*start..start + len).map(|n| route((n / 3 % 250) as u8, n % 3 + n / 750 * 3));
            rig.say(who, &routes.map(|r| if *add { Msg::Add(r) } else { Msg::Remove(r) }).collect::<Vec<_>>());
            if joins_late && n == steps.len() / 2 {
                rig.say(slow, &[Msg::Subscribe(VNI)]);
            }
            if *network > 0 {
                rig.resume(slow);
                rig.stall(slow);
            }
            held.extend(rig.heard(slow));
        }
        rig.say(slow, &[Msg::Subscribe(VNI)]);
        rig.resume(slow);
        held.extend(rig.heard(slow));
        prop_assert!(fold(&held) == rig.table(23));
    }

    /// Invariant *no gap*.
    #[test]
    fn no_gap_while_a_destination_has_a_next_hop_a_capable_subscriber_never_sees_none(
        steps in proptest::collection::vec((0..2usize, any::<bool>(), 0..2u8, 0..3u16, 0..4u8), 1..150),
    ) {
        let mut rig = Rig::server();
        let announcers = [rig.join(OURS), rig.join(OURS)];
        let reader = rig.join(OURS);
        rig.say(reader, &[Msg::Subscribe(VNI)]);
        let mut held = crate::sim::model::Routes::new();
        let mut most = [0; 2];
        for (who, add, n, hypervisor, network) in steps {
            let r = route(n, hypervisor);
            let others = others_remain(&rig, announcers, announcers[who], &r);
            if add || others {
                rig.say(announcers[who], &[if add { Msg::Add(r) } else { Msg::Remove(r) }]);
            }
            match network {
                0 => rig.stall(reader),
                1 => rig.resume(reader),
                _ => {}
            }
            for msg in rig.heard(reader) {
                held = held.iter().copied().collect();
                match msg {
                    Msg::Add(r) => drop(held.insert(r)),
                    Msg::Remove(r) => drop(held.remove(&r)),
                    _ => {}
                }
                for n in 0..2 {
                    let now = held.iter().filter(|r| r.prefix == route(n, 0).prefix).count();
                    prop_assert!(now > 0 || most[usize::from(n)] == 0, "a gap in {}", route(n, 0).prefix);
                    most[usize::from(n)] = now.max(most[usize::from(n)]);
                }
            }
        }
    }
}

/// Returns true if the destination keeps a next hop when this announcer withdraws this route.
fn others_remain(rig: &Rig, announcers: [ConnId; 2], who: ConnId, route: &metalbond::Route) -> bool {
    let model = &rig.seat.watch.model;
    announcers.into_iter().any(|a| {
        let announced = model.announced(crate::sim::model::Who::Live(a));
        announced.iter().any(|r| r.prefix == route.prefix && !(a == who && r == route))
    })
}
