//! The restart time of a client whose connection is cut.

use std::time::{Duration, Instant};

use metalbond_conformance::{Line, routes};

use crate::behaviours::support::{Client, config, server};
use crate::driver::Config;
use crate::run;

#[test]
fn an_announcers_routes_stay_for_its_restart_time_and_are_removed_then() {
    run(async {
        let (_server, addr) = server().await;
        // The server cannot distinguish the end of the line from the end of the client's process.
        let line = Line::to(addr).await;
        let announcer = Client::with(Config { restart_time: Duration::from_secs(1), ..config() }, line.addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        announcer.node.announce_routes(routes(10, 1)).await.unwrap();
        subscriber.table.becomes(&routes(10, 1)).await;

        let before = Instant::now();
        drop(line);
        subscriber.table.becomes(&[].into()).await;
        // The routes do not stay for the default of 10 s.
        assert!((1..9).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    });
}
