//! What the application knows of its node: which calls are under way, and what the answers so far mean.
//!
//! Properties: a call is answered within its bound; a node that was not asked to end never answers with Closed; an answer agrees
//! with the answers before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metalbond_driver::{CommandError, PeerId, Route, Vni};

/// How long the actor may take to answer. It waits for nobody, so this is the time of steps that other tasks take before it.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long the end of a node may take after the time that its settings give it: for tasks that take their steps late.
const END_MARGIN: Duration = Duration::from_millis(150 + 100);

/// Something that the application can ask for, and that is so or is not.
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
    /// Since when the node has to end.
    ending: Option<Duration>,
    /// The node may have been asked to end, by a call whose future was dropped.
    may_end: bool,
    wanted: BTreeSet<Wanted>,
    /// Of these nobody knows: a call was dropped.
    unknown: BTreeSet<Wanted>,
    pub(crate) peers: Vec<PeerId>,
    /// The node listens on its usual port.
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

    /// The node has to end from now on.
    pub(crate) fn end(&mut self, now: Duration) {
        self.ending.get_or_insert(now);
    }

    pub(crate) fn may_end(&mut self) {
        self.may_end = true;
    }

    pub(crate) fn has_to_end(&self) -> bool {
        self.ending.is_some()
    }

    /// By when everything is over, if the node has to end.
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

    /// Fails if a call is not answered that should be.
    pub(crate) fn check(&self, now: Duration) {
        for (call, since) in self.open.values() {
            assert!(now <= self.answer_due(*since), "not answered since {since:?}, at {now:?}: {call}");
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.open.is_empty()
    }

    /// Nobody knows any more whether it is so.
    pub(crate) fn forget(&mut self, wanted: Wanted) {
        self.unknown.insert(wanted);
    }

    /// Takes note of the answer to a call that wants something to be so, or not to be so.
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

    /// Takes note of the answer to a call that wants several things to be so, or not to be so.
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

    /// It is so, or not so, as far as the application knows.
    pub(crate) fn note(&mut self, wanted: Wanted, is_so: bool) {
        if is_so {
            self.wanted.insert(wanted);
        } else {
            self.wanted.remove(&wanted);
        }
    }

    /// A call was answered with "closed".
    pub(crate) fn closed(&self) {
        assert!(self.may_end || self.ending.is_some(), "closed, and nobody has told the node to end");
    }

    /// Compares with what the node says.
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
        // A panic of the call is reported by itself.
        if let Ok(mut record) = self.record.lock() {
            record.open.remove(&self.number);
        }
    }
}
