//! Settings that make a node useless are refused at its start, each with an error of its own. All others are accepted,
//! down to zero and up to the end of time.

use std::time::Duration;

use metalbond::fib::{DeviceState, Fib, FibSettings, FibSettingsError};
use metalbond::{Command, Config, ConfigError, ConnId, Input, Instant, Limits, Node, Pacing, PeerLimit};

fn refusal(config: Config) -> ConfigError {
    Node::new(config, Instant::EPOCH).expect_err("the settings are refused")
}

#[test]
fn a_handshake_timeout_of_zero_is_refused() {
    let error = refusal(Config { handshake_timeout: Duration::ZERO, ..Config::default() });
    assert_eq!(error, ConfigError::HandshakeTimeout);
    assert_eq!(error.to_string(), "the handshake timeout must be over 0: no session would ever open");
}

#[test]
fn a_time_that_the_wire_cannot_carry_is_refused_with_its_name() {
    let of = Config::default;
    for time in [Duration::from_millis(1500), Duration::from_secs(1 << 32)] {
        for (config, name) in [
            (Config { keepalive: time, ..of() }, "keepalive"),
            (Config { restart_time: time, ..of() }, "restart_time"),
            (Config { restart_time_max: time, ..of() }, "restart_time_max"),
        ] {
            let error = refusal(config);
            assert_eq!(error, ConfigError::WholeSeconds(name));
            assert_eq!(error.to_string(), format!("{name} must be a whole number of seconds, at most 4294967295"));
        }
    }
    assert_eq!(refusal(Config { keepalive: Duration::ZERO, ..of() }), ConfigError::Keepalive);
}

#[test]
fn each_limit_of_zero_is_refused_with_its_name() {
    use PeerLimit::*;
    let of = Limits::default;
    for (limits, limit) in [
        (Limits { connections: 0, ..of() }, Connections),
        (Limits { connections_per_address: 0, ..of() }, ConnectionsPerAddress),
        (Limits { connections_per_second: 0, ..of() }, ConnectionsPerSecond),
        (Limits { routes: 0, ..of() }, Routes),
        (Limits { routes_per_peer: 0, ..of() }, RoutesPerPeer),
        (Limits { next_hops: 0, ..of() }, NextHops),
        (Limits { subscriptions: 0, ..of() }, Subscriptions),
        (Limits { vnis: 0, ..of() }, Vnis),
        (Limits { vnis_per_peer: 0, ..of() }, VnisPerPeer),
    ] {
        let error = refusal(Config { limits, ..Config::default() });
        assert_eq!(error, ConfigError::Limit(limit));
        assert_eq!(error.to_string(), format!("the limit {} must be at least 1", limit.name()));
    }
}

#[test]
fn zeros_that_have_a_meaning_are_accepted() {
    let config = Config {
        backoff_reset: Duration::ZERO,
        stale_time: Some(Duration::ZERO),
        session_stale_time: Duration::ZERO,
        restart_time: Duration::ZERO,
        restart_time_max: Duration::ZERO,
        convergence_time: Duration::ZERO,
        peers_max: 0,
        subscriptions_max: 0,
        announcements_max: 0,
        limits: Limits { ban_time_max: Duration::ZERO, ..Limits::default() },
        shutdown_timeout: Duration::ZERO,
        ..Config::default()
    };
    assert!(Node::new(config, Instant::EPOCH).is_ok());
}

#[test]
fn the_largest_settings_are_accepted_and_no_sum_with_them_overflows() {
    let (max, wire_max) = (Duration::MAX, Duration::from_secs(u32::MAX.into()));
    let config = Config {
        keepalive: wire_max,
        handshake_timeout: max,
        send_hold_time: max,
        backoff_min: max,
        backoff_max: max,
        backoff_reset: max,
        stale_time: Some(max),
        session_stale_time: max,
        restart_time: wire_max,
        restart_time_max: wire_max,
        convergence_time: max,
        pacing: Some(Pacing { rate: u32::MAX, burst: u32::MAX }),
        unproven_max: usize::MAX,
        peers_max: usize::MAX,
        subscriptions_max: usize::MAX,
        announcements_max: usize::MAX,
        limits: Limits {
            connections: usize::MAX,
            connections_per_address: usize::MAX,
            connections_per_second: u32::MAX,
            routes: usize::MAX,
            routes_per_peer: usize::MAX,
            next_hops: usize::MAX,
            subscriptions: usize::MAX,
            vnis: usize::MAX,
            vnis_per_peer: usize::MAX,
            ban_time_max: max,
        },
        shutdown_timeout: max,
        ..Config::default()
    };
    let mut node = Node::new(config, Instant::EPOCH).unwrap();
    let mut now = Instant::EPOCH;
    let mut feed = |input| {
        now = now + Duration::from_secs(3600);
        node.handle_input(now, input);
        while node.poll_transmit().is_some() {}
        assert!(node.poll_timeout().is_none_or(|at| at >= Instant::EPOCH));
    };
    feed(Input::Command(Command::SetListening(true)));
    feed(Input::Command(Command::AddPeer { endpoint: "127.0.0.1:4711".into() }));
    let conn = ConnId::accepted(0);
    feed(Input::Accepted { conn, remote: "192.0.2.1:1".parse().unwrap() });
    // HELLO with the longest interval, and KEEPALIVE.
    feed(Input::Received { conn, bytes: vec![1, 0, 6, 1, 8, 255, 255, 255, 255, 15, 1, 0, 0, 2].into() });
    feed(Input::Tick);
    feed(Input::Command(Command::Shutdown { cleanup: true }));
}

#[test]
fn a_kernel_operation_that_fails_is_not_tried_again_without_a_wait() {
    let min = |retry_min| FibSettings { retry_min, ..FibSettings::default() };
    for settings in [min(Duration::ZERO), min(Duration::from_secs(31))] {
        assert_eq!(Fib::new(settings, DeviceState::Up).err(), Some(FibSettingsError::Retry));
    }
    assert!(Fib::new(min(Duration::from_secs(30)), DeviceState::Up).is_ok());
}
