//! The real thread of the kernel routes, while another program removes all nexthop groups.

use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use metalbond::fib::{Fib, FibSettings, FibStats, Found, FoundObject};
use metalbond::{NextHop, RouteChange, Vni};
use metalbond_linux::{Kernel, KernelRoutes};

use crate::linux::destination;
use crate::linux::netns::{self, *};

const VNI: Vni = Vni(23);
/// The number of groups, each of two hypervisors.
const GROUPS: u32 = 16;

/// Prints the time of the installation of routes through groups, and of their repair after all groups were removed.
pub(crate) fn measure(routes: u32, is_ipv6: bool) {
    netns::run(|namespace| {
        let kernel = namespace.open();
        let settings = FibSettings { tables: [(VNI, TABLE)].into(), ids: settings().ids, ..FibSettings::default() };
        let thread = KernelRoutes::start(Fib::new(settings, kernel.device()).unwrap(), kernel).unwrap();
        block_on(thread.release_adopted()).unwrap();
        let stats = || block_on(thread.stats()).unwrap();
        let is_there = |stats: &FibStats| stats.installed == routes as usize;
        let mut kernel = namespace.open();

        until(Instant::now(), || stats().dumps > 0);
        let start = Instant::now();
        let changes: Vec<RouteChange> = (0..routes).map(|n| change(n, is_ipv6)).collect();
        for changes in changes.chunks(1000) {
            block_on(thread.change(changes.to_vec())).unwrap();
        }
        let installed = until(start, || is_there(&stats()));

        let groups = found_groups(&mut kernel);
        assert_eq!(groups.len(), GROUPS as usize);
        let dumps = stats().dumps;
        namespace.ip_batch(&groups.iter().map(|id| format!("nexthop del id {id}\n")).collect::<String>());
        let start = Instant::now();
        let repaired = loop {
            let took = until(start, || is_there(&stats()) && stats().dumps > dumps);
            // After the first of several groups, all may seem to be there.
            if count(&mut kernel) == routes as usize {
                break took;
            }
        };
        println!(
            "IPv{}: all groups of {routes} routes are removed: repaired in {:.1} ms, installed in {:.1} ms, ratio {:.2}",
            if is_ipv6 { 6 } else { 4 },
            repaired.as_secs_f64() * 1e3,
            installed.as_secs_f64() * 1e3,
            repaired.as_secs_f64() / installed.as_secs_f64(),
        );
        block_on(thread.stop(false)).unwrap();
    });
}

fn change(n: u32, is_ipv6: bool) -> RouteChange {
    let first = (n % GROUPS) as u16 + 1;
    let hops = [first, first + 1].map(|hypervisor| NextHop::standard(nexthop(hypervisor).addr.into()));
    RouteChange::new(VNI, prefix(&destination(n, is_ipv6)), hops, [], [])
}

/// Returns the time from `start` until a condition is true.
fn until(start: Instant, is_true: impl Fn() -> bool) -> Duration {
    while !is_true() {
        thread::sleep(Duration::from_micros(200));
    }
    start.elapsed()
}

fn found_groups(kernel: &mut Kernel) -> Vec<u32> {
    let mut groups = Vec::new();
    let dumped = kernel.dump(|found| {
        if let Found::Object { id, what: FoundObject::Group(_) } = found {
            groups.push(id);
        }
    });
    dumped.unwrap();
    groups
}

fn count(kernel: &mut Kernel) -> usize {
    let mut count = 0;
    kernel.dump(|found| count += usize::from(matches!(found, Found::Route { .. }))).unwrap();
    count
}
