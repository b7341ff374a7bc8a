//! The node's settings, decoded from four bytes. Zeros are the defaults.

use std::time::Duration;

use metalbond::{Config, Echo, Limits, Pacing};

/// Limits that are low enough for peers to exceed them.
const SMALL: Limits = Limits {
    connections: 6,
    connections_per_address: 3,
    connections_per_second: 8,
    routes: 8,
    routes_per_peer: 5,
    next_hops: 3,
    subscriptions: 5,
    vnis: 3,
    vnis_per_peer: 2,
    ban_time_max: Duration::from_secs(3),
};

pub(super) fn config([flags, limits, times, seed]: [u8; 4]) -> Config {
    let mut config = Config { seed: seed.into(), ..Config::default() };
    let is = |bit: u8| flags & 1 << bit != 0;
    if is(0) {
        config.stale_time = Some(Duration::ZERO);
    }
    if is(1) {
        config.pacing = Some(Pacing { rate: 2000, burst: Pacing::MIN });
    }
    if is(2) {
        config.pacing = None;
    }
    if is(3) {
        config.convergence_time = Duration::ZERO;
    }
    if is(4) {
        config.restart_time_max = Duration::ZERO;
    }
    if is(5) {
        config.unproven_max = 4096;
    }
    if is(6) {
        config.shutdown_timeout = Duration::ZERO;
    }
    if is(7) {
        config.backoff_reset = Duration::ZERO;
    }
    config.echo = match seed % 4 {
        1 => Echo::LoadBalancers,
        2 => Echo::All,
        _ => Echo::None,
    };
    if limits & 1 != 0 {
        config.peers_max = 1;
    }
    if limits & 2 != 0 {
        config.subscriptions_max = 1;
    }
    if limits & 4 != 0 {
        config.announcements_max = 2;
    }
    if limits & 8 != 0 {
        config.limits = SMALL;
    }
    config.keepalive = Duration::from_secs([5, 1, 60, u32::MAX.into()][usize::from(times % 4)]);
    config.handshake_timeout = Duration::from_millis([10_000, 2, 1, 600_000][usize::from(times / 4 % 4)]);
    match times >> 6 {
        1 => config.stale_time = None,
        2 => config.handshake_timeout = Duration::MAX,
        3 => (config.convergence_time, config.shutdown_timeout) = (Duration::MAX, Duration::MAX),
        _ => {}
    }
    config.backoff_min = Duration::from_millis([100, 1, 5000, 100][usize::from(times / 16 % 4)]);
    config.backoff_max = match times / 16 % 4 {
        1 => Duration::MAX,
        3 => config.backoff_min,
        _ => config.backoff_max,
    };
    config
}
