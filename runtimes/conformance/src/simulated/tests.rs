//! Tests that the simulated runtime fulfils the contract of a runtime.

use std::collections::BTreeSet;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use super::*;
use metalbond_driver::{Runtime, Stream, Task};

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const SEEDS: u64 = 30;

fn at(ip: IpAddr, port: u16) -> SocketAddr {
    (ip, port).into()
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

async fn write_all(stream: &SimulatedStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(&[io::IoSlice::new(bytes)], true) {
            Err(error) if is_transient(&error) => {}
            result => bytes = &bytes[result?..],
        }
    }
    Ok(())
}

async fn read_all(stream: &SimulatedStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        stream.readable().await?;
        bytes.reserve(100);
        match stream.try_read(&mut bytes) {
            Ok(0) => return Ok(bytes),
            Err(error) if !is_transient(&error) => return Err(error),
            _ => {}
        }
    }
}

/// Two connected hosts: the client's end is on A, the server's on B.
struct Pair {
    simulation: Simulation,
    a: Host,
    b: Host,
    client: SimulatedStream,
    server: SimulatedStream,
}

fn pair(seed: u64) -> Pair {
    let simulation = Simulation::new(seed);
    let (a, b) = (simulation.host(A), simulation.host(B));
    let (listener, address) = b.listen(at(B, 0)).unwrap();
    let (client, server) = simulation.block_on(async {
        let client = a.connect(address, None).await.unwrap();
        loop {
            if let Ok((server, remote)) = b.accept(&listener).await {
                assert_eq!(remote.ip(), A);
                return (client, server);
            }
        }
    });
    Pair { simulation, a, b, client, server }
}

#[test]
fn bytes_arrive_complete_and_in_order_in_both_directions() {
    for seed in 0..SEEDS {
        let Pair { simulation, a, b, client, server } = pair(seed);
        let sent: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
        let echo = b.spawn(async move {
            let received = read_all(&server).await.unwrap();
            write_all(&server, &received).await.unwrap();
        });
        let client = Arc::new(client);
        let (writer, bytes) = (Arc::clone(&client), sent.clone());
        let write = a.spawn(async move {
            write_all(&writer, &bytes).await.unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let received = simulation.block_on(read_all(&client)).unwrap();
        assert!(received == sent, "seed {seed}");
        simulation.block_on(async {
            write.join().await;
            echo.join().await;
        });
        drop(client);
        assert_eq!((a.usage(), b.usage()), Default::default(), "nothing is left");
        assert!(simulation.connections().is_empty());
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let digest = |seed| {
        let Pair { simulation, b, client, server, .. } = pair(seed);
        b.spawn(async move { write_all(&server, &[7; 3000]).await.unwrap() }).detach();
        simulation.block_on(read_all(&client)).unwrap();
        simulation.digest()
    };
    let digests: Vec<_> = (0..SEEDS).map(digest).collect();
    assert_eq!(digests, (0..SEEDS).map(digest).collect::<Vec<_>>());
    assert_eq!(digests.iter().collect::<BTreeSet<_>>().len(), digests.len(), "other seeds give other runs");
}

#[test]
fn no_segment_goes_on_after_the_end_of_a_record() {
    for seed in 0..SEEDS {
        let Pair { simulation, b, client, server, .. } = pair(seed);
        b.spawn(async move {
            for record in 0..50 {
                write_all(&server, &[record; 30]).await.unwrap();
            }
        })
        .detach();
        simulation.block_on(async {
            let mut read = 0;
            while let Some((segment, ends_record)) = client.read_segment().await.unwrap() {
                assert!(segment.iter().all(|byte| *byte == segment[0]), "bytes of two records");
                read += segment.len();
                assert!(!ends_record || read.is_multiple_of(30));
            }
            assert_eq!(read, 50 * 30);
        });
    }
}

#[test]
fn time_jumps_to_the_next_timer_and_timers_end_in_their_order() {
    let simulation = Simulation::new(1);
    let host = simulation.host(A);
    simulation.block_on(async {
        let begin = host.now();
        host.delay(Duration::from_secs(3600)).await;
        assert!(host.now() - begin >= Duration::from_secs(3600));
        host.sleep_until(begin).await;
    });
    assert_eq!(host.usage(), Usage::default());
    assert!(simulation.run_until_idle(simulation.now()));
}

#[test]
fn a_dropped_task_is_dropped_soon_and_a_joined_or_detached_task_ends_by_itself() {
    for seed in 0..SEEDS {
        let simulation = Simulation::new(seed);
        let host = simulation.host(A);
        let done = Arc::new(AtomicUsize::new(0));
        let work = || {
            let (host, done) = (host.clone(), Arc::clone(&done));
            async move {
                host.yield_now().await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        host.spawn(work()).detach();
        drop(host.spawn(work()));
        drop(host.spawn(pending()));
        let panics = host.spawn(async { panic!("as planned") });
        simulation.block_on(async {
            host.spawn(work()).join().await;
            panics.join().await;
        });
        simulation.run_for(Duration::from_secs(1));
        assert_eq!(done.load(Ordering::Relaxed), 2);
        assert_eq!(host.usage(), Usage::default());
        assert_eq!(simulation.panics(), ["as planned"]);
    }
}

#[test]
fn a_future_that_is_dropped_leaves_nothing() {
    for seed in 0..SEEDS {
        let Pair { simulation, a, b, client, .. } = pair(seed);
        let (listener, address) = b.listen(at(B, 0)).unwrap();
        simulation.set_answer("never", Answer::Never);
        let mut cx = Context::from_waker(Waker::noop());
        {
            let mut futures = (
                pin!(client.readable()),
                pin!(a.connect(address, None)),
                pin!(a.resolve("never:1")),
                pin!(a.delay(Duration::from_secs(1))),
                pin!(a.spawn(pending()).join()),
            );
            let _ = futures.0.as_mut().poll(&mut cx);
            assert!(futures.1.as_mut().poll(&mut cx).is_pending());
            assert!(futures.2.as_mut().poll(&mut cx).is_pending());
            assert!(futures.3.as_mut().poll(&mut cx).is_pending());
            assert!(futures.4.as_mut().poll(&mut cx).is_pending());
            simulation.run_for(Duration::from_millis(100));
            assert_eq!((a.usage().attempts, a.usage().lookups, a.usage().tasks), (1, 1, 1));
        }
        simulation.run_for(Duration::from_millis(100));
        assert_eq!(a.usage(), Usage { streams: 1, ..Usage::default() });
        assert_eq!(a.lookups("never"), Lookups { now: 0, most: 1, all: 1 });
        drop((listener, client));
    }
}

#[test]
fn all_futures_that_wait_for_a_connection_are_woken() {
    for seed in 0..SEEDS {
        let Pair { simulation, a, client, server, .. } = pair(seed);
        let client = Arc::new(client);
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let client = Arc::clone(&client);
                a.spawn(async move {
                    let mut nothing = Vec::with_capacity(1);
                    while client.try_read(&mut nothing).is_err() {
                        client.readable().await.unwrap();
                    }
                })
            })
            .collect();
        simulation.run_for(Duration::from_millis(1));
        drop(server);
        simulation.block_on(async {
            for task in tasks {
                task.join().await;
            }
        });
    }
}

#[test]
fn a_stalled_direction_takes_bytes_until_it_is_full_and_goes_on_after_the_fault() {
    for seed in 0..SEEDS {
        let Pair { simulation, b, client, server, .. } = pair(seed);
        simulation.set_fault(Fault::Stalled(B, A));
        b.spawn(async move { write_all(&server, &[7; 200_000]).await.unwrap() }).detach();
        simulation.run_for(Duration::from_secs(60));
        assert_eq!(b.usage().tasks, 1, "the buffer is full");
        let mut buffer = Vec::with_capacity(10);
        assert!(is_transient(&client.try_read(&mut buffer).unwrap_err()));
        simulation.clear_faults();
        assert_eq!(simulation.block_on(read_all(&client)).unwrap().len(), 200_000);
    }
}

#[test]
fn a_reset_is_an_error_once_at_both_ends() {
    for seed in 0..SEEDS {
        let Pair { simulation, client, server, .. } = pair(seed);
        simulation.block_on(write_all(&server, b"perhaps")).unwrap();
        simulation.run_for(Duration::from_secs(1));
        simulation.reset(client.id().0);
        for stream in [&client, &server] {
            assert_eq!(simulation.block_on(read_all(stream)).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
            let error = simulation.block_on(write_all(stream, b"x")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
    }
}

#[test]
fn a_write_to_a_closed_connection_fails() {
    for seed in 0..SEEDS {
        let Pair { simulation, client, server, .. } = pair(seed);
        simulation.block_on(write_all(&client, b"unread")).unwrap();
        simulation.run_for(Duration::from_secs(1));
        drop(server);
        let error = simulation.block_on(read_all(&client)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn connecting_fails_in_all_ways() {
    let simulation = Simulation::new(3);
    let (a, b) = (simulation.host(A), simulation.host(B));
    let kind = |to, local| simulation.block_on(a.connect(to, local)).map(|_| ()).unwrap_err().kind();
    assert_eq!(kind(at(B, 9), None), io::ErrorKind::ConnectionRefused);
    assert_eq!(kind(at(B, 9), Some(at(B, 0))), io::ErrorKind::AddrNotAvailable);
    let (_listener, address) = b.listen(at(B, 4711)).unwrap();
    assert_eq!(b.listen(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    simulation.set_fault(Fault::Refused(address));
    assert_eq!(kind(address, None), io::ErrorKind::ConnectionRefused);
    simulation.clear_faults();
    simulation.set_fault(Fault::NoDescriptorsToOpen(A));
    assert_eq!(simulation.block_on(a.connect(address, None)).unwrap_err().raw_os_error(), Some(24));
    simulation.clear_faults();
    simulation.set_fault(Fault::Unanswered(address));
    let mut attempt = pin!(a.connect(address, Some(at(A, 0))));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(attempt.as_mut().poll(&mut cx).is_pending());
    simulation.run_for(Duration::from_secs(100));
    assert!(attempt.as_mut().poll(&mut cx).is_pending());
    simulation.clear_faults();
    simulation.run_for(Duration::from_secs(2));
    assert!(attempt.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_host_without_descriptors_accepts_later() {
    let simulation = Simulation::new(4);
    let (a, b) = (simulation.host(A), simulation.host(B));
    assert_eq!(b.listen(at(A, 0)).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    let (listener, address) = b.listen("[::]:0".parse().unwrap()).unwrap();
    simulation.set_fault(Fault::NoDescriptorsToAccept(B));
    let _client = simulation.block_on(a.connect(at(B, address.port()), None)).unwrap();
    let error = simulation.block_on(b.accept(&listener)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(24));
    simulation.clear_faults();
    let accepted = simulation.block_on(async {
        loop {
            match b.accept(&listener).await {
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::Interrupted),
                Ok(accepted) => return accepted,
            }
        }
    });
    assert_eq!(accepted.1.ip().to_canonical(), A);
    assert!(accepted.1.is_ipv6(), "the wildcard sees IPv4 as mapped");
}

#[test]
fn names_are_looked_up_fail_and_hang() {
    let simulation = Simulation::new(5);
    let a = simulation.host(A);
    let delay = Duration::from_millis(5);
    simulation.set_answer("server", Answer::Addresses(delay, vec![A, B]));
    simulation.set_answer("down", Answer::Failure(delay));
    simulation.block_on(async {
        assert_eq!(a.resolve("server:7").await.unwrap(), [at(A, 7), at(B, 7)]);
        assert_eq!(a.resolve("down:7").await.unwrap_err().kind(), io::ErrorKind::Other);
        assert_eq!(a.resolve("other:7").await.unwrap_err().kind(), io::ErrorKind::NotFound);
    });
    simulation.set_answer("server", Answer::Never);
    let mut lookup = pin!(a.resolve("server:7"));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(lookup.as_mut().poll(&mut cx).is_pending());
    assert!(simulation.run_until_idle(Duration::from_secs(10)));
    assert!(lookup.as_mut().poll(&mut cx).is_pending());
    simulation.set_answer("server", Answer::Addresses(delay, vec![B]));
    simulation.run_for(2 * delay);
    assert!(lookup.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_killed_host_closes_its_connections() {
    for seed in 0..SEEDS {
        let Pair { simulation, b, client, server, .. } = pair(seed);
        let task = b.spawn(async move {
            let _server = server;
            pending().await
        });
        b.kill();
        simulation.block_on(task.join());
        assert!(simulation.block_on(read_all(&client)).unwrap().is_empty());
        assert_eq!(b.usage(), Usage::default());
    }
}

#[test]
fn a_deadlock_and_a_task_that_spins_are_detected() {
    let simulation = Simulation::new(6);
    let host = simulation.host(A);
    let main = || simulation.block_on(pending::<()>());
    let panic = catch_unwind(AssertUnwindSafe(main)).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("deadlock"));

    let simulation = Simulation::new(6);
    let spinning = simulation.host(A);
    let spins = async move {
        loop {
            spinning.yield_now().await;
        }
    };
    host.spawn(async {}).detach();
    simulation.host(B).spawn(spins).detach();
    let run = || simulation.run_until_idle(Duration::from_secs(1));
    let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("spins"));
}
