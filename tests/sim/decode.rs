//! A world's setup and operations as bytes, and back: a fuzzer changes these bytes and stores them in its corpus. Every
//! list of bytes is a case. The corpus depends on the codes: they never change, and new ones are added at the end.

use super::host::Kind;
use super::ops::{self, CHUNKINGS, CUTS, Op, Way};
use super::world::Setup;

/// Length of a setup in bytes: flags, the clients' kinds, the seed.
pub(crate) const SETUP_LEN: usize = 13;
/// Length of an operation in bytes: its code and its numbers.
pub(crate) const OP_LEN: usize = 5;

const KINDS: [Kind; 6] = [Kind::Client, Kind::NoHold, Kind::Quick, Kind::Listening, Kind::Legacy, Kind::Pipelining];
const WAYS: [Way; 3] = [Way::Both, Way::In, Way::Out];
const PACING: u8 = 1 << 6;
const PROMPT: u8 = 1 << 7;

/// Decodes a case. Missing bytes of a setup are zero; an incomplete operation is left out.
pub(crate) fn decode(bytes: &[u8]) -> (Setup, Vec<Op>) {
    let (head, rest) = bytes.split_at(bytes.len().min(SETUP_LEN));
    let mut setup = [0; SETUP_LEN];
    setup[..head.len()].copy_from_slice(head);
    let [flags, a, b, c, d, seed @ ..] = setup;
    let prompt = flags & PROMPT != 0;
    let setup = Setup {
        servers: 1 + usize::from(flags & 0x3f) % 3,
        clients: [a, b, c, d].map(|n| KINDS[usize::from(n) % KINDS.len()]),
        // A paced peer does not keep up, but in a perfect network every peer does.
        pacing: flags & PACING != 0 && !prompt,
        prompt,
        seed: u64::from_le_bytes(seed),
    };
    (setup, rest.as_chunks().0.iter().map(|op| decode_op(*op)).collect())
}

/// Returns the bytes of a case.
pub(crate) fn encode(setup: &Setup, ops: &[Op]) -> Vec<u8> {
    let pacing = if setup.pacing { PACING } else { 0 };
    let prompt = if setup.prompt { PROMPT } else { 0 };
    let mut out = vec![(setup.servers as u8 - 1) | pacing | prompt];
    out.extend(setup.clients.map(|kind| place(&KINDS, kind)));
    out.extend(setup.seed.to_le_bytes());
    out.extend(ops.iter().flat_map(|op| encode_op(*op)));
    out
}

fn decode_op([code, a, b, c, d]: [u8; OP_LEN]) -> Op {
    let on = c & 1 != 0;
    match code {
        0 => Op::Subscribe(a, b),
        1 => Op::Unsubscribe(a, b),
        2 => Op::Resync(a, b),
        3 => Op::Announce(a, b, c, d),
        4 => Op::Withdraw(a, b, c, d),
        5 => Op::Kill(a),
        6 => Op::Vanish(a),
        7 => Op::Start(a, on),
        8 => Op::CutLink(a, b, CUTS[usize::from(c) % CUTS.len()]),
        9 => Op::Heal(a, b),
        10 => Op::Latency(a, b, c),
        11 => Op::Chunks(a, b, ops::chunking(c)),
        12 => Op::Window(a, b, c),
        13 => Op::Advance(a),
        14 => Op::AddPeer(a, b),
        15 => Op::RemovePeer(a, b),
        16 => Op::ResetPeer(a, b),
        17 => Op::ResetConn(a, b),
        18 => Op::Pause(a),
        19 => Op::Resume(a),
        20 => Op::Deafen(a),
        21 => Op::Hear(a),
        22 => Op::Shutdown(a, on),
        23 => Op::Partition(a, way(b)),
        24 => Op::Reunite,
        25 => Op::Delays(a),
        26 => Op::Dribble(a, b, way(c)),
        27 => Op::Flow(a, b),
        28 => Op::Jump(a, b),
        29 => Op::Suspend(a),
        30 => Op::StopReading(a),
        31 => Op::ReadOn(a),
        32 => Op::Doom(a, b),
        33 => Op::Rest,
        34 => Op::Policy(a, b),
        35 => Op::Address(a, b),
        36 => Op::Names(a, b),
        37 => Op::Converge(a, b),
        38 => Op::Reference(a, on),
        39 => Op::Refuse(a, b),
        40 => Op::Dial(a, b, on),
        41 => Op::CutServers(a, b, CUTS[usize::from(c) % CUTS.len()]),
        42 => Op::LinkServers(a, b, c),
        // Codes that may be assigned later.
        _ => Op::Advance(a),
    }
}

/// Number of codes in use.
pub(crate) const CODES: u8 = 43;

fn encode_op(op: Op) -> [u8; OP_LEN] {
    match op {
        Op::Subscribe(a, b) => [0, a, b, 0, 0],
        Op::Unsubscribe(a, b) => [1, a, b, 0, 0],
        Op::Resync(a, b) => [2, a, b, 0, 0],
        Op::Announce(a, b, c, d) => [3, a, b, c, d],
        Op::Withdraw(a, b, c, d) => [4, a, b, c, d],
        Op::Kill(a) => [5, a, 0, 0, 0],
        Op::Vanish(a) => [6, a, 0, 0, 0],
        Op::Start(a, on) => [7, a, 0, on.into(), 0],
        Op::CutLink(a, b, cut) => [8, a, b, place(&CUTS, cut), 0],
        Op::Heal(a, b) => [9, a, b, 0, 0],
        Op::Latency(a, b, c) => [10, a, b, c, 0],
        Op::Chunks(a, b, chunking) => [11, a, b, place(&CHUNKINGS, chunking), 0],
        Op::Window(a, b, c) => [12, a, b, c, 0],
        Op::Advance(a) => [13, a, 0, 0, 0],
        Op::AddPeer(a, b) => [14, a, b, 0, 0],
        Op::RemovePeer(a, b) => [15, a, b, 0, 0],
        Op::ResetPeer(a, b) => [16, a, b, 0, 0],
        Op::ResetConn(a, b) => [17, a, b, 0, 0],
        Op::Pause(a) => [18, a, 0, 0, 0],
        Op::Resume(a) => [19, a, 0, 0, 0],
        Op::Deafen(a) => [20, a, 0, 0, 0],
        Op::Hear(a) => [21, a, 0, 0, 0],
        Op::Shutdown(a, on) => [22, a, 0, on.into(), 0],
        Op::Partition(a, way) => [23, a, place(&WAYS, way), 0, 0],
        Op::Reunite => [24, 0, 0, 0, 0],
        Op::Delays(a) => [25, a, 0, 0, 0],
        Op::Dribble(a, b, way) => [26, a, b, place(&WAYS, way), 0],
        Op::Flow(a, b) => [27, a, b, 0, 0],
        Op::Jump(a, b) => [28, a, b, 0, 0],
        Op::Suspend(a) => [29, a, 0, 0, 0],
        Op::StopReading(a) => [30, a, 0, 0, 0],
        Op::ReadOn(a) => [31, a, 0, 0, 0],
        Op::Doom(a, b) => [32, a, b, 0, 0],
        Op::Rest => [33, 0, 0, 0, 0],
        Op::Policy(a, b) => [34, a, b, 0, 0],
        Op::Address(a, b) => [35, a, b, 0, 0],
        Op::Names(a, b) => [36, a, b, 0, 0],
        Op::Converge(a, b) => [37, a, b, 0, 0],
        Op::Reference(a, on) => [38, a, 0, on.into(), 0],
        Op::Refuse(a, b) => [39, a, b, 0, 0],
        Op::Dial(a, b, on) => [40, a, b, on.into(), 0],
        Op::CutServers(a, b, cut) => [41, a, b, place(&CUTS, cut), 0],
        Op::LinkServers(a, b, n) => [42, a, b, n, 0],
    }
}

fn way(n: u8) -> Way {
    WAYS[usize::from(n) % WAYS.len()]
}

fn place<T: PartialEq>(all: &[T], one: T) -> u8 {
    all.iter().position(|other| *other == one).expect("a value of the domain") as u8
}
