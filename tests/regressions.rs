//! Faults that were found once, as the shortest lists of operations that showed them.

use crate::sim::act::run;
use crate::sim::host::Kind::*;
use crate::sim::ops::Cut::*;
use crate::sim::ops::Op::*;
use crate::sim::world::Setup;

const ONE: Setup =
    Setup { servers: 1, clients: [Client, NoHold, Client, Legacy], pacing: false, prompt: false, seed: 0 };

#[test]
fn a_quiet_world_comes_to_rest() {
    run(
        Setup { servers: 3, clients: [Client, Listening, Legacy, Pipelining], pacing: true, prompt: false, seed: 0 },
        &[],
    );
}

/// Encoded updates of a VNI whose table was removed were sent again from the next table in the same place.
#[test]
fn a_vni_that_was_empty_for_a_while_is_encoded_anew() {
    let setup = Setup { servers: 2, clients: [Client; 4], pacing: false, prompt: true, seed: 0 };
    run(
        setup,
        &[
            Subscribe(2, 1),
            Announce(4, 1, 0, 0),
            ResetPeer(4, 0),
            Shutdown(4, true),
            ResetPeer(0, 0),
            Announce(2, 1, 1, 0),
            Subscribe(0, 0),
            Subscribe(3, 1),
        ],
    );
    let setup = Setup { clients: [Client, Quick, Listening, Pipelining], ..setup };
    run(
        setup,
        &[
            Announce(3, 1, 2, 1),
            Announce(2, 1, 2, 1),
            ResetConn(2, 1),
            Shutdown(2, false),
            CutLink(5, 1, Fin),
            Subscribe(3, 1),
        ],
    );
    let setup = Setup { seed: 13_781_811_746_311_452_764, ..ONE };
    run(
        setup,
        &[Subscribe(2, 2), Announce(2, 2, 0, 0), CutLink(2, 0, SilenceDown), CutLink(1, 0, Silence), Subscribe(3, 2)],
    );
}

/// Two sessions had departed with the same route. The next client that announced it took it over from only one of them,
/// and was sent its own route.
#[test]
fn a_route_is_taken_over_from_every_session_that_departed_with_it() {
    // Both sessions come from one address, so they count as one client.
    let one_client = [Address(1, 1), Address(2, 1), ResetPeer(0, 0), ResetPeer(1, 0), Advance(3)];
    let depart = [Announce(2, 2, 1, 3), RemovePeer(5, 0), Subscribe(1, 2), Announce(1, 2, 1, 3), ResetPeer(0, 0)];
    run(ONE, &[one_client, depart].concat());
}

/// The same with one process: its second session opened before the server knew that the first one was lost.
#[test]
fn a_client_that_reconnects_twice_in_a_row_is_not_sent_its_own_route() {
    let setup = Setup { prompt: true, seed: 10_851_783_095_800_224_503, ..ONE };
    run(
        setup,
        &[Subscribe(2, 0), Announce(2, 0, 0, 0), Subscribe(0, 0), Subscribe(0, 0), ResetPeer(1, 0), CutLink(5, 0, Fin)],
    );
}

/// A new subscriber without the capability was sent a removal (of its own announcement) after an addition.
#[test]
fn a_new_subscriber_without_the_capability_is_sent_removals_first() {
    run(
        Setup { clients: [Legacy, Pipelining, Client, Listening], pacing: true, ..ONE },
        &[
            Announce(2, 1, 0, 1),
            Subscribe(3, 1),
            Vanish(3),
            Announce(0, 1, 0, 0),
            CutLink(5, 0, Fin),
            Subscribe(4, 1),
            Subscribe(2, 1),
        ],
    );
}

/// A subscription or announcement just before a shutdown does no harm.
#[test]
fn a_shutdown_with_subscriptions_that_were_not_sent_yet_ends() {
    run(ONE, &[Announce(3, 0, 0, 0), Pause(3), Subscribe(3, 0), Shutdown(3, true), Subscribe(3, 0)]);
    let setup = Setup { servers: 2, clients: [Client, NoHold, Quick, Listening], ..ONE };
    run(setup, &[Pause(5), Shutdown(0, false), Announce(5, 0, 0, 0), Shutdown(5, true)]);
}

/// A route that arrived between the command to unsubscribe and the UNSUBSCRIBE stayed in the table for ever.
#[test]
fn a_route_that_arrives_during_the_unsubscription_is_dropped() {
    let setup = Setup { clients: [Legacy, Pipelining, Quick, Legacy], seed: 5_562_380_625_539_182_300, ..ONE };
    run(setup, &[Subscribe(3, 2), Pause(3), Unsubscribe(3, 2), Announce(1, 2, 1, 2)]);
}

/// The first model of policies treated an UNSUBSCRIBE from a VNI that was never subscribed like one from a VNI that was
/// refused.
#[test]
fn a_legacy_client_that_unsubscribes_from_a_vni_without_a_subscription_keeps_its_routes_under_any_policy() {
    let setup = Setup { servers: 2, clients: [Client, Legacy, Pipelining, Client], pacing: true, ..ONE };
    run(setup, &[Policy(6, 6), Announce(4, 0, 0, 0), Unsubscribe(4, 0), Subscribe(0, 0), Policy(0, 0)]);
}

#[test]
fn policies_that_deny_and_permit_again_end_with_what_was_announced() {
    let setup = Setup { clients: [Client, Legacy, Quick, Client], ..ONE };
    let takes = [Policy(0, 1), Policy(0, 2), Policy(0, 3), Policy(0, 4), Policy(0, 5), Policy(0, 6)];
    for (take, announcer) in takes.into_iter().flat_map(|take| (1..=4).map(move |host| (take, host))) {
        run(
            setup,
            &[
                Subscribe(2, 0),
                Announce(announcer, 0, 0, 0),
                Announce(announcer, 0, 1, 3),
                take,
                Advance(3),
                Policy(0, 0),
            ],
        );
    }
}

/// The model did not expect the server's route in the client's table, where it stays until the session ends.
#[test]
fn a_client_stays_subscribed_to_a_vni_of_its_own_at_a_server_without_the_capability() {
    let setup =
        Setup { servers: 2, clients: [Client, Quick, Listening, Pipelining], pacing: false, prompt: true, seed: 0 };
    run(
        setup,
        &[
            Delays(0),
            Announce(0, 2, 0, 0),
            Subscribe(3, 2),
            Kill(0),
            Announce(3, 2, 0, 1),
            Start(0, true),
            Reference(2, true),
            Advance(3),
            Unsubscribe(3, 2),
        ],
    );
}

/// The model did not expect stale routes to stay with such a subscription, which they do until their time is over.
#[test]
fn stale_routes_of_a_vni_that_a_client_cannot_leave_show_when_it_is_subscribed_again() {
    let setup = Setup { prompt: true, ..ONE };
    run(
        setup,
        &[
            Reference(0, true),
            Kill(0),
            Start(0, true),
            Advance(5),
            Subscribe(3, 1),
            Announce(3, 1, 0, 0),
            Subscribe(4, 1),
            Announce(4, 1, 0, 3),
            Advance(3),
            Kill(0),
            Kill(4),
            Start(0, true),
            Advance(5),
            Unsubscribe(3, 1),
            Advance(3),
            Subscribe(3, 1),
            Advance(3),
        ],
    );
}
