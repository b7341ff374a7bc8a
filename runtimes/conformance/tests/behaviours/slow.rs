//! Slow readers: they do not delay others, use little memory, and get the right table in the end.

use std::collections::BTreeSet;

use metalbond_conformance::routes;

use super::support::{Client, server};
use super::wait::until;
use crate::driver::Route;
use crate::run;

#[test]
fn an_application_that_reads_late_gets_the_right_table_and_no_history() {
    run(async {
        let (_server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;

        // Several times as many changes as the stream has room for.
        let last = rewrite(&announcer, 10_000, 1..=5).await;
        until("the last table", || async { subscriber.learned().await == last }).await;

        subscriber.table.becomes(&last).await;
        // Of the five tables, only the changes that filled the stream and the last table are reported.
        let reported = subscriber.table.additions + subscriber.table.removals;
        assert!(reported < 25_000, "{reported} additions and removals");
    });
}

/// Announces the same routes with one hypervisor after the other. Returns the routes announced at the end.
pub(crate) async fn rewrite(announcer: &Client, n: u32, hypervisors: impl Iterator<Item = u16>) -> BTreeSet<Route> {
    let mut last: BTreeSet<Route> = announcer.node.announced_routes().await.unwrap().into_iter().collect();
    for hypervisor in hypervisors {
        let next = routes(n, hypervisor);
        announcer.node.announce_routes(next.clone()).await.unwrap();
        announcer.node.withdraw_routes(last).await.unwrap();
        last = next;
    }
    last
}
