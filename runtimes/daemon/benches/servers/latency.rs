//! The delay of an update from the announcer to each subscriber at a low rate.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metalbond::wire::{Decoded, Deframer, Message, UpdateAction};
use std::io::Write as _;
use tokio::task::spawn_local;

use crate::figure::Figure;
use crate::peer::Peer;
use crate::process::Subject;
use crate::routes::{LEN, VNI, updates};
use crate::scale::Scale;

const SUBSCRIBERS: usize = 10;
/// 2,000 updates per second.
const INTERVAL: Duration = Duration::from_micros(500);

pub(crate) async fn measure(subject: &Subject, scale: &Scale) -> Vec<Figure> {
    let process = subject.start();
    let announcer = Peer::announcer(&process, subject.is_relay, 0).await;
    let start = Instant::now();
    // The time at which each update was sent, in nanoseconds. The announcer's thread stores it before it sends the
    // update.
    let sent: Arc<[AtomicU64]> = (0..scale.timed).map(|_| AtomicU64::new(0)).collect();
    let delays = Rc::new(RefCell::new(Vec::with_capacity(SUBSCRIBERS * scale.timed as usize)));
    let mut tasks = Vec::new();
    for n in 1..=SUBSCRIBERS {
        let mut peer = Peer::connect(&process, subject.is_relay, n).await;
        peer.subscribe([VNI]).await;
        tasks.push(spawn_local(follow(peer, start, Arc::clone(&sent), Rc::clone(&delays))));
    }
    process.rest();
    let stream = announcer.stream.into_std().expect("the connection is open");
    stream.set_nonblocking(false).expect("the connection is open");
    let bytes = updates(UpdateAction::Add, 0..scale.timed);
    let thread = std::thread::spawn(move || {
        let begin = Instant::now();
        for (n, update) in bytes.chunks(bytes.len() / sent.len()).enumerate() {
            std::thread::sleep((begin + INTERVAL * n as u32).saturating_duration_since(Instant::now()));
            sent[n].store(start.elapsed().as_nanos() as u64, Ordering::Release);
            (&stream).write_all(update).expect("the server takes what is sent");
        }
        stream
    });
    for task in tasks {
        task.await.expect("all have come");
    }
    drop(thread.join());
    let mut delays = delays.take();
    delays.sort_unstable();
    let at = |part: f64| delays[(delays.len() as f64 * part) as usize] as f64 / 1e6;
    vec![
        Figure::new("delay at 2,000 updates/s, 10 subscribers, p50", at(0.5), "ms").times_relay(1.3),
        Figure::new("delay at 2,000 updates/s, 10 subscribers, p99", at(0.99), "ms").times_relay(2.0),
    ]
}

/// Measures the delay of each update.
async fn follow(peer: Peer, start: Instant, sent: Arc<[AtomicU64]>, delays: Rc<RefCell<Vec<u64>>>) {
    let (mut deframer, mut left) = (Deframer::default(), sent.len());
    let mut buffer = vec![0; 64 * LEN];
    while left > 0 {
        peer.stream.readable().await.expect("the connection is open");
        let Ok(len) = peer.stream.try_read(&mut buffer) else { continue };
        assert!(len > 0, "the server closed the connection");
        let now = start.elapsed().as_nanos() as u64;
        let mut bytes = &buffer[..len];
        while let Some(frame) = deframer.next(&mut bytes).expect("frames") {
            let Ok(Decoded::Message(Message::Update(update))) = Message::decode(frame) else { continue };
            let IpAddr::V4(destination) = update.route.prefix.addr() else { panic!("an IPv4 route was announced") };
            let n = destination.to_bits() - 0x0a00_0000;
            delays.borrow_mut().push(now - sent[n as usize].load(Ordering::Acquire));
            left -= 1;
        }
    }
}
