//! Clients of the reference that read slowly or stop: they are sent no more than they can read. Such a client loses its session when 65,535
//! bytes wait unread.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use metalbond_conformance::{HELLO, KEEPALIVE, SUBSCRIBE, routes};
use smol::channel::unbounded;

use crate::behaviours::support::{Client, server};
use crate::{TLS, run};

/// The bound of the reference is 65,535; this leaves a margin.
const UNREAD_MAX: u64 = 57_000;

/// How a client reads.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// The time before it reads for the first time.
    stop: Duration,
    /// The time that each route takes.
    per_route: Duration,
    /// How many routes it reads at once.
    at_once: usize,
    routes: u32,
}

const FAST: Way = Way { stop: Duration::ZERO, per_route: Duration::ZERO, at_once: 1000, routes: 20_000 };

#[test]
fn clients_of_the_reference_are_sent_no_more_than_they_can_read() {
    let millis = Duration::from_millis;
    let micros = Duration::from_micros;
    let ways = [
        FAST,
        Way { stop: millis(2000), ..FAST },
        Way { per_route: micros(200), at_once: 1, routes: 5000, ..FAST },
        Way { per_route: millis(1), at_once: 1, routes: 2000, ..FAST },
        Way { per_route: millis(3), at_once: 1, routes: 2000, ..FAST },
        Way { per_route: micros(500), at_once: 400, routes: 5000, ..FAST },
        Way { stop: millis(1000), per_route: micros(200), at_once: 2000, routes: 8000 },
    ];
    if TLS {
        return;
    }
    run(async {
        let (_server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut quick = Client::subscribed(addr).await;
        announcer.node.announce_routes(routes(20_000, 1)).await.unwrap();
        quick.table.becomes(&routes(20_000, 1)).await;
        let (sender, ends) = unbounded();
        for way in ways {
            let sender = sender.clone();
            thread::spawn(move || sender.try_send((way, read(addr, way))).is_ok());
        }
        // A reader that loses its session panics, and sends nothing.
        drop(sender);
        for _ in ways {
            let (way, unread_max) = ends.recv().await.expect("each reader ends");
            assert!(unread_max <= UNREAD_MAX, "{unread_max} bytes unread: {way:?}");
        }
    });
}

/// Reads routes in a way, with a session of its own. Returns the most bytes that waited unread.
fn read(server: SocketAddr, way: Way) -> u64 {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(HELLO).unwrap();
    assert_eq!(frame(&mut stream)[3], 1, "HELLO");
    stream.write_all(KEEPALIVE).unwrap();
    assert_eq!(frame(&mut stream), KEEPALIVE);
    stream.write_all(SUBSCRIBE).unwrap();
    let (mut unread_max, mut got, mut spoke) = (0, 0, Instant::now());
    let mut pause = |time: Duration, stream: &TcpStream| {
        let end = Instant::now() + time;
        loop {
            unread_max = unread_max.max(rustix::io::ioctl_fionread(stream).unwrap());
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            // The time that a client's work takes.
            thread::sleep(left.min(Duration::from_millis(20)));
        }
    };
    pause(way.stop, &stream);
    while got < way.routes as usize {
        for _ in 0..way.at_once.min(way.routes as usize - got) {
            while frame(&mut stream)[3] != 5 {}
            got += 1;
        }
        pause(way.per_route * way.at_once as u32, &stream);
        if spoke.elapsed() >= Duration::from_secs(5) {
            spoke = Instant::now();
            stream.write_all(KEEPALIVE).unwrap();
        }
    }
    unread_max
}

fn frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).unwrap();
    frame.resize(4 + usize::from(u16::from_be_bytes([frame[1], frame[2]])), 0);
    stream.read_exact(&mut frame[4..]).unwrap();
    frame
}
