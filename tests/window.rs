//! Flow control towards clients without `ordered` by their TCP window: such a client loses its session when 65,535 bytes wait unread.

use std::time::Duration;

use metalbond::{CloseReason, Config, ConnId, Input, Pacing, Vni};
use proptest::prelude::*;

use crate::sim::rig::{LEGACY, OURS, Rig, route_in};
use crate::sim::window::Reader;
use crate::sim::wire::Msg;

/// A client of the reference has a buffer of 65,535 bytes. The bound leaves a margin.
const UNREAD_MAX: u64 = 56 * 1024;
const VNI: u32 = 23;
/// Longer than the readers of these tests stop.
const SEND_HOLD: Duration = Duration::from_secs(300);

/// A server with this many routes, and a client of the reference that is about to subscribe, reading at this rate.
fn scene(routes: usize, reader: impl FnOnce(Duration) -> Reader) -> (Rig, ConnId, ConnId) {
    scene_with(Config { send_hold_time: SEND_HOLD, ..Config::default() }, routes, reader)
}

fn scene_with(config: Config, routes: usize, reader: impl FnOnce(Duration) -> Reader) -> (Rig, ConnId, ConnId) {
    let mut rig = Rig::server_with(config);
    rig.seat.is_watched = false;
    let announcer = rig.join(OURS);
    let msgs: Vec<_> = (0..routes).map(|n| Msg::Add(route_in(VNI, (n % 250) as u8, (n / 250 + 1) as u16))).collect();
    msgs.chunks(500).for_each(|msgs| rig.say(announcer, msgs));
    let reader = reader(rig.now);
    let legacy = rig.join_reading(LEGACY, reader);
    (rig, announcer, legacy)
}

/// Lets time pass in steps of 10 ms until the client has read all routes. Returns how long it took.
fn finish(rig: &mut Rig, peers: [ConnId; 2], routes: usize, limit: Duration) -> Duration {
    let start = rig.now;
    let mut heard = 0;
    let mut beat = rig.now;
    while rig.now < start + limit {
        rig.advance(Duration::from_millis(10));
        if rig.now >= beat {
            beat += Duration::from_secs(2);
            peers.iter().for_each(|conn| rig.say(*conn, &[Msg::Keepalive]));
        }
        heard += rig.heard_routes(peers[1]).len();
        let now = rig.now;
        if heard == routes && rig.reader(peers[1]).has_read_all(now) {
            return now - start;
        }
    }
    panic!("{heard} of {routes} routes in {limit:?}, {:?}", rig.reader(peers[1]));
}

#[test]
fn a_fast_client_of_the_reference_gets_its_routes_fast() {
    let (mut rig, announcer, legacy) = scene(5000, |now| Reader::new(65_536, 0, now));
    rig.reader(legacy).set_rate(20_000_000, Duration::ZERO);
    rig.say(legacy, &[Msg::Subscribe(Vni(VNI))]);
    let took = finish(&mut rig, [announcer, legacy], 5000, Duration::from_secs(10));
    assert!(took <= Duration::from_millis(500), "{took:?}");
    assert!(rig.reader(legacy).unread_max <= UNREAD_MAX);
}

#[test]
fn a_client_of_the_reference_that_stops_is_sent_nothing_more_and_gets_the_rest_later() {
    let (mut rig, announcer, legacy) = scene(5000, |now| Reader::new(65_536, 16_384, now));
    rig.say(legacy, &[Msg::Subscribe(Vni(VNI))]);
    for _ in 0..100 {
        rig.advance_secs(1);
        rig.say(announcer, &[Msg::Keepalive]);
        rig.say(legacy, &[Msg::Keepalive]);
    }
    let now = rig.now;
    assert!(rig.reader(legacy).unread_max <= UNREAD_MAX, "{:?}", rig.reader(legacy));
    rig.reader(legacy).set_rate(46_000, now);
    finish(&mut rig, [announcer, legacy], 5000, Duration::from_secs(60));
    assert!(rig.reader(legacy).unread_max <= UNREAD_MAX, "{:?}", rig.reader(legacy));
}

#[test]
fn a_client_of_the_reference_that_reads_nothing_for_the_send_hold_time_is_closed() {
    let (mut rig, announcer, legacy) = scene_with(Config::default(), 5000, |now| Reader::new(65_536, 16_384, now));
    rig.say(legacy, &[Msg::Subscribe(Vni(VNI))]);
    let send_hold = Config::default().send_hold_time;
    let begun = rig.now;
    while rig.is_open(legacy) {
        rig.advance_secs(1);
        rig.say(announcer, &[Msg::Keepalive]);
        rig.say(legacy, &[Msg::Keepalive]);
        assert!(rig.now - begun < send_hold * 9 / 8 + Duration::from_secs(2), "{:?}", rig.now - begun);
    }
    assert!(rig.now - begun >= send_hold, "{:?}", rig.now - begun);
    assert!(matches!(rig.reason(legacy), Some(CloseReason::NotReading(_))), "{:?}", rig.reason(legacy));
    assert!(rig.is_open(announcer));
}

#[test]
fn a_slow_client_of_the_reference_is_never_idle_and_never_full() {
    // 3 ms, 0.5 ms and 0.2 ms a route.
    for rate in [16_000, 92_000, 230_000] {
        let (mut rig, announcer, legacy) = scene(2000, |now| Reader::new(65_536, 8192, now));
        let now = rig.now;
        rig.reader(legacy).set_rate(rate, now);
        rig.say(legacy, &[Msg::Subscribe(Vni(VNI))]);
        let took = finish(&mut rig, [announcer, legacy], 2000, Duration::from_secs(30));
        let least = 2000. * 46. / rate as f64;
        assert!(took.as_secs_f64() < least * 1.2 + 0.2, "{took:?} at {rate} bytes/s, {least} s at least");
        assert!(rig.reader(legacy).unread_max <= UNREAD_MAX, "{:?}", rig.reader(legacy));
    }
}

#[test]
fn a_window_that_stays_smaller_does_not_stop_a_client_that_reads() {
    let (mut rig, announcer, legacy) = scene(5000, |now| Reader::new(65_536, 0, now));
    let now = rig.now;
    rig.reader(legacy).set_rate(1_000_000, now);
    rig.reader(legacy).shrink(40_000);
    rig.say(legacy, &[Msg::Subscribe(Vni(VNI))]);
    finish(&mut rig, [announcer, legacy], 5000, Duration::from_secs(130));
}

/// The pace keeps routes waiting for longer than the send hold time, with a window that is always a little smaller than the largest.
#[test]
fn a_client_that_reads_is_not_closed_because_its_window_stays_smaller() {
    let config = Config { pacing: Some(Pacing::per_second(2000)), ..Config::default() };
    assert!(5000 * 40 / 2000 > config.send_hold_time.as_secs());
    let (mut rig, announcer, legacy) = scene_with(config, 5000, |now| Reader::new(65_536, 0, now));
    let now = rig.now;
    rig.reader(legacy).set_rate(1_000_000, now);
    rig.reader(legacy).shrink(7000);
    rig.say(legacy, &[Msg::Subscribe(Vni(VNI))]);
    finish(&mut rig, [announcer, legacy], 5000, Duration::from_secs(200));
    assert!(rig.is_open(legacy));
}

#[test]
fn a_client_whose_window_is_not_measured_any_more_gets_its_routes_at_the_slow_pace() {
    let (mut rig, announcer, legacy) = scene(5000, |now| Reader::new(65_536, 0, now));
    let now = rig.now;
    rig.reader(legacy).set_rate(1_000_000, now);
    rig.say(legacy, &[Msg::Subscribe(Vni(VNI))]);
    rig.forget_reader(legacy);
    let mut heard = 0;
    let start = rig.now;
    while heard < 5000 {
        rig.advance(Duration::from_millis(100));
        heard += rig.heard_routes(legacy).len();
        assert!(rig.now < start + Duration::from_secs(3), "{heard} routes");
    }
    let least = 5000 * 40 / Pacing::SLOW;
    assert!(rig.now - start >= Duration::from_secs(least.into()), "{:?}", rig.now - start);
    rig.say(announcer, &[Msg::Keepalive]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn a_client_of_the_reference_reads_everything_and_is_never_full_however_it_reads(
        hidden in 0..16_384u64,
        capacity in 20_000..400_000u64,
        steps in proptest::collection::vec((prop_oneof![Just(0), 10_000..200_000u64, Just(50_000_000)], 0..3000u64), 1..20),
    ) {
        let (mut rig, announcer, legacy) = scene(4000, |now| Reader::new(capacity, hidden, now));
        rig.say(legacy, &[Msg::Subscribe(Vni(VNI))]);
        for (rate, millis) in steps {
            let now = rig.now;
            rig.reader(legacy).set_rate(rate, now);
            rig.advance(Duration::from_millis(millis));
            rig.say(legacy, &[Msg::Keepalive]);
            rig.say(announcer, &[Msg::Keepalive]);
        }
        let now = rig.now;
        rig.reader(legacy).set_rate(1_000_000, now);
        finish(&mut rig, [announcer, legacy], 4000, Duration::from_secs(30));
        prop_assert!(rig.reader(legacy).unread_max <= UNREAD_MAX, "{:?}", rig.reader(legacy));
    }

    #[test]
    fn whatever_is_measured_no_more_is_sent_than_the_limits_permit(
        answers in proptest::collection::vec((any::<u32>(), prop_oneof![Just(0), any::<u32>()], 0..100u64), 1..100),
    ) {
        let (mut rig, _, legacy) = scene(5000, |now| Reader::new(65_536, 0, now));
        rig.forget_reader(legacy);
        rig.say(legacy, &[Msg::Subscribe(Vni(VNI))]);
        rig.heard(legacy);
        for (window, unacknowledged, millis) in answers {
            rig.feed(Input::Window { conn: legacy, window, unacknowledged });
            rig.advance(Duration::from_millis(millis));
            let bytes = rig.heard_bytes(legacy).len() as u64;
            // What a measurement permits; if no other comes for a while, the slow pace.
            let slow = 9000 + u64::from(Pacing::SLOW) * millis / 1000;
            prop_assert!(bytes <= 12_288 + slow + 100, "{bytes} bytes in {millis} ms");
        }
    }
}
