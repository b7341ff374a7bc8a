//! One announcer, many subscribers: the cost of a delivery, and how it grows.

use std::time::{Duration, Instant};

use crate::figure::Figure;
use crate::peer::{Peer, read_all};
use crate::process::Subject;
use crate::routes::{VNI, adds};
use crate::scale::Scale;

struct FanOut {
    cpu: Duration,
    wall: Duration,
}

/// Announces routes to this number of subscribers.
async fn fan_out(subject: &Subject, routes: u32, subscribers: usize) -> FanOut {
    let bytes = adds(routes);
    let process = subject.start();
    let mut announcer = Peer::announcer(&process, subject.is_relay, 0).await;
    let mut peers = Vec::new();
    for n in 1..=subscribers {
        let mut peer = Peer::connect(&process, subject.is_relay, n).await;
        peer.subscribe([VNI]).await;
        peers.push(peer);
    }
    let before = process.rest();
    let start = Instant::now();
    let sending = tokio::task::spawn_local(async move {
        announcer.send(&bytes).await;
        announcer
    });
    let (_peers, end) = read_all(peers, routes.into()).await;
    let _announcer = sending.await.expect("all is sent");
    FanOut { cpu: process.rest() - before, wall: end - start }
}

/// Measures deliveries with 10 and with 100 subscribers.
pub(crate) async fn deliveries(subject: &Subject, scale: &Scale) -> Vec<Figure> {
    let few = fan_out(subject, scale.routes, 10).await;
    let many = fan_out(subject, scale.routes, scale.many).await;
    let each = |cpu: Duration, subscribers: usize| cpu.as_nanos() as f64 / subscribers as f64 / f64::from(scale.routes);
    vec![
        Figure::new("CPU per delivered update, 10 subscribers", each(few.cpu, 10), "ns").at_most(35.0),
        Figure::new(format!("CPU per delivered update, {} subscribers", scale.many), each(many.cpu, scale.many), "ns")
            .at_most(15.0),
        Figure::new("wall time, 10 subscribers", few.wall.as_secs_f64() * 1e3, "ms").times_relay(1.5),
        Figure::new(format!("wall time, {} subscribers", scale.many), many.wall.as_secs_f64() * 1e3, "ms")
            .times_relay(1.5),
    ]
}

/// Measures received updates without a subscriber.
pub(crate) async fn received(subject: &Subject, scale: &Scale) -> Vec<Figure> {
    let cpu = fan_out(subject, scale.routes, 0).await.cpu;
    let each = cpu.as_nanos() as f64 / f64::from(scale.routes);
    vec![Figure::new("CPU per received update, no subscriber", each, "ns").at_most(250.0)]
}

/// Points of a line: an amount, and the cost of each delivery or update at that amount.
pub(crate) type Line = Vec<(f64, f64)>;

/// Measures the cost of a delivered update by the number of subscribers.
pub(crate) async fn by_subscribers(subject: &Subject, scale: &Scale) -> (Line, Vec<Figure>) {
    let mut line = Line::new();
    let mut totals = Vec::new();
    for &subscribers in scale.subscribers {
        let total = fan_out(subject, scale.routes, subscribers).await.cpu.as_nanos() as f64 / f64::from(scale.routes);
        totals.push((subscribers as f64, total));
        line.push((subscribers as f64, total / subscribers as f64));
    }
    // The cost of one more subscriber, at the lower and at the upper end.
    let slope = |a: (f64, f64), b: (f64, f64)| (b.1 - a.1) / (b.0 - a.0);
    let [first, second, .., third, last] = totals[..] else { return (line, Vec::new()) };
    let name = format!("one more subscriber: at {} to at {}, per delivery", first.0, last.0);
    let rise = slope(third, last) / slope(first, second);
    (line, vec![Figure::new(name, rise, "x").at_most(1.5)])
}

/// Measures the cost of a received update by the number of routes.
pub(crate) async fn by_routes(subject: &Subject, scale: &Scale) -> (Line, Vec<Figure>) {
    let mut line = Line::new();
    for &routes in scale.tables {
        let cpu = fan_out(subject, routes, 0).await.cpu;
        line.push((routes.into(), cpu.as_nanos() as f64 / f64::from(routes)));
    }
    let [first, .., last] = line[..] else { return (line, Vec::new()) };
    let name = format!("a received update: at {} routes to at {}", first.0, last.0);
    (line, vec![Figure::new(name, last.1 / first.1, "x").at_most(1.5)])
}
