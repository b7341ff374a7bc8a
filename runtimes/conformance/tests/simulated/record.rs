//! The application's record of its node: the calls under way, and the settings that follow from the answers so far.
//!
//! Properties: a call is answered within its bound; a node never answers with `Closed` unless it was asked to end; each answer agrees with
//! the earlier ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metalbond_driver::{CommandError, PeerId, Route, Vni};

/// The longest time until the actor answers. The actor waits for no task, so this is the time for steps of other tasks.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// The additional time for the end of a node, after that of its settings: for tasks that run their steps late.
const END_MARGIN: Duration = Duration::from_millis(150 + 100);

/// A setting of the node that the application can change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Wanted {
    Subscription(Vni),
    Announcement(Route),
}

#[derive(Debug)]
pub(crate) struct Record {
    open: BTreeMap<u64, (String, Duration)>,
    calls: u64,
    shutdown_timeout: Duration,
    /// The time since which the node has to end.
    ending: Option<Duration>,
    /// True if a call whose future was dropped may have asked the node to end.
    may_end: bool,
    wanted: BTreeSet<Wanted>,
    /// The settings whose state is unknown, because a call was dropped.
    unknown: BTreeSet<Wanted>,
    pub(crate) peers: Vec<PeerId>,
    /// True if the node listens on its usual port.
    pub(crate) listens: bool,
}

pub(crate) type Shared = Arc<Mutex<Record>>;

impl Record {
    pub(crate) fn new(shutdown_timeout: Duration) -> Self {
        Self {
            open: BTreeMap::new(),
            calls: 0,
            shutdown_timeout,
            ending: None,
            may_end: false,
            wanted: BTreeSet::new(),
            unknown: BTreeSet::new(),
            peers: Vec::new(),
            listens: false,
        }
    }

    /// Notes that the node has to end from now on.
    pub(crate) fn end(&mut self, now: Duration) {
        self.ending.get_or_insert(now);
    }

    pub(crate) fn may_end(&mut self) {
        self.may_end = true;
    }

    pub(crate) fn has_to_end(&self) -> bool {
        self.ending.is_some()
    }

    /// Returns the time by which the node has to have ended, if it has to end.
    pub(crate) fn end_due(&self) -> Option<Duration> {
        Some(self.ending? + self.shutdown_timeout + END_MARGIN)
    }

    /// Returns the time after which a call, or the end of the node, is late.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let calls = self.open.values().map(|(_, since)| self.answer_due(*since));
        calls.chain(self.end_due()).min()
    }

    fn answer_due(&self, since: Duration) -> Duration {
        let end = if self.may_end { self.shutdown_timeout + END_MARGIN } else { Duration::ZERO };
        let due = since + ANSWER_MAX + end;
        self.end_due().map_or(due, |end| end.max(due))
    }

    /// Fails if the answer to a call is late.
    pub(crate) fn check(&self, now: Duration) {
        for (call, since) in self.open.values() {
            assert!(now <= self.answer_due(*since), "not answered since {since:?}, at {now:?}: {call}");
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.open.is_empty()
    }

    /// Notes that the state of a setting is unknown.
    pub(crate) fn forget(&mut self, wanted: Wanted) {
        self.unknown.insert(wanted);
    }

    /// Notes and checks the answer to a call that changes a setting.
    pub(crate) fn answered(&mut self, wanted: Wanted, is_so: bool, answer: Result<bool, CommandError>) {
        let was_so = self.wanted.contains(&wanted);
        match answer {
            Err(CommandError::Closed) => return self.closed(),
            _ if self.unknown.contains(&wanted) || self.may_end => {}
            Ok(has_changed) => assert_eq!(was_so != is_so, has_changed, "{wanted:?}"),
            Err(error) => panic!("{wanted:?}: {error}"),
        }
        self.note(wanted, is_so);
    }

    /// Notes and checks the answer to a call that changes several settings.
    pub(crate) fn all_answered(&mut self, all: &[Wanted], is_so: bool, answer: Result<usize, CommandError>) {
        let is_known = !all.iter().any(|wanted| self.unknown.contains(wanted));
        let changes = all.iter().filter(|wanted| self.wanted.contains(wanted) != is_so).count();
        match answer {
            Err(CommandError::Closed) => return self.closed(),
            Err(error) => panic!("{error}"),
            Ok(changed) => assert!(changed == changes || !is_known, "{changed} changed, not {changes}"),
        }
        all.iter().for_each(|wanted| self.note(*wanted, is_so));
    }

    /// Notes the state of a setting as the application knows it.
    pub(crate) fn note(&mut self, wanted: Wanted, is_so: bool) {
        if is_so {
            self.wanted.insert(wanted);
        } else {
            self.wanted.remove(&wanted);
        }
    }

    /// Checks that a call may be answered with "closed".
    pub(crate) fn closed(&self) {
        assert!(self.may_end || self.ending.is_some(), "closed, and the node was not asked to end");
    }

    /// Compares the settings with those that the node reports.
    pub(crate) fn compare(&self, is: &BTreeSet<Wanted>) {
        let is_known = |wanted: &&Wanted| !self.unknown.contains(wanted);
        let (is, should): (BTreeSet<_>, BTreeSet<_>) =
            (is.iter().filter(is_known).collect(), self.wanted.iter().filter(is_known).collect());
        assert_eq!(is, should, "the node does not want what its application has asked it for");
    }
}

/// A call under way. Dropping it ends it, answered or not.
pub(crate) struct OpenCall {
    record: Shared,
    number: u64,
}

impl OpenCall {
    pub(crate) fn new(record: &Shared, what: String, now: Duration) -> Self {
        let mut r = record.lock().unwrap();
        r.calls += 1;
        let number = r.calls;
        r.open.insert(number, (what, now));
        drop(r);
        Self { record: Arc::clone(record), number }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        // The lock fails only after a panic, which is reported elsewhere.
        if let Ok(mut record) = self.record.lock() {
            record.open.remove(&self.number);
        }
    }
}
