//! A thousand clients, some of them without the capability, come back at once: to a server that restarted or was cut
//! off, over a network that reset all connections, or after their own restart. They dial a limited number of times, and
//! soon all of them have all routes again. Where the protocol makes it possible, the applications see no change.

use std::time::Duration;

use crate::sim::fleet::Fleet;

const CLIENTS: usize = 1000;
/// The longest back-off, and some round trips.
const BACK: Duration = Duration::from_millis(5500);

#[test]
fn all_clients_return_to_a_server_that_dies_twice_and_no_application_notices() {
    let mut fleet = at_rest(1);
    for up in [Duration::from_millis(700), BACK] {
        fleet.kill(0);
        fleet.run_for(Duration::from_secs(3));
        fleet.start(0);
        fleet.run_for(up);
    }
    fleet.check_at_rest();
    assert_eq!(fleet.changes(&fleet.nodes()), 0);
    assert_dials(&fleet, 2, 7);
}

#[test]
fn all_clients_return_to_a_server_that_was_cut_off_and_no_application_notices() {
    let mut fleet = at_rest(1);
    // The server is not converging any more.
    fleet.run_for(Duration::from_secs(60));
    fleet.cut_off(0);
    fleet.run_for(Duration::from_secs(30));
    fleet.reconnect(0);
    fleet.run_for(BACK);
    fleet.check_at_rest();
    assert_eq!(fleet.changes(&fleet.nodes()), 0);
    assert_dials(&fleet, 1, 30);
}

#[test]
fn a_network_that_resets_all_connections_again_and_again_costs_no_client_a_route() {
    let mut fleet = at_rest(2);
    for _ in 0..5 {
        fleet.reset_all(0);
        fleet.run_for(Duration::from_millis(300));
    }
    fleet.run_for(BACK);
    fleet.check_at_rest();
    assert_eq!(fleet.changes(&fleet.nodes()), 0);
    assert_dials(&fleet, 5, 2);
}

#[test]
fn one_of_two_servers_that_is_away_for_less_than_the_stale_time_costs_no_client_a_route() {
    let mut fleet = at_rest(2);
    fleet.kill(0);
    fleet.run_for(Duration::from_secs(50));
    fleet.start(0);
    fleet.run_for(BACK);
    fleet.check_at_rest();
    assert_eq!(fleet.changes(&fleet.nodes()), 0);
    assert_dials(&fleet, 1, 50);
}

#[test]
fn half_of_the_clients_restart_and_the_other_half_notices_nothing() {
    let mut fleet = at_rest(1);
    let (restarts, others): (Vec<_>, Vec<_>) = fleet.nodes().into_iter().partition(|client| client % 2 == 0);
    restarts.iter().for_each(|client| fleet.kill(*client));
    fleet.run_for(Duration::from_secs(5));
    restarts.iter().for_each(|client| fleet.start(*client));
    fleet.run_for(Duration::from_secs(1));
    fleet.check_at_rest();
    fleet.run_for(Duration::from_secs(10));
    fleet.check_at_rest();
    assert_eq!(fleet.changes(&others), 0);
    assert_eq!(fleet.most_dials(&restarts), 1);
}

/// Returns a fleet at rest whose hosts have all just started.
fn at_rest(servers: usize) -> Fleet {
    let mut fleet = Fleet::new(servers, CLIENTS);
    fleet.run_for(Duration::from_secs(1));
    fleet.check_at_rest();
    fleet.count_anew();
    fleet
}

/// Checks the number of dials: after each loss some in quick succession, then at most one in 2.5 s.
fn assert_dials(fleet: &Fleet, losses: u32, seconds: u32) {
    let dials = fleet.most_dials(&fleet.nodes());
    assert!(dials <= losses * 7 + seconds * 2 / 5, "{dials} dials");
}
