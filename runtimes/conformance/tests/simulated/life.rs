//! A node and its application, from the node's start to its end.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Waker};
use std::time::Duration;

use metalbond_conformance::simulated::{Host, SimulatedTask, Simulation, Usage};
use metalbond_driver::{Config, Endpoint, RouteTable, Runtime, StartOptions, Task, start_with};

use super::calls::{self, Context, Handle};
use super::ops::{self, Call, Query, Reading};
use super::reader::Reader;
use super::record::Record;

/// A node and its application.
pub(crate) struct Life {
    pub(crate) number: usize,
    /// The node's runtime.
    pub(crate) host: Host,
    pub(crate) context: Context,
    pub(crate) reader: Reader,
    handles: Vec<Handle>,
    tables: Vec<(RouteTable, Handle)>,
    /// A reference counter: it counts the handles, plus this one.
    holders: Arc<()>,
    /// The tasks that each make one call, which may be dropped before its answer.
    kept: Vec<SimulatedTask>,
    /// The task of the latest of the calls that are made one after the other.
    last: Option<SimulatedTask>,
}

/// The number of tasks of a node without work: see [`Life::check_rest`].
const TASKS: usize = 1;
/// More tasks than any node in these tests needs.
const TASKS_MAX: usize = 100;

impl Life {
    pub(crate) fn start(
        simulation: &Simulation,
        start: std::time::Instant,
        (number, ip): (usize, IpAddr),
        config: Config,
        endpoints: Arc<[Endpoint]>,
        addresses: [SocketAddr; 2],
    ) -> Self {
        let (host, app) = (simulation.host(ip), simulation.host(ip));
        let shutdown_timeout = config.shutdown_timeout;
        let options = match config.seed % 2 {
            0 => StartOptions::default(),
            _ => StartOptions::default().local_address(ip),
        };
        let (node, changes) = start_with(host.clone(), config, options).expect("the settings are in range");
        let holders = Arc::new(());
        let record = Arc::new(Mutex::new(Record::new(shutdown_timeout)));
        let reader = Reader::start(&app, changes);
        Self {
            number,
            host,
            context: Context { number, app, may_be_dropped: false, start, record, endpoints, addresses },
            reader,
            handles: vec![Handle { node, _holder: Arc::clone(&holders) }],
            tables: Vec::new(),
            holders,
            kept: Vec::new(),
            last: None,
        }
    }

    /// Returns a handle, or `None` if the application has dropped all handles.
    pub(crate) fn handle(&self) -> Option<Handle> {
        self.handles.last().cloned()
    }

    /// Makes a call after the earlier calls.
    pub(crate) fn call(&mut self, call: Call) {
        let Some(handle) = self.handle() else { return };
        self.expect(call);
        let before = self.last.take();
        let work = calls::make(self.context.clone(), handle, call);
        self.last = Some(self.context.app.spawn(async move {
            if let Some(before) = before {
                before.join().await;
            }
            work.await;
        }));
    }

    fn expect(&self, call: Call) {
        if let Call::Resync(v) = call {
            self.reader.expect_resync(ops::vni(v));
        }
    }

    pub(crate) fn ask(&self, query: Query) {
        let Some(handle) = self.handle() else { return };
        self.context.app.spawn(calls::ask(self.context.clone(), handle, query)).detach();
    }

    /// Polls a call `polls` times, and drops it. Calls `run` between the polls.
    pub(crate) fn abandon(&mut self, call: Call, polls: u8, mut run: impl FnMut()) {
        let Some(handle) = self.handle() else { return };
        self.expect(call);
        let mut work = Box::pin(calls::make(self.context.abandon(call), handle, call));
        for _ in 0..polls {
            if work.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_ready() {
                return;
            }
            run();
        }
    }

    pub(crate) fn keep(&mut self, call: Call) {
        let Some(handle) = self.handle() else { return };
        self.expect(call);
        self.kept.push(self.context.app.spawn(calls::make(self.context.abandon(call), handle, call)));
    }

    pub(crate) fn drop_kept(&mut self) {
        self.kept.clear();
    }

    pub(crate) fn flood(&self, kind: u8) {
        if let Some(handle) = self.handle() {
            self.context.flood(&handle, kind);
        }
    }

    /// Adds a clone of the handle, or a view of the table, which is a handle, too.
    pub(crate) fn clone_handle(&mut self) {
        let Some(handle) = self.handle() else { return };
        if self.tables.len() < self.handles.len() {
            self.tables.push((handle.node.route_table(), handle));
        } else {
            self.handles.push(handle);
        }
    }

    pub(crate) fn drop_clone(&mut self) {
        self.tables.pop();
        if self.handles.len() > 1 {
            self.handles.pop();
        }
    }

    /// Drops everything except the stream of changes. Calls under way go on.
    pub(crate) fn drop_all(&mut self) {
        self.handles.clear();
        self.tables.clear();
        self.kept.clear();
        if let Some(last) = self.last.take() {
            last.detach();
        }
    }

    pub(crate) fn read(&self, reading: Reading) {
        self.reader.set(reading);
    }

    pub(crate) fn kill(&mut self, now: Duration) {
        self.context.record.lock().unwrap().end(now);
        self.host.kill();
    }

    /// Checks the conditions that hold at any time.
    pub(crate) fn check(&mut self, now: Duration) {
        let mut record = self.context.record.lock().unwrap();
        if Arc::strong_count(&self.holders) == 1 {
            // The last handle has been dropped.
            record.end(now);
        }
        record.check(now);
        assert!(self.host.most_lookups() <= 1, "two lookups of one name at the same time");
        let usage = self.host.usage();
        assert!(usage.tasks <= TASKS_MAX + usage.listeners + 2 * usage.streams, "{usage:?}");
        // `apply_to` is a future of the application and waits with the node's clock, so it has one waker more.
        assert!(usage.wakers <= 3 * usage.tasks + 1, "wakers are left behind: {usage:?}");
        if record.end_due().is_some_and(|due| now > due) {
            assert_eq!(usage, Usage::default(), "something outlives node {}", self.number);
            assert!(record.is_quiet(), "a call is not answered though the node has ended");
        }
    }

    /// Returns the time after which the next answer or end is late.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.context.record.lock().unwrap().next_due()
    }

    /// Returns true if the time for the node's end is over.
    pub(crate) fn has_ended(&self, now: Duration) -> bool {
        self.context.record.lock().unwrap().end_due().is_some_and(|due| now > due)
    }

    /// Checks that a node without work uses exactly what it needs. Returns an error if it uses more or less.
    pub(crate) fn check_rest(&self, sessions: usize, unreached: usize) -> Result<(), String> {
        let usage = self.host.usage();
        let least = TASKS + usage.listeners + usage.streams + usage.lookups;
        let is_right = usage.streams == sessions && (least..=least + unreached).contains(&usage.tasks);
        let (number, servers) = (self.number, unreached);
        is_right.then_some(()).ok_or_else(|| {
            format!("node {number}: {usage:?} with {sessions} sessions and {servers} servers that cannot be reached")
        })
    }
}
