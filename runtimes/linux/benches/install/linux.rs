//! The benchmark for Linux, which has netlink.

#[path = "../../tests/netns/mod.rs"]
pub(crate) mod netns;

use std::fmt::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use metalbond::fib::Op;
use metalbond::wire::UpdateAction;
use netns::*;

use crate::{repair, wire};

const OBJECTS: u16 = 64;
/// The number of operations in one call of `execute`.
const CALL: usize = 4096;

/// Runs the benchmark. With `is_test`, it runs one small round, to test that it works.
pub(crate) fn run(is_test: bool) {
    let routes = if is_test { 1_000 } else { 100_000 };
    for is_ipv6 in [false, true] {
        for is_compatible in [true, false] {
            let ours = measure(is_compatible, routes, |namespace| ours(namespace, routes, is_ipv6));
            let ip = measure(is_compatible, routes, |namespace| ip_batch(namespace, routes, is_ipv6));
            let wire = measure(is_compatible, routes, |namespace| from_the_wire(namespace, routes, is_ipv6));
            let (Some((ours, dumped)), Some((ip, _)), Some((wire, _))) = (ours, ip, wire) else { return };
            let [ours, ip, wire, dumped] = [ours, ip, wire, dumped].map(|took| took.as_secs_f64());
            println!(
                "IPv{}, nexthop_compat_mode {}: ip -batch {ip:.3} s; from the wire {wire:.3} s, ratio {:.2}; kernel alone \
                 {ours:.3} s, ratio {:.2}; dump {dumped:.3} s",
                if is_ipv6 { 6 } else { 4 },
                u8::from(is_compatible),
                wire / ip,
                ours / ip,
            );
        }
    }
    for is_ipv6 in [false, true] {
        for is_compatible in [true, false] {
            lose_hypervisor(is_compatible, routes, is_ipv6);
        }
    }
    for routes in [routes / 25, routes] {
        for is_ipv6 in [false, true] {
            repair::measure(routes, is_ipv6);
        }
    }
    compare_memory(routes);
}

/// Measures the loss of one of four hypervisors, to which all routes lead.
fn lose_hypervisor(is_compatible: bool, routes: u32, is_ipv6: bool) {
    netns::run(|namespace| {
        set_compatible(is_compatible);
        let mut client = wire::Client::new(namespace.open());
        let to = |hypervisor: u16| (0..routes).map(move |n| (destination(n, is_ipv6), hypervisor));
        let of_all = (0..routes).flat_map(|n| (1..=4).map(move |hypervisor| (destination(n, is_ipv6), hypervisor)));
        client.install(&wire::updates(UpdateAction::Add, of_all));
        let (ours, kernel) = client.remove_next_hop(&wire::updates(UpdateAction::Remove, to(4)));
        assert_eq!(client.installed(), routes as usize);
        println!(
            "IPv{}, nexthop_compat_mode {}: one of the four next hops of {routes} routes is gone: from the last REMOVE to the \
             message to the kernel {:.2} ms, then the kernel {:.2} ms",
            if is_ipv6 { 6 } else { 4 },
            u8::from(is_compatible),
            ours.as_secs_f64() * 1e3,
            kernel.as_secs_f64() * 1e3,
        );
    });
}

fn set_compatible(is_compatible: bool) {
    std::fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", u8::from(is_compatible).to_string()).unwrap();
}

/// Prints the memory that clients need. Each runs in a process of its own, because a process reuses memory that it has freed.
fn compare_memory(routes: u32) {
    let program = std::env::current_exe().unwrap();
    for routes in [routes, 10 * routes] {
        let output = Command::new(&program).args(["--memory", &routes.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        print!("{}", String::from_utf8(output.stdout).unwrap());
    }
}

/// Installs IPv4 routes from the wire, and prints the memory that the core and the FIB took for them.
pub(crate) fn memory(routes: u32) {
    netns::run(|namespace| {
        execute(&mut namespace.open(), &(1..=OBJECTS).map(object).collect::<Vec<_>>());
        let reads = wire::updates(UpdateAction::Add, (0..routes).map(|n| (destination(n, false), hypervisor(n))));
        let mut client = wire::Client::new(namespace.open());
        let before = resident();
        let took = client.install(&reads).as_secs_f64();
        let bytes = resident().saturating_sub(before);
        assert_eq!(client.installed(), routes as usize);
        println!("{routes} routes: {took:.2} s, {:.1} MB, {} B a route", bytes as f64 / 1e6, bytes / routes as usize);
    });
}

/// Returns the resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

/// Runs `install` in a new namespace. Returns the time of the installation, and the time of a dump.
fn measure(
    is_compatible: bool,
    routes: u32,
    install: impl Fn(&Namespace) -> Duration + Sync,
) -> Option<(Duration, Duration)> {
    let mut took = None;
    netns::run(|namespace| {
        set_compatible(is_compatible);
        execute(&mut namespace.open(), &(1..=OBJECTS).map(object).collect::<Vec<_>>());
        let installed = install(namespace);
        let (mut kernel, mut count) = (namespace.open(), 0);
        let start = Instant::now();
        kernel.dump(|_| count += 1).unwrap();
        took = Some((installed, start.elapsed()));
        assert_eq!(count, routes + u32::from(OBJECTS));
    });
    took
}

fn ours(namespace: &Namespace, routes: u32, is_ipv6: bool) -> Duration {
    let mut kernel = namespace.open();
    let ops: Vec<Op> = (0..routes).map(|n| add(&destination(n, is_ipv6), to_object(object_of(n)))).collect();
    let start = Instant::now();
    for ops in ops.chunks(CALL) {
        execute(&mut kernel, ops);
    }
    start.elapsed()
}

fn from_the_wire(namespace: &Namespace, routes: u32, is_ipv6: bool) -> Duration {
    let mut client = wire::Client::new(namespace.open());
    let reads = wire::updates(UpdateAction::Add, (0..routes).map(|n| (destination(n, is_ipv6), hypervisor(n))));
    let took = client.install(&reads);
    assert_eq!(client.installed(), routes as usize);
    took
}

fn ip_batch(namespace: &Namespace, routes: u32, is_ipv6: bool) -> Duration {
    let mut lines = String::new();
    for n in 0..routes {
        let (destination, id) = (destination(n, is_ipv6), id(object_of(n)));
        writeln!(lines, "route add {destination} nhid {id} table {TABLE} proto 254").unwrap();
    }
    let start = Instant::now();
    namespace.ip_batch(&lines);
    start.elapsed()
}

fn hypervisor(n: u32) -> u16 {
    1 + (n % u32::from(OBJECTS)) as u16
}

fn object_of(n: u32) -> u32 {
    1 + n % u32::from(OBJECTS)
}

pub(crate) fn destination(n: u32, is_ipv6: bool) -> String {
    if is_ipv6 {
        format!("fd10:0:{:x}:{:x}::/64", n >> 16, n & 0xffff)
    } else {
        format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 0xff, n & 0xff)
    }
}
