//! A node with as many sessions as it accepts can be read in pieces: no call visits more sessions than one piece has.

use metalbond::{Command, Config, ConnId, Input, Instant, Limits, Node, SessionState};

const SESSIONS: usize = 65_536;
const PIECE: usize = 256;

#[test]
fn a_reader_visits_each_of_65536_sessions_once_in_pieces_and_counts_them_without_a_visit() {
    let limits = Limits {
        connections: SESSIONS,
        connections_per_address: SESSIONS,
        connections_per_second: SESSIONS as u32,
        ..Limits::default()
    };
    let mut node = Node::new(Config { limits, ..Config::default() }, Instant::EPOCH).unwrap();
    node.handle_input(Instant::EPOCH, Input::Command(Command::SetListening(true)));
    for n in 0..SESSIONS {
        let remote = std::net::SocketAddr::from(([192, 0, 2, 1], 1 + (n % 60_000) as u16));
        node.handle_input(Instant::EPOCH, Input::Accepted { conn: ConnId::accepted(n as u64), remote });
    }
    // HELLO of a client.
    let bytes = vec![1, 0, 2, 1, 8, 5].into();
    node.handle_input(Instant::EPOCH, Input::Received { conn: ConnId::accepted(7), bytes });

    let (mut last, mut seen, mut calls) = (None, 0, 0);
    loop {
        let piece: Vec<_> = node.sessions_after(last).take(PIECE).map(|session| session.conn).collect();
        calls += 1;
        let Some(end) = piece.last() else { break };
        assert!(piece.first() > last.as_ref(), "each session is visited once");
        (last, seen) = (Some(*end), seen + piece.len());
        // A session that has been visited ends in between.
        if calls == 3 {
            node.handle_input(Instant::EPOCH, Input::Command(Command::ResetConn(ConnId::accepted(1))));
        }
    }
    assert_eq!((seen, calls), (SESSIONS, SESSIONS / PIECE + 1));
    assert_eq!(node.peer_count(SessionState::Connecting), SESSIONS - 2);
    assert_eq!(node.peer_count(SessionState::HelloReceived), 1);
    assert_eq!(node.counters().bytes_in, 6);
    assert_eq!(node.session(ConnId::accepted(7)).unwrap().state, SessionState::HelloReceived);
    assert_eq!((node.session(ConnId::accepted(1)), node.lag(ConnId::accepted(1))), (None, 0));
}
