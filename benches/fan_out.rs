//! The cost of the core without sockets: 100,000 routes of one announcer are sent to the subscribers of a server node.
//! Each line is the median of several rounds; the last column is relative to decoding the same bytes.
//!
//! `cargo bench --bench fan_out`; `-- --test` runs one small round. `hot` measures the parts separately.

use std::time::Duration;

use bytes::Bytes;

mod common {
    pub(crate) mod frames;
    pub(crate) mod rounds;
    pub(crate) mod server;
    mod updates;
}
use common::frames::{ADD, REMOVE, adds, decode};
use common::rounds::{median, time};
use common::server::{ANNOUNCER, Server};

fn main() {
    let is_test = std::env::args().any(|arg| arg == "--test");
    let (routes, rounds) = if is_test { (1_000, 1) } else { (100_000, 9) };
    let adds = adds(routes);
    println!("{routes} routes, {} bytes each; median of {rounds}", adds.iter().map(Bytes::len).sum::<usize>() / routes);
    let decode = median(rounds, || time(|| assert_eq!(decode(&adds), routes)));
    let report = |name: &str, took: Duration, deliveries: usize| {
        let each = took.as_nanos() as f64 / (routes * deliveries) as f64;
        let ratio = took.as_secs_f64() / decode.as_secs_f64();
        println!("{name:<52} {:>9.3} ms {each:>8.1} ns each {ratio:>7.2} x decode", took.as_secs_f64() * 1e3);
    };
    report("decode", decode, 1);
    for subscribers in [0, 1, 10, 100] {
        let took = median(rounds, || {
            let server = Server::new(subscribers);
            delivering(server, routes * subscribers as usize * ADD, |server| server.feed_and_drain(ANNOUNCER, &adds))
        });
        report(&format!("announce, {subscribers} subscribers (each: per delivery)"), took, subscribers.max(1) as usize);
    }
    for (name, joiners) in [("one late joiner", 1), ("ten late joiners", 10)] {
        let took = median(rounds, || {
            let mut server = Server::new(0);
            server.feed_and_drain(ANNOUNCER, &adds);
            // The announcer's handshake, which is as long as the others'.
            let handshake = Server::new(0).take_delivered();
            let bytes = joiners as usize * (routes * ADD + handshake);
            delivering(server, bytes, |server| (1..=joiners).for_each(|n| server.join(n)))
        });
        report(name, took, joiners as usize);
    }
    let took = median(rounds, || {
        let mut server = Server::new(10);
        server.feed_and_drain(ANNOUNCER, &adds);
        delivering(server, routes * 10 * REMOVE, Server::lose_announcer)
    });
    report("the announcer vanishes, 10 subscribers", took, 10);
}

/// Returns how long it takes until subscribers have been sent this many bytes.
fn delivering(mut server: Server, bytes: usize, work: impl FnOnce(&mut Server)) -> Duration {
    server.take_delivered();
    let took = time(|| work(&mut server));
    assert_eq!(server.take_delivered(), bytes, "not the expected bytes");
    took
}
