//! Subscribers that read nothing for a long time: they delay nobody, cost little, and are right in the end.

use metalbond_conformance::{Line, route};

use crate::behaviours::slow::rewrite;
use crate::behaviours::support::{Client, server, warm_server};
use crate::behaviours::wait::until;
use crate::run;

#[test]
fn a_subscriber_that_does_not_read_for_a_million_updates_delays_nobody_and_is_right_in_the_end() {
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
        // Each rewrite is 10,000 additions and as many removals, there and back again.
        let mut last = rewrite(&announcer, 10_000, (1..=51).map(|n| n % 2)).await;
        // Not a table that was there before.
        let end = route(10_000, 1);
        announcer.node.announce_route(end).await.unwrap();
        last.insert(end);
        quick.table.becomes(&last).await;
        assert_eq!(server.peers().await.unwrap().len(), 3, "the slow one is still there");

        line.release().await;
        slow.table.becomes(&last).await;
        let passed = line.passed().await - before;
        // All of them would be 36 MB. What passes is the little that the kernel held, and the difference once.
        assert!(passed < 2_000_000, "{passed} bytes");
    });
}

#[test]
fn a_subscriber_that_is_too_slow_is_closed_comes_back_and_is_right() {
    run(async {
        // A server that is `warming` could not end what is stale at the client.
        let (server, addr) = warm_server().await;
        let announcer = Client::of(addr).await;
        let mut quick = Client::subscribed(addr).await;
        let line = Line::to(addr).await;
        let mut slow = Client::subscribed(line.addr).await;
        let first = rewrite(&announcer, 10_000, 0..=0).await;
        slow.table.becomes(&first).await;

        line.hold().await;
        // The removals that are still to be sent outgrow the table by more than 65,536.
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
