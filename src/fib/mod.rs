//! Routes in a kernel (FIB): what is wanted against what is installed, and the operations that lead from one to the other.
//!
//! A [`Fib`] does no I/O, like a [`Node`](crate::Node): changes and the kernel's answers go in, operations come out.
//! `metalbond-linux` carries them out over netlink. The loop around it:
//!
//! 1. while [`Fib::needs_dump`]: [`Fib::dump_begins`], [`Fib::found`] for all that is in the kernel, [`Fib::dump_ends`];
//! 2. [`Fib::poll_op`] until there is none or the batch is full, carry these out, [`Fib::done`] for each, in their order;
//! 3. [`Fib::poll_report`]; wait for a change, a notice of the kernel, or [`Fib::poll_timeout`].
//!
//! It keeps these promises, each with a property test of its name in `tests/fib.rs`:
//!
//! - *converges*: whatever fails or is changed by other hands, when that stops the kernel comes to have what is wanted.
//! - *lowest VNI*: where several VNIs share a table, a destination that several of them have is installed for the lowest; the
//!   others are reported and counted, and when the lowest loses it, the next one's route takes its place, without a gap.
//! - *no gap*: a destination that is wanted before and after a change has a route all the time; routes are replaced, and an
//!   object is there before its first route, and until after its last.
//! - *adopts*: what is in the kernel at the start and stays wanted is not touched, in whatever order it is told. (Except for a
//!   destination of several VNIs in one table: if the lowest of them is told last, it comes last.)
//! - *foreign*: a route of another protocol is never replaced or removed.

mod done;
mod dump;
mod look;
mod op;
mod report;
mod route;
mod sets;
mod settings;
mod vias;
mod wanted;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

pub use op::{Found, FoundObject, Leg, Legs, Notice, Op, OpError, OpErrorKind, Via};
pub use report::{FibReport, FibStats};
pub use settings::{FibSettings, FibSettingsError};

use crate::{Instant, NextHopKind, Prefix, Route, RouteChange, Vni};
use route::{Entry, Key};
use vias::{ViaId, Vias};
use wanted::Wanted;

/// Reports that wait to be fetched at most.
const REPORTS_MAX: usize = 64;
/// IPv4 next hops that are remembered as told.
const TOLD_MAX: usize = 1024;

/// The ids of objects in a group, and their weights.
type Members = SmallVec<[(u32, u8); 4]>;

/// An operation, as it is known here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Add(ViaId),
    Remove(ViaId),
    Route { key: Key, to: ViaId },
}

/// What is tried again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Retry {
    Route(Key),
    Via(ViaId),
}

/// When the kernel's state is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Dump {
    Due(Instant),
    Running { since: Instant },
    NotNeeded,
}

/// The kernel's routes, as they should be and as they are.
#[derive(Debug)]
pub struct Fib {
    settings: FibSettings,
    now: Instant,
    wanted: Wanted,
    vias: Vias,
    routes: HashMap<Key, Entry, FixedState>,
    /// Routes to look at.
    queue: VecDeque<Key>,
    /// What is to be done next, and what is being done.
    ready: VecDeque<Step>,
    under_way: VecDeque<Step>,
    retries: BTreeSet<(Instant, Retry)>,
    /// In shared tables: the VNIs for which a destination is not installed because a lower VNI has it.
    vni_conflicts: HashMap<Key, SmallVec<[Vni; 1]>, FixedState>,
    is_device_up: bool,
    /// It was down since the last dump: what is not there any more went with it.
    is_device_lost: bool,
    dump: Dump,
    /// Another one is needed after the one that is running.
    dump_again: bool,
    /// How many in a row did not come to their end.
    dump_failures: u8,
    /// No dump before that.
    next_dump: Instant,
    /// Groups of the dump that is under way, until all objects are known; none: they are.
    groups: Option<Vec<(u32, Members)>>,
    /// What was there at the start and is not wanted (yet) stays.
    is_adopting: bool,
    /// Nothing is wanted any more.
    is_clearing: bool,
    told_ipv4: BTreeSet<Ipv4Addr>,
    reports: VecDeque<FibReport>,
    stats: FibStats,
}

impl Fib {
    /// A FIB of which nothing is known yet but whether the tunnel device is there and up.
    ///
    /// # Errors
    /// If the settings make no sense.
    pub fn new(settings: FibSettings, is_device_up: bool) -> Result<Self, FibSettingsError> {
        settings.check()?;
        let seed = FixedState::with_seed(settings.seed);
        Ok(Self {
            now: Instant::EPOCH,
            wanted: Wanted::new(seed.clone(), &settings.tables),
            vias: Vias::new(seed.clone(), settings.ids.clone()),
            routes: HashMap::with_hasher(seed.clone()),
            queue: VecDeque::new(),
            ready: VecDeque::new(),
            under_way: VecDeque::new(),
            retries: BTreeSet::new(),
            vni_conflicts: HashMap::with_hasher(seed),
            is_device_up,
            is_device_lost: false,
            dump: Dump::Due(Instant::EPOCH),
            dump_again: false,
            dump_failures: 0,
            next_dump: Instant::EPOCH,
            groups: None,
            is_adopting: true,
            is_clearing: false,
            told_ipv4: BTreeSet::new(),
            reports: VecDeque::new(),
            stats: FibStats::default(),
            settings,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &FibSettings {
        &self.settings
    }

    /// A destination has other next hops. Of VNIs without a table nothing is noted.
    pub fn change(&mut self, change: &RouteChange) {
        let Some(key) = self.key(change.vni, change.prefix) else { return };
        if self.settings.ipv4_only && key.prefix.is_ipv6() {
            return;
        }
        let (stats, told, reports) = (&mut self.stats, &mut self.told_ipv4, &mut self.reports);
        let sources = wanted::sources(change.next_hops(), &self.settings, |addr| {
            stats.ipv4_next_hops += 1;
            if told.len() < TOLD_MAX && told.insert(addr) {
                report(reports, stats, FibReport::Ipv4NextHop(addr));
            }
        });
        let entry = self.routes.entry(key).or_default();
        self.stats.wanted -= usize::from(self.wanted.wants(&key, change.vni, entry.wanted));
        entry.wanted = self.wanted.change(&key, change.vni, change.prefix, sources, entry.wanted);
        self.stats.wanted += usize::from(self.wanted.wants(&key, change.vni, entry.wanted));
        self.enqueue(key);
    }

    /// This node announces a route now. Others' STANDARD routes to the destination of a STANDARD one are not installed.
    pub fn announced(&mut self, route: &Route) {
        self.set_own(route, true);
    }

    /// It does no more.
    pub fn withdrawn(&mut self, route: &Route) {
        self.set_own(route, false);
    }

    fn set_own(&mut self, route: &Route, is_there: bool) {
        if route.next_hop.kind == NextHopKind::Standard
            && let Some(key) = self.key(route.vni, route.prefix)
        {
            self.wanted.set_own(key, route.vni, route.prefix, route.next_hop, is_there);
            self.enqueue(key);
        }
    }

    fn key(&self, vni: Vni, prefix: Prefix) -> Option<Key> {
        let &table = self.settings.tables.get(&vni)?;
        Some(Key { table, prefix: prefix.network() })
    }

    /// All that is wanted is known: what was found in the kernel beside it, routes and next hops, is removed.
    pub fn release_adopted(&mut self) {
        self.is_adopting = false;
        #[expect(clippy::disallowed_methods, reason = "in which order is of no consequence")]
        let adopted = self.routes.iter_mut().filter(|(_, entry)| entry.is_adopted);
        let adopted: Vec<Key> = adopted.map(|(key, entry)| (*key, entry.is_adopted = false).0).collect();
        adopted.into_iter().for_each(|key| self.enqueue(key));
    }

    /// Removes all routes and objects; from now on nothing is wanted.
    pub fn clear(&mut self) {
        self.is_clearing = true;
        self.release_adopted();
        #[expect(clippy::disallowed_methods, reason = "in which order is of no consequence")]
        let all: Vec<Key> = self.routes.keys().copied().collect();
        all.into_iter().for_each(|key| self.enqueue(key));
    }

    /// The kernel says that something happened.
    pub fn notice(&mut self, now: Instant, notice: Notice) {
        self.now = self.now.max(now);
        match notice {
            Notice::Anything => self.request_dump(),
            Notice::RouteAdded { table, prefix } => {
                let entry = self.routes.get(&Key { table, prefix: prefix.network() });
                // It may be in the place of ours.
                if entry.is_some_and(|entry| entry.is_busy || entry.installed != ViaId::NONE) {
                    self.request_dump();
                }
            }
            Notice::ForeignRemoved { table, prefix } => {
                let key = Key { table, prefix: prefix.network() };
                if self.routes.get(&key).is_some_and(|entry| entry.is_conflict) {
                    self.enqueue(key);
                }
            }
            Notice::RouteRemoved { table, prefix } => {
                // A notice may be older than what we have done since: the dump tells how things are.
                if self.routes.contains_key(&Key { table, prefix: prefix.network() }) {
                    self.request_dump();
                }
            }
            Notice::DeviceUp | Notice::DeviceDown => {
                let is_up = notice == Notice::DeviceUp;
                self.is_device_lost |= !is_up;
                if self.is_device_up != is_up {
                    self.is_device_up = is_up;
                    self.report(if is_up { FibReport::DeviceUp } else { FibReport::DeviceDown });
                }
                self.request_dump();
            }
        }
    }

    /// When to call [`poll_op`](Self::poll_op) or [`needs_dump`](Self::needs_dump) again, if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let dump = if let Dump::Due(at) = self.dump { Some(at) } else { None };
        self.retries.first().map(|(at, _)| *at).into_iter().chain(dump).min()
    }

    /// The next event for the log.
    pub fn poll_report(&mut self) -> Option<FibReport> {
        self.reports.pop_front()
    }

    /// Whether there is nothing to do, nothing under way, and nothing to be tried again.
    pub fn is_settled(&self) -> bool {
        self.queue.is_empty()
            && self.ready.is_empty()
            && self.under_way.is_empty()
            && self.retries.is_empty()
            && self.vias.idle.is_empty()
            && self.dump == Dump::NotNeeded
    }

    /// The figures.
    pub fn stats(&self) -> FibStats {
        FibStats { objects: self.vias.objects(), ..self.stats }
    }

    fn enqueue(&mut self, key: Key) {
        if let Some(entry) = self.routes.get_mut(&key)
            && !core::mem::replace(&mut entry.is_queued, true)
        {
            self.queue.push_back(key);
        }
    }

    /// A route leads elsewhere now. Whoever says so holds `to` already.
    fn set_installed(&mut self, key: Key, to: ViaId) {
        let Some(entry) = self.routes.get_mut(&key) else { return };
        let from = core::mem::replace(&mut entry.installed, to);
        self.stats.installed -= usize::from(from != ViaId::NONE);
        self.stats.installed += usize::from(to != ViaId::NONE);
        let is_over = to != ViaId::NONE && core::mem::take(&mut entry.is_conflict);
        self.vias.let_go(from);
        if is_over {
            self.stats.conflicts -= 1;
            self.report(FibReport::ConflictOver { table: key.table, prefix: key.prefix });
        }
    }

    fn retry_in(&self, failures: u8, at_least: Duration) -> Duration {
        let factor = 1_u32 << failures.saturating_sub(1).min(20);
        self.settings.retry_min.saturating_mul(factor).max(at_least).min(self.settings.retry_max)
    }

    fn request_dump(&mut self) {
        if self.dump == Dump::NotNeeded {
            self.dump = Dump::Due(self.now.max(self.next_dump));
        } else if let Dump::Running { .. } = self.dump {
            // What it has passed already may be what changed.
            self.dump_again = true;
        }
    }

    fn report(&mut self, what: FibReport) {
        report(&mut self.reports, &mut self.stats, what);
    }
}

fn report(reports: &mut VecDeque<FibReport>, stats: &mut FibStats, what: FibReport) {
    if reports.len() < REPORTS_MAX {
        reports.push_back(what);
    } else {
        stats.unreported += 1;
    }
}
