//! The behaviours of a node on the simulated runtime: those that need no sockets of the operating system.

use std::cell::RefCell;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use metalbond_conformance::simulated::{Answer, Host, Simulation};
use metalbond_driver::{Runtime, Task};

/// Whether the tests use TLS: not here, because the random numbers of TLS are not simulated.
const TLS: bool = false;

/// The seed, which decides the order of tasks, and where bytes are cut.
const SEED: u64 = 1;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

mod driver {
    pub(crate) use metalbond_driver::*;

    /// Starts a node on the simulated host of this thread.
    pub(crate) fn start_with(config: Config, options: StartOptions) -> Result<(MetalBond, Changes), StartError> {
        metalbond_driver::start_with(super::host(), config, options)
    }
}

/// The behaviours that need no sockets.
#[path = "behaviours"]
mod behaviours {
    mod calls;
    mod cancel;
    mod establish;
    mod handler;
    mod lifecycle;
    mod limits;
    mod listen;
    mod many;
    mod policy;
    mod reconnect;
    mod routes;
    mod servers;
    mod shutdown;
    mod slow;
    mod stale_time;
    pub(crate) mod support;
    pub(crate) mod wait;
}

thread_local! {
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

fn host() -> Host {
    HOST.with_borrow(Clone::clone).expect("a behaviour runs")
}

fn run(behaviour: impl Future<Output = ()>) {
    let simulation = Simulation::new(SEED);
    simulation.set_answer("localhost", Answer::Addresses(Duration::from_millis(1), vec![LOCALHOST]));
    HOST.set(Some(simulation.host(LOCALHOST)));
    simulation.block_on(behaviour);
    HOST.set(None);
    assert_eq!(simulation.panics(), Vec::<String>::new());
}

fn now() -> Instant {
    host().now()
}

async fn sleep(duration: Duration) {
    let host = host();
    host.sleep_until(host.now() + duration).await;
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    host().spawn(task).detach();
}
