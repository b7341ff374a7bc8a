//! A network namespace for a test or a benchmark, and short functions for the actions in it.

mod namespace;

use std::io::Write;
use std::process::{Command, Stdio};

use metalbond::Prefix;
use metalbond::fib::{Nexthop, Op, RouteTarget};
use metalbond_linux::{Kernel, Settings};

pub(crate) use namespace::{Namespace, run};

pub(crate) const TABLE: u32 = 1000;
pub(crate) const METRIC: u32 = 2048;

impl Namespace {
    pub(crate) fn open(&self) -> Kernel {
        Kernel::open(settings()).unwrap()
    }

    /// Runs many commands of `ip` in the namespace.
    pub(crate) fn ip_batch(&self, lines: &str) {
        let mut child =
            Command::new("ip").args(["-n", &self.name, "-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        device: "t0".into(),
        protocol: 254,
        metric: METRIC,
        ids: 1_000_000..=1_999_999,
        tables: vec![TABLE],
        nexthop_objects: true,
    }
}

/// Returns the id of the n-th object in this program's range.
pub(crate) fn id(n: u32) -> u32 {
    1_000_000 + n
}

pub(crate) fn nexthop(n: u16) -> Nexthop {
    Nexthop { addr: [0xfd00, 0, 0, 0, 0, 0, 0, n].into(), weight: 1 }
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn object(n: u16) -> Op {
    Op::AddObject { id: id(n.into()), addr: nexthop(n).addr }
}

pub(crate) fn add(destination: &str, target: RouteTarget) -> Op {
    Op::AddRoute { table: TABLE, prefix: prefix(destination), target }
}

pub(crate) fn to_object(n: u32) -> RouteTarget {
    RouteTarget::Object(id(n))
}

/// Carries out operations, which have to succeed.
pub(crate) fn execute(kernel: &mut Kernel, ops: &[Op]) {
    for (op, result) in ops.iter().zip(kernel.execute(ops).unwrap()) {
        assert_eq!(result, Ok(()), "{op:?}");
    }
}
