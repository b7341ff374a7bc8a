//! What a node reports about itself: counters, lag, times and tables match what happened.

use std::sync::Arc;
use std::time::Duration;

use crate::sim::rig::{LEGACY, NO_RESTART_TIME, OURS, Rig, route};
use crate::sim::wire::Msg;
use metalbond::{Announcer, ConnId, Input, MessageCounts, PeerName, SessionInfo, SessionState, TransportEnd, Vni};

const VNI: Vni = Vni(23);

#[test]
fn messages_are_counted_by_type_in_both_directions() {
    let mut rig = Rig::server();
    // These peers announce and subscribe, so that bytes that are encoded once are split for each of them. One needs
    // other pieces.
    let conns = [rig.join(OURS), rig.join(OURS), rig.join(OURS), rig.join(LEGACY)];
    let mut heard = [MessageCounts::default(); 4];
    for count in &mut heard {
        (count.hello, count.keepalive) = (1, 1);
    }
    let mut said = heard;
    for n in 0..200u8 {
        let who = usize::from(n) % 4;
        let msg = match n {
            0..4 => Msg::Subscribe(VNI),
            100..104 => Msg::Unsubscribe(Vni(7)),
            150 | 155 => Msg::Keepalive,
            40 | 80 => Msg::Unknown(0xfe),
            _ if n % 3 == 0 => Msg::Remove(route(n % 16, who as u16)),
            _ => Msg::Add(route(n % 16, who as u16)),
        };
        count(&mut said[who], &msg);
        rig.say(conns[who], &[msg]);
        for (conn, heard) in conns.iter().zip(&mut heard) {
            rig.heard(*conn).iter().for_each(|msg| count(heard, msg));
        }
    }
    for (n, conn) in conns.iter().enumerate() {
        let counters = session(&rig, *conn).counters;
        assert_eq!(counters.messages_in, said[n], "{conn}");
        assert_eq!(counters.messages_out, heard[n], "{conn}");
        assert!(heard[n].update > 10, "{heard:?}");
    }
}

#[test]
fn counts_of_a_connection_stay_after_its_end() {
    let mut rig = Rig::server();
    let conn = rig.join(OURS);
    rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    let before = rig.seat.node.counters();
    assert_eq!((before.messages_in.update, before.bytes_in), (2, session(&rig, conn).counters.bytes_in));
    rig.end(conn, TransportEnd::Eof);
    assert_eq!(rig.seat.node.counters(), before);
    let other = rig.join(OURS);
    rig.say(other, &[Msg::Add(route(1, 1))]);
    assert_eq!(rig.seat.node.counters().messages_in.update, 3);
}

#[test]
fn a_subscriber_that_does_not_read_lags_by_the_changes_that_it_was_not_sent() {
    let mut rig = Rig::server();
    let (announcer, slow) = (rig.join(OURS), rig.join(OURS));
    rig.say(slow, &[Msg::Subscribe(VNI)]);
    rig.say(announcer, &[Msg::Add(route(0, 1))]);
    assert_eq!(rig.seat.node.lag(slow), 0);
    rig.stall(slow);
    for n in 1..=30 {
        rig.say(announcer, &[Msg::Add(route(n, 1))]);
    }
    // The first route was handed out before the peer stopped reading.
    assert_eq!(rig.seat.node.lag(slow), 29);
    assert_eq!(rig.seat.node.lag(announcer), 0);
    let observed = rig.seat.node.convergence().count();
    rig.advance_secs(3);
    rig.resume(slow);
    assert_eq!(rig.seat.node.lag(slow), 0);
    let convergence = rig.seat.node.convergence();
    assert_eq!((convergence.count() - observed, convergence.sum()), (1, Duration::from_secs(3)));
}

#[test]
fn a_session_has_its_start_and_the_time_of_its_last_byte() {
    let mut rig = Rig::server();
    let conn = rig.accept();
    assert_eq!(session(&rig, conn).keepalive, None);
    rig.advance_secs(2);
    rig.say(conn, &[Msg::Hello(OURS), Msg::Keepalive]);
    let established = rig.seat.node.now();
    rig.advance_secs(3);
    rig.say(conn, &[Msg::Keepalive]);
    let SessionInfo { state, since, last_received, keepalive, .. } = session(&rig, conn);
    assert_eq!((state, since, keepalive), (SessionState::Established, established, Some(Duration::from_secs(5))));
    assert_eq!(last_received, established + Duration::from_secs(3));
}

#[test]
fn a_session_has_the_names_that_its_certificate_proves() {
    let mut rig = Rig::server();
    let (plain, secured) = (rig.join(OURS), rig.accept());
    let names: Arc<[PeerName]> = ["dns:h1.example.org".parse().unwrap()].into();
    rig.feed(Input::Identified { conn: secured, names: names.clone() });
    assert_eq!((session(&rig, plain).names, session(&rig, secured).names), (None, Some(names)));
}

#[test]
fn tables_of_the_same_routes_have_the_same_digest_in_whatever_order_they_arrived() {
    let (mut one, mut other) = (Rig::server(), Rig::server());
    let (a, b, c) = (one.join(NO_RESTART_TIME), one.join(NO_RESTART_TIME), other.join(NO_RESTART_TIME));
    for n in 0..50 {
        one.say(if n % 2 == 0 { a } else { b }, &[Msg::Add(route(n, 1))]);
        other.say(c, &[Msg::Add(route(49 - n, 1))]);
    }
    one.say(b, &[Msg::Add(route(0, 1)), Msg::Add(route(99, 1)), Msg::Remove(route(99, 1))]);
    let digest = |rig: &Rig| rig.seat.node.table(VNI).map(|table| (table.routes, table.digest));
    assert_eq!(digest(&one), digest(&other));
    other.say(c, &[Msg::Remove(route(7, 1))]);
    assert_ne!(digest(&one).unwrap().1, digest(&other).unwrap().1);
    one.say(b, &[Msg::Remove(route(7, 1))]);
    assert_eq!(digest(&one), digest(&other));
    let infos: Vec<_> = one.seat.node.tables(0).map(|(_, info)| info).collect();
    assert_eq!(infos, [one.seat.node.table(VNI).unwrap()]);
    one.end(a, TransportEnd::Eof);
    one.end(b, TransportEnd::Eof);
    one.advance_secs(1);
    assert_eq!(digest(&one), None);
}

#[test]
fn a_departed_clients_routes_belong_to_no_session() {
    let mut rig = Rig::server();
    let conn = rig.join(OURS);
    rig.say(conn, &[Msg::Add(route(1, 1))]);
    let announcers = |rig: &Rig| rig.seat.node.announcers(&route(1, 1)).collect::<Vec<_>>();
    assert_eq!(announcers(&rig), [Announcer::Conn(conn)]);
    rig.end(conn, TransportEnd::Eof);
    assert_eq!(announcers(&rig), [Announcer::Departed]);
    let back = rig.join(OURS);
    rig.say(back, &[Msg::Add(route(1, 1))]);
    assert_eq!(announcers(&rig), [Announcer::Conn(back)]);
}

fn count(counts: &mut MessageCounts, msg: &Msg) {
    match msg {
        Msg::Hello(_) => counts.hello += 1,
        Msg::Keepalive => counts.keepalive += 1,
        Msg::Subscribe(_) => counts.subscribe += 1,
        Msg::Unsubscribe(_) => counts.unsubscribe += 1,
        Msg::Add(_) | Msg::Remove(_) => counts.update += 1,
        Msg::Unknown(_) => counts.unknown += 1,
    }
}

fn session(rig: &Rig, conn: ConnId) -> SessionInfo {
    rig.seat.node.sessions().find(|session| session.conn == conn).expect("the session exists")
}
