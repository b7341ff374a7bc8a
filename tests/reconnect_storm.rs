//! A thousand clients, some of them without the capability, come back at once: to a server that restarted or was cut
//! off, over a network that reset all connections, or after their own restart. They dial a limited number of times, and
//! soon all of them have all routes again. Where the protocol makes it possible, the applications see no change.

use std::time::Duration;

use crate::sim::crowd::Crowd;

const CLIENTS: usize = 1000;
/// The longest back-off, and some round trips.
const BACK: Duration = Duration::from_millis(5500);

#[test]
fn a_server_that_dies_and_dies_again_has_everybody_back_and_no_embedder_notices() {
    let mut crowd = at_rest(1);
    for up in [Duration::from_millis(700), BACK] {
        crowd.kill(0);
        crowd.run_for(Duration::from_secs(3));
        crowd.start(0);
        crowd.run_for(up);
    }
    crowd.check_at_rest();
    assert_eq!(crowd.changes(&crowd.nodes()), 0);
    assert_dials(&crowd, 2, 7);
}

#[test]
fn a_server_that_was_cut_off_has_everybody_back_and_no_embedder_notices() {
    let mut crowd = at_rest(1);
    // The server is not converging any more.
    crowd.run_for(Duration::from_secs(60));
    crowd.cut_off(0);
    crowd.run_for(Duration::from_secs(30));
    crowd.reconnect(0);
    crowd.run_for(BACK);
    crowd.check_at_rest();
    assert_eq!(crowd.changes(&crowd.nodes()), 0);
    assert_dials(&crowd, 1, 30);
}

#[test]
fn a_network_that_resets_everything_again_and_again_costs_nobody_a_route() {
    let mut crowd = at_rest(2);
    for _ in 0..5 {
        crowd.reset_all(0);
        crowd.run_for(Duration::from_millis(300));
    }
    crowd.run_for(BACK);
    crowd.check_at_rest();
    assert_eq!(crowd.changes(&crowd.nodes()), 0);
    assert_dials(&crowd, 5, 2);
}

#[test]
fn one_of_two_servers_that_is_away_for_less_than_the_hold_time_costs_nobody_a_route() {
    let mut crowd = at_rest(2);
    crowd.kill(0);
    crowd.run_for(Duration::from_secs(50));
    crowd.start(0);
    crowd.run_for(BACK);
    crowd.check_at_rest();
    assert_eq!(crowd.changes(&crowd.nodes()), 0);
    assert_dials(&crowd, 1, 50);
}

#[test]
fn half_of_the_clients_restart_and_the_other_half_notices_nothing() {
    let mut crowd = at_rest(1);
    let (restarts, others): (Vec<_>, Vec<_>) = crowd.nodes().into_iter().partition(|client| client % 2 == 0);
    restarts.iter().for_each(|client| crowd.kill(*client));
    crowd.run_for(Duration::from_secs(5));
    restarts.iter().for_each(|client| crowd.start(*client));
    crowd.run_for(Duration::from_secs(1));
    crowd.check_at_rest();
    crowd.run_for(Duration::from_secs(10));
    crowd.check_at_rest();
    assert_eq!(crowd.changes(&others), 0);
    assert_eq!(crowd.most_dials(&restarts), 1);
}

/// Returns a fleet at rest whose hosts have all just started.
fn at_rest(servers: usize) -> Crowd {
    let mut crowd = Crowd::new(servers, CLIENTS);
    crowd.run_for(Duration::from_secs(1));
    crowd.check_at_rest();
    crowd.count_anew();
    crowd
}

/// Checks the number of dials: after each loss some in quick succession, then at most one in 2.5 s.
fn assert_dials(crowd: &Crowd, losses: u32, seconds: u32) {
    let dials = crowd.most_dials(&crowd.nodes());
    assert!(dials <= losses * 7 + seconds * 2 / 5, "{dials} dials");
}
