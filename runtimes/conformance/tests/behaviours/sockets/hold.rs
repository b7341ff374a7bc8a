//! The restart time of a client that a peer by hand plays.

use std::time::{Duration, Instant};

use metalbond_conformance::{Line, routes};

use crate::behaviours::support::{Client, config, server};
use crate::driver::Config;
use crate::run;

#[test]
fn an_announcers_routes_stay_for_its_restart_time_and_go_then() {
    run(async {
        let (_server, addr) = server().await;
        // The end of the line looks to the server like the end of the process.
        let line = Line::to(addr).await;
        let announcer = Client::with(Config { restart_time: Duration::from_secs(1), ..config() }, line.addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        announcer.node.announce_routes(routes(10, 1)).await.unwrap();
        subscriber.table.becomes(&routes(10, 1)).await;

        let before = Instant::now();
        drop(line);
        subscriber.table.becomes(&[].into()).await;
        // Not the 10 s of the default.
        assert!((1..9).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    });
}
