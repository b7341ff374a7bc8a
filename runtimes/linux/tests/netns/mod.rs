//! A network namespace for a test: made for it, and removed after it, however it ends.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use metalbond::Prefix;
use metalbond::fib::{Found, Leg, Notice, Op, OpError, Via};
use metalbond_linux::{Kernel, Settings};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

pub(crate) const TABLE: u32 = 1000;
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Namespace {
    name: String,
}

/// Runs a test's body, on a thread of its own, in a new namespace, with the veth end `t0` as tunnel device, whose other end
/// is `t1`.
pub(crate) fn run(body: impl FnOnce(&Namespace) + Send) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("metalbond-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    if !rustix::process::geteuid().is_root() || !is_well(&["netns", "add", &name]) {
        println!("skipped: this needs root, to make a network namespace");
        return;
    }
    let namespace = Namespace { name };
    namespace.ip("link set lo up");
    namespace.ip("link add t0 type veth peer name t1");
    namespace.ip("link set t1 up");
    namespace.ip("link set t0 up");
    // A panic goes on only when the thread has ended; then the namespace is dropped.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            namespace.enter();
            body(&namespace);
        });
    });
}

impl Drop for Namespace {
    fn drop(&mut self) {
        is_well(&["netns", "del", &self.name]);
    }
}

impl Namespace {
    fn enter(&self) {
        let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Runs `ip` here, by other hands than ours.
    pub(crate) fn ip(&self, args: &str) -> String {
        let all: Vec<&str> = ["-n", &self.name].into_iter().chain(args.split_whitespace()).collect();
        let output = Command::new("ip").args(&all).output().unwrap();
        assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs many commands of `ip` here.
    pub(crate) fn ip_batch(&self, lines: &str) {
        let mut child =
            Command::new("ip").args(["-n", &self.name, "-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// What `ip -j` prints.
    pub(crate) fn json(&self, args: &str) -> Vec<Value> {
        let text = self.ip(&format!("-j {args}"));
        if text.trim().is_empty() { Vec::new() } else { serde_json::from_str(&text).unwrap() }
    }

    /// The routes of both families in the table, as `ip` prints them.
    pub(crate) fn routes(&self) -> Vec<Value> {
        let show = |family| {
            // Of a table that is not there yet it says so, and fails.
            let args = ["-n", &self.name, family, "-j", "route", "show", "table", "1000"];
            let output = Command::new("ip").args(args).output().unwrap();
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| Vec::<Value>::new())
        };
        [show("-4"), show("-6")].concat()
    }

    pub(crate) fn open(&self) -> Kernel {
        Kernel::open(settings()).unwrap()
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        device: "t0".into(),
        protocol: 254,
        ids: 1_000_000..=1_999_999,
        tables: vec![TABLE],
        nexthop_objects: true,
    }
}

fn is_well(args: &[&str]) -> bool {
    Command::new("ip").args(args).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The n-th object of our range.
pub(crate) fn id(n: u32) -> u32 {
    1_000_000 + n
}

pub(crate) fn leg(n: u16) -> Leg {
    Leg { addr: [0xfd00, 0, 0, 0, 0, 0, 0, n].into(), weight: 1 }
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn object(n: u16) -> Op {
    Op::AddObject { id: id(n.into()), addr: leg(n).addr }
}

pub(crate) fn add(destination: &str, via: Via) -> Op {
    Op::AddRoute { table: TABLE, prefix: prefix(destination), via }
}

pub(crate) fn replace(destination: &str, via: Via) -> Op {
    Op::ReplaceRoute { table: TABLE, prefix: prefix(destination), via }
}

pub(crate) fn remove(destination: &str) -> Op {
    Op::RemoveRoute { table: TABLE, prefix: prefix(destination) }
}

pub(crate) fn via_object(n: u32) -> Via {
    Via::Object(id(n))
}

/// Carries out operations that have to succeed.
pub(crate) fn execute(kernel: &mut Kernel, ops: &[Op]) {
    for (op, result) in ops.iter().zip(kernel.execute(ops).unwrap()) {
        assert_eq!(result, Ok(()), "{op:?}");
    }
}

/// Carries out one operation that has to fail.
pub(crate) fn fail(kernel: &mut Kernel, op: Op) -> OpError {
    let [result] = kernel.execute(std::slice::from_ref(&op)).unwrap().try_into().unwrap();
    result.expect_err(&format!("{op:?} should fail"))
}

pub(crate) fn dump(kernel: &mut Kernel) -> Vec<Found> {
    let mut all = Vec::new();
    kernel.dump(|found| all.push(found)).unwrap();
    all
}

/// The routes of a dump.
pub(crate) fn dumped_routes(kernel: &mut Kernel) -> Vec<(Prefix, Option<Via>)> {
    let route = |found| if let Found::Route { prefix, via, .. } = found { Some((prefix, via)) } else { None };
    dump(kernel).into_iter().filter_map(route).collect()
}

/// The notices that are there.
pub(crate) fn notices(kernel: &mut Kernel) -> Vec<Notice> {
    let mut all = Vec::new();
    kernel.notices(|notice| all.push(notice)).unwrap();
    all
}

/// The notices until these have all come, which have to.
pub(crate) fn notices_until(kernel: &mut Kernel, last: &[Notice]) -> Vec<Notice> {
    let end = Instant::now() + PATIENCE;
    let mut all = notices(kernel);
    while !last.iter().all(|notice| all.contains(notice)) {
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).unwrap();
        let ready = poll(&mut [PollFd::new(&kernel.fd(), PollFlags::IN)], Some(&left)).unwrap();
        assert_ne!(ready, 0, "not {last:?} but {all:?}");
        all.extend(notices(kernel));
    }
    all
}
