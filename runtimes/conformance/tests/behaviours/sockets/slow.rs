//! Subscribers that read nothing for a long time: they do not delay others, use little memory, and get the right table in the end.

use metalbond_conformance::{Line, route};

use crate::behaviours::slow::rewrite;
use crate::behaviours::support::{Client, converged_server, server};
use crate::behaviours::wait::until;
use crate::run;

#[test]
fn a_subscriber_that_reads_none_of_a_million_updates_delays_no_other_and_gets_the_right_table() {
    run(async {
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut quick = Client::subscribed(addr).await;
        let line = Line::to(addr).await;
        let mut slow = Client::subscribed(line.addr).await;
        let first = rewrite(&announcer, 10_000, 0..=0).await;
        slow.table.becomes(&first).await;

        line.hold().await;
        let before = line.passed().await;
        // Each rewrite adds 10,000 routes and removes as many. They alternate between two tables.
        let mut last = rewrite(&announcer, 10_000, (1..=51).map(|n| n % 2)).await;
        // With this route, the last table differs from all earlier ones.
        let end = route(10_000, 1);
        announcer.node.announce_route(end).await.unwrap();
        last.insert(end);
        quick.table.becomes(&last).await;
        assert_eq!(server.peers().await.unwrap().len(), 3, "the slow one is still there");

        line.release().await;
        slow.table.becomes(&last).await;
        let passed = line.passed().await - before;
        // All UPDATEs would be 36 MB. Only those that the kernel had buffered are sent, and then the difference once.
        assert!(passed < 2_000_000, "{passed} bytes");
    });
}

#[test]
fn a_subscriber_that_is_too_slow_is_disconnected_and_comes_back_with_the_right_table() {
    run(async {
        // A server that is converging could not end the stale routes of the client.
        let (server, addr) = converged_server().await;
        let announcer = Client::of(addr).await;
        let mut quick = Client::subscribed(addr).await;
        let line = Line::to(addr).await;
        let mut slow = Client::subscribed(line.addr).await;
        let first = rewrite(&announcer, 10_000, 0..=0).await;
        slow.table.becomes(&first).await;

        line.hold().await;
        // After this, the removals that wait to be sent outnumber the table by more than 65,536.
        let mut last = first;
        for hypervisor in 1..=20 {
            last = rewrite(&announcer, 10_000, hypervisor..=hypervisor).await;
            quick.table.becomes(&last).await;
        }
        until("the slow one closed", || async { server.peers().await.unwrap().len() == 2 }).await;

        line.release().await;
        slow.table.becomes(&last).await;
    });
}
