//! Mutations of test cases: whole operations are added, removed and moved. libFuzzer's own mutations would shift all
//! later operations by a byte. Only the fuzzer needs this; the corpus is replayed without it.

use crate::sim::decode::{CODES, OP_LEN, SETUP_LEN};
use crate::sim::rng::Rng;

/// A header of settings, followed by operations as bytes.
struct Case {
    head: Vec<u8>,
    ops: Vec<Vec<u8>>,
}

/// Mutates `data[..size]` for the target `world`. Returns the new size.
pub fn world(data: &mut [u8], size: usize, max: usize, seed: u32) -> usize {
    let head = data[..size.min(SETUP_LEN)].to_vec();
    let ops = data[head.len()..size].chunks(OP_LEN).map(<[u8]>::to_vec).collect();
    mutate(data, max, Case { head, ops }, seed, |rng| {
        // Subscribe, Announce, Withdraw, Advance: half of all operations.
        const COMMON: [u8; 6] = [0, 0, 3, 3, 4, 13];
        let code = if one_in(rng, 2) { COMMON[rng.up_to(COMMON.len()) - 1] } else { rng.up_to(CODES.into()) as u8 - 1 };
        let [a, b, c, d] = [6, 3, 6, 4].map(|n| rng.up_to(n) as u8 - 1);
        vec![code, if code == 13 { a + rng.up_to(3) as u8 - 1 } else { a }, b, c, d]
    })
}

/// Mutates `data[..size]` for the target `session`. Returns the new size.
pub fn session(data: &mut [u8], size: usize, max: usize, seed: u32) -> usize {
    let (head, ops) = crate::targets::session::pieces(&data[..size]);
    mutate(data, max, Case { head, ops }, seed, |rng| {
        // Say, Command, Advance, Join, Reach.
        const COMMON: [u8; 7] = [3, 3, 3, 12, 9, 19, 20];
        let code = if one_in(rng, 3) { rng.up_to(21) as u8 - 1 } else { COMMON[rng.up_to(COMMON.len()) - 1] };
        let goes_on = if one_in(rng, 4) { 0x80 } else { 0 };
        let [a, b, c] = [rng.next(), rng.next(), rng.next()].map(|n| n as u8);
        match code {
            4 | 5 => {
                let len = b % 24;
                let bytes = (0..len).map(|_| rng.next() as u8);
                [code | goes_on, a % 12, len, c % 7].into_iter().chain(bytes.collect::<Vec<_>>()).collect()
            }
            16 | 17 => vec![code | goes_on, a % 12, b % 40, c % 40],
            _ => vec![code | goes_on, a % 12, b, c],
        }
    })
}

fn mutate(data: &mut [u8], max: usize, mut case: Case, seed: u32, fresh: impl Fn(&mut Rng) -> Vec<u8>) -> usize {
    let mut rng = Rng::new(seed.into());
    for _ in 0..rng.up_to(3) {
        change(&mut case, &mut rng, &fresh);
    }
    let mut out = case.head;
    out.extend(case.ops.into_iter().flatten());
    out.truncate(max);
    data[..out.len()].copy_from_slice(&out);
    out.len()
}

fn change(Case { head, ops }: &mut Case, rng: &mut Rng, fresh: &impl Fn(&mut Rng) -> Vec<u8>) {
    let place = |rng: &mut Rng, len: usize| rng.up_to(len) - 1;
    let len = ops.len();
    match rng.up_to(16) {
        1..=6 => ops.insert(place(rng, len + 1), fresh(rng)),
        _ if len == 0 => ops.push(fresh(rng)),
        7 | 8 => drop(ops.remove(place(rng, len))),
        9 => {
            let from = place(rng, len);
            let to = from + rng.up_to(len - from);
            ops.drain(from..to);
        }
        10 => {
            let (from, to) = (place(rng, len), place(rng, len));
            let op = ops.remove(from);
            ops.insert(to.min(len - 1), op);
        }
        11 => {
            // Copies a sequence of operations to another position.
            let from = place(rng, len);
            let run = ops[from..from + rng.up_to((len - from).min(8))].to_vec();
            let to = place(rng, len + 1);
            ops.splice(to..to, run);
        }
        12 => {
            let at = place(rng, len);
            ops[at] = fresh(rng);
        }
        13..=15 => {
            let at = place(rng, len);
            let op = &mut ops[at];
            let byte = place(rng, op.len());
            op[byte] = (rng.next() % 24) as u8;
        }
        _ if head.is_empty() => {}
        _ => {
            let byte = place(rng, head.len());
            head[byte] = rng.next() as u8;
        }
    }
}

/// Returns true once in `n` times on average.
fn one_in(rng: &mut Rng, n: u64) -> bool {
    rng.next().is_multiple_of(n)
}
