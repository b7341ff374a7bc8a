//! Replays the fuzzers' corpus, `fuzz/corpus`, without a fuzzer. Defects that were found once stay fixed, and the
//! checks of the targets hold for all of it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sim::decode::{CODES, OP_LEN, SETUP_LEN, decode, encode};
use crate::sim::host::Kind::*;
use crate::sim::ops;
use crate::sim::quiet::quietly;
use crate::sim::reached::BETWEEN_SERVERS;
use crate::sim::sabotage::{Sabotage, Saboteur};
use crate::sim::world::Setup;
use crate::targets::{frames, session, world};
use metalbond::Config;
use metalbond::wire::{Frame, Message};
use proptest::prelude::*;

#[test]
fn frames_of_the_corpus_are_decoded_and_encoded() {
    let seen = replay("frames", frames::run);
    for kind in 1..=6 {
        let decodes = |(k, payload): &(u8, Vec<u8>)| *k == kind && Message::decode(Frame { kind, payload }).is_ok();
        assert!(seen.iter().flat_map(|s| &s.frames).any(decodes), "no frame of type {kind}");
    }
    assert!(seen.iter().any(|s| s.error.is_some()), "no stream that breaks off");
}

#[test]
fn sessions_of_the_corpus_agree_with_the_model() {
    let seen = replay("session", session::run);
    let most = |count: fn(&session::Seen) -> usize| seen.iter().map(count).max().unwrap_or(0);
    assert!(most(|s| s.accepted) > 1, "no sessions with clients");
    assert!(most(|s| s.dialled) > 1, "no sessions with servers");
    assert!(most(|s| s.misbehaved) > 0, "no peer that misbehaves");
    assert!(most(|s| s.limited) > 3, "no peers that go over limits");
    assert!(most(|s| s.sent) > 10, "no UPDATEs");
    assert!(most(|s| s.changes) > 10, "no changes for an application");
    assert!(most(|s| s.held) > 10, "no routes of servers that are lost");
}

#[test]
fn a_session_that_is_broken_on_purpose_is_noticed() {
    let files = files("session");
    for how in [Sabotage::Drop, Sabotage::Delay, Sabotage::Invert] {
        let is_noticed = |file: &PathBuf| {
            let case = || session::run_with(&fs::read(file).unwrap(), Some(Saboteur::new(how, 2)), |config| config);
            quietly(|| catch_unwind(AssertUnwindSafe(case))).is_err()
        };
        assert!(files.iter().any(is_noticed), "{how:?}: nothing noticed");
    }
}

#[test]
fn a_wrong_stale_time_is_noticed() {
    let files = files("session");
    for secs in [0, 59, 61] {
        let is_noticed = |file: &PathBuf| {
            let other = |config| Config { stale_time: Some(Duration::from_secs(secs)), ..config };
            let case = || session::run_with(&fs::read(file).unwrap(), None, other);
            quietly(|| catch_unwind(AssertUnwindSafe(case))).is_err()
        };
        assert!(files.iter().any(is_noticed), "{secs} s: nothing noticed");
    }
}

#[test]
fn stale_routes_that_do_not_stay_with_a_session_are_noticed() {
    let is_noticed = |file: &PathBuf| {
        let other = |config| Config { session_stale_time: Duration::ZERO, ..config };
        let case = || session::run_with(&fs::read(file).unwrap(), None, other);
        quietly(|| catch_unwind(AssertUnwindSafe(case))).is_err()
    };
    assert!(files("session").iter().any(is_noticed), "nothing noticed");
}

#[test]
fn worlds_of_the_corpus_end_with_the_routes_of_the_model() {
    let seen = replay("world", world::run);
    assert!(seen.iter().any(|s| s.ops > 10 && s.changes > 10), "no world with routes");
    for situation in BETWEEN_SERVERS {
        assert!(seen.iter().any(|s| s.reached.times(situation) > 0), "no world with {situation:?}");
    }
}

#[test]
fn every_code_is_an_operation_of_its_own() {
    let again = |code: u8| {
        let mut bytes = [0; SETUP_LEN + OP_LEN];
        bytes[SETUP_LEN] = code;
        let (setup, ops) = decode(&bytes);
        encode(&setup, &ops)[SETUP_LEN]
    };
    for code in 0..CODES {
        assert_eq!(again(code), code);
    }
    assert_ne!(again(CODES), CODES, "a code that is not counted");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_case_of_the_simulator_has_its_bytes(
        ops in proptest::collection::vec(ops::all(), 0..40),
        (servers, pacing, prompt, seed) in (1..=3usize, any::<bool>(), any::<bool>(), any::<u64>()),
    ) {
        let pacing = pacing && !prompt;
        let setup = Setup { servers, clients: [Client, Quick, Legacy, Pipelining], pacing, prompt, seed };
        let (again, ops_again) = decode(&encode(&setup, &ops));
        prop_assert_eq!(format!("{again:?}"), format!("{setup:?}"));
        prop_assert_eq!(ops_again, ops);
    }

    #[test]
    fn the_pieces_of_a_session_are_all_of_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (head, ops) = session::pieces(&bytes);
        prop_assert_eq!([head, ops.concat()].concat(), bytes);
    }
}

/// Runs each file of a target's corpus. If one fails, prints which one.
fn replay<T>(target: &str, run: impl Fn(&[u8]) -> T) -> Vec<T> {
    struct Named<'a>(&'a Path);
    impl Drop for Named<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("{}: this one", self.0.display());
            }
        }
    }
    let run = |file: &PathBuf| {
        let _named = Named(file);
        run(&fs::read(file).unwrap())
    };
    files(target).iter().map(run).collect()
}

fn files(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{}: {} files only", folder.display(), files.len());
    files
}
