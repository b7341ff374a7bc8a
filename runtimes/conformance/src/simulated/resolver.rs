//! The names, and the lookups that are under way.
//!
//! Invariant: a lookup is counted from its first poll until its future is dropped, even if it gets no answer.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::HandleId;
use super::timeline::{Event, Place, Timeline};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LookupId(u64);

/// The result of the lookups of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// They return these addresses, after this time.
    Addresses(Duration, Vec<IpAddr>),
    /// They fail, after this time.
    Failure(Duration),
    /// They get no answer until the name's answer is replaced.
    Never,
}

/// The numbers of a name's lookups.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lookups {
    /// Those under way now.
    pub now: usize,
    /// The most that were under way at the same time.
    pub most: usize,
    /// All so far.
    pub all: usize,
}

#[derive(Debug)]
struct Lookup {
    handle: HandleId,
    name: String,
    port: u16,
    result: Option<io::Result<Vec<SocketAddr>>>,
}

#[derive(Default, Debug)]
pub(super) struct Resolver {
    answers: BTreeMap<String, Answer>,
    lookups: BTreeMap<LookupId, Lookup>,
    counts: BTreeMap<(HandleId, String), Lookups>,
    count: u64,
}

impl Resolver {
    /// Replaces the answer to the lookups of a name, also to those under way that wait for an answer.
    pub(super) fn set(&mut self, name: &str, answer: Answer, timeline: &mut Timeline) {
        self.answers.insert(name.to_owned(), answer);
        let waiting: Vec<_> = self.lookups.iter().filter(|(_, l)| l.name == name).map(|(id, _)| *id).collect();
        for id in waiting {
            self.ask(id, timeline);
        }
    }

    pub(super) fn begin(&mut self, handle: HandleId, endpoint: &str, timeline: &mut Timeline) -> io::Result<LookupId> {
        let (name, port) = endpoint.rsplit_once(':').ok_or(ErrorKind::InvalidInput)?;
        assert!(name.parse::<IpAddr>().is_err(), "the driver asks for names only, not for {endpoint}");
        let port = port.parse().map_err(|_| ErrorKind::InvalidInput)?;
        self.count += 1;
        let id = LookupId(self.count);
        self.lookups.insert(id, Lookup { handle, name: name.to_owned(), port, result: None });
        let lookups = self.counts.entry((handle, name.to_owned())).or_default();
        *lookups = Lookups { now: lookups.now + 1, most: lookups.most.max(lookups.now + 1), all: lookups.all + 1 };
        self.ask(id, timeline);
        timeline.note("lookup", [id.0, 0]);
        Ok(id)
    }

    fn ask(&mut self, id: LookupId, timeline: &mut Timeline) {
        let answer = self.lookups.get(&id).and_then(|lookup| self.answers.get(&lookup.name));
        let delay = match answer {
            Some(Answer::Addresses(delay, _) | Answer::Failure(delay)) => *delay,
            Some(Answer::Never) => return,
            None => Duration::ZERO,
        };
        timeline.schedule(delay, Event::Answer(id));
    }

    /// Handles the arrival of the answer to a lookup.
    pub(super) fn answer(&mut self, id: LookupId, timeline: &mut Timeline) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        lookup.result = match self.answers.get(&lookup.name) {
            Some(Answer::Addresses(_, ips)) => Some(Ok(ips.iter().map(|ip| (*ip, lookup.port).into()).collect())),
            Some(Answer::Failure(_)) => Some(Err(io::Error::other("the name server failed"))),
            Some(Answer::Never) => None,
            None => Some(Err(ErrorKind::NotFound.into())),
        };
        timeline.wake(Place::Lookup(id));
    }

    pub(super) fn take(&mut self, id: LookupId) -> Option<io::Result<Vec<SocketAddr>>> {
        self.lookups.get_mut(&id)?.result.take()
    }

    pub(super) fn end(&mut self, id: LookupId) {
        let Some(lookup) = self.lookups.remove(&id) else { return };
        if let Some(lookups) = self.counts.get_mut(&(lookup.handle, lookup.name)) {
            lookups.now -= 1;
        }
    }

    pub(super) fn lookups_of(&self, handle: HandleId) -> usize {
        self.lookups.values().filter(|lookup| lookup.handle == handle).count()
    }

    /// Returns the counts of a handle and a name.
    pub(super) fn count(&self, handle: HandleId, name: &str) -> Lookups {
        self.counts.get(&(handle, name.to_owned())).copied().unwrap_or_default()
    }

    /// Returns the highest number of lookups of one name that a handle had at the same time.
    pub(super) fn most(&self, handle: HandleId) -> usize {
        self.counts.iter().filter(|((h, _), _)| *h == handle).map(|(_, lookups)| lookups.most).max().unwrap_or(0)
    }
}
