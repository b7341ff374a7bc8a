//! Whatever happens, all hosts end with the routes of the model, and every message on the way is one that the protocol
//! allows.

use crate::sim::cases::check_cases;
use crate::sim::host::Kind::*;
use crate::sim::world::Setup;

const ONE: Setup =
    Setup { servers: 1, clients: [Client, NoHold, Client, Legacy], pacing: false, prompt: false, seed: 0 };

#[test]
fn clients_of_one_server_agree_over_any_network() {
    check_cases(ONE, 5);
}

#[test]
fn clients_of_two_servers_agree_over_any_network() {
    check_cases(Setup { servers: 2, clients: [Client, NoHold, Quick, Listening], ..ONE }, 5);
}

#[test]
fn peers_without_the_capability_are_sent_the_same() {
    check_cases(Setup { clients: [Legacy, Pipelining, Quick, Legacy], ..ONE }, 5);
}

#[test]
fn pacing_delays_and_loses_nothing() {
    check_cases(Setup { clients: [Legacy, Pipelining, Client, Listening], pacing: true, ..ONE }, 5);
}

#[test]
fn a_subscriber_that_keeps_up_is_sent_each_change_once() {
    check_cases(Setup { prompt: true, ..ONE }, 10);
}

#[test]
fn subscribers_of_two_servers_that_keep_up_are_sent_each_change_once() {
    check_cases(Setup { servers: 2, clients: [Client, Quick, Listening, Pipelining], prompt: true, ..ONE }, 10);
}
