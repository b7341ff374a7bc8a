//! A network namespace for a test. It is removed after the test, whatever its result. This module does not depend on the code under test:
//! `runtimes/daemon/tests/kernel_routes` uses it, too.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub(crate) struct Namespace {
    pub(super) name: String,
}

/// Runs a test's body in a new namespace, on a thread of its own. The tunnel device is the veth end `t0`, whose other end is `t1`.
/// Processes that the body starts are in the namespace as well.
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
    // A panic is passed on only after the thread has ended, so that the namespace is dropped.
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

    /// Runs a command of `ip` in the namespace, which has to succeed. Returns its output.
    pub(crate) fn ip(&self, args: &str) -> String {
        self.try_ip(args).unwrap_or_else(|error| panic!("ip {args}: {error}"))
    }

    /// Runs a command of `ip` in the namespace. Returns its output, or its error output if it fails.
    pub(crate) fn try_ip(&self, args: &str) -> Result<String, String> {
        let all: Vec<&str> = ["-n", &self.name].into_iter().chain(args.split_whitespace()).collect();
        let output = Command::new("ip").args(&all).output().unwrap();
        let printed = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(printed(output.stdout)) } else { Err(printed(output.stderr)) }
    }
}

fn is_well(args: &[&str]) -> bool {
    Command::new("ip").args(args).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
