//! Recordings: a recorded node behaves like any other, and the replay of its recording gives the same outputs.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::mpsc;
use std::time::Duration;

use metalbond_conformance::{VNI, routes};
use smol::channel::{Receiver, Sender, unbounded};

use crate::behaviours::sockets::established;
use crate::behaviours::support::{ANY, Client, Table, config, listen, node, options, server};
use crate::behaviours::wait::{until, within};
use crate::driver::{Config, ConfigError, Policy, Rule, StartError, Step, Summary, replay, start_with};
use crate::run;

#[test]
fn recordings_of_a_server_and_a_client_are_replayed_the_same() {
    run(async {
        let (tape, of_server) = tape();
        let (server, _) = start_with(config(), options().record(tape)).unwrap();
        let addr = listen(&server, ANY.parse().unwrap()).await.unwrap();
        let (tape, of_client) = self::tape();
        let (client, changes) = start_with(config(), options().record(tape)).unwrap();
        let mut table = Table::new(changes);
        client.add_peer(addr.into()).await.unwrap();
        client.subscribe(VNI).await.unwrap();

        let announcer = Client::subscribed(addr).await;
        announcer.node.announce_routes(routes(5_000, 1)).await.unwrap();
        table.becomes(&routes(5_000, 1)).await;
        client.announce_routes(routes(100, 2)).await.unwrap();
        announcer.node.withdraw_routes(routes(4_000, 1)).await.unwrap();
        table.becomes(&routes(5_000, 1).difference(&routes(4_000, 1)).copied().collect()).await;
        // Connections end in all ways: with a reset, with garbage, and with the server's own end.
        established(addr).await.reset();
        established(addr).await.send(&[9; 100]).await;
        until("only two", || async { server.peers().await.unwrap().len() == 2 }).await;
        announcer.node.shutdown().await;
        within("the end", client.shutdown_with_cleanup()).await;
        within("the end", server.shutdown()).await;

        let (server, routes_out) = replayed(of_server).await;
        assert!(server.inputs > 20 && server.bytes > 5_000 * 20, "{server:?}");
        assert_eq!((routes_out, server.is_cut), (0, false));
        let (client, routes_out) = replayed(of_client).await;
        assert_eq!(routes_out, table.additions + table.removals, "as many as the stream of changes had");
        assert_eq!((client.changes > 0, client.is_cut), (true, false));
    });
}

#[test]
fn a_recording_of_a_server_whose_policy_is_replaced_is_replayed_the_same() {
    run(async {
        let (tape, written) = tape();
        let readers = Rule { subscribe: "23".parse().unwrap(), ..Rule::new("readers", ["any".parse().unwrap()]) };
        let policy = Some(Policy::new([readers]));
        let (server, _) = start_with(Config { policy: policy.clone(), ..config() }, options().record(tape)).unwrap();
        let addr = listen(&server, ANY.parse().unwrap()).await.unwrap();
        let mut subscriber = Client::subscribed(addr).await;
        let announcer = Client::of(addr).await;
        announcer.node.announce_routes(routes(10, 1)).await.unwrap();
        server.set_policy(None).await.unwrap();
        subscriber.table.becomes(&routes(10, 1)).await;
        server.set_policy(policy).await.unwrap();
        subscriber.table.becomes(&[].into()).await;
        within("the end", server.shutdown()).await;
        let (server, _) = replayed(written).await;
        assert!(server.inputs > 10 && !server.is_cut, "{server:?}");
    });
}

#[test]
fn a_recording_of_a_node_without_a_reader_of_changes_is_replayed_the_same() {
    run(async {
        let (_server, addr) = server().await;
        let (tape, written) = tape();
        let (client, changes) = start_with(config(), options().record(tape)).unwrap();
        client.add_peer(addr.into()).await.unwrap();
        client.subscribe(VNI).await.unwrap();
        let announcer = Client::of(addr).await;
        announcer.node.announce_routes(routes(10_000, 1)).await.unwrap();
        let learned =
            || async { client.route_table().learned(VNI).await.unwrap().into_iter().collect::<BTreeSet<_>>() };
        until("all of them", || async { learned().await == routes(10_000, 1) }).await;
        drop(changes);
        within("the end", client.shutdown()).await;
        assert!(replayed(written).await.1 > 0, "what the stream had room for");
    });
}

#[test]
fn a_recording_is_complete_when_a_shutdown_returns_and_when_the_last_handle_is_dropped() {
    run(async {
        let (tape, written) = tape();
        let (node, _) = start_with(config(), options().record(tape)).unwrap();
        node.subscribe(VNI).await.unwrap();
        within("the end", node.shutdown()).await;
        let all: Vec<u8> = std::iter::from_fn(|| written.try_recv().ok()).flatten().collect();
        assert!(all.ends_with(b"\n"));
        assert_eq!(replay(&all[..], |_, _| Ok(())).unwrap().inputs, 2);

        let (tape, written) = self::tape();
        let (node, _) = start_with(config(), options().record(tape)).unwrap();
        node.subscribe(VNI).await.unwrap();
        drop(node);
        assert_eq!(replayed(written).await.0.inputs, 2);
    });
}

#[test]
fn a_recording_that_cannot_be_written_does_not_affect_the_node() {
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    run(async {
        let (server, _) = start_with(config(), options().record(Full)).unwrap();
        let addr = listen(&server, ANY.parse().unwrap()).await.unwrap();
        let (announcer, mut subscriber) = (Client::of(addr).await, Client::subscribed(addr).await);
        announcer.node.announce_routes(routes(1_000, 1)).await.unwrap();
        subscriber.table.becomes(&routes(1_000, 1)).await;
        within("the end", server.shutdown()).await;
    });
}

#[test]
fn a_recording_whose_writer_hangs_delays_only_the_shutdown_and_for_a_bounded_time() {
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Blocks until the test has ended.
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    run(async {
        let (_gate, stuck) = mpsc::channel();
        let (server, _) = start_with(config(), options().record(Stuck(stuck))).unwrap();
        let addr = listen(&server, ANY.parse().unwrap()).await.unwrap();
        let (announcer, mut subscriber) = (Client::of(addr).await, Client::subscribed(addr).await);
        announcer.node.announce_routes(routes(1_000, 1)).await.unwrap();
        subscriber.table.becomes(&routes(1_000, 1)).await;
        within("the end", server.shutdown()).await;
    });
}

#[test]
fn a_setting_out_of_its_range_is_refused_and_nothing_is_recorded() {
    run(async {
        let (tape, written) = tape();
        let error = start_with(Config { keepalive: Duration::ZERO, ..config() }, options().record(tape)).unwrap_err();
        assert!(matches!(error, StartError::Config(ConfigError::Keepalive)), "{error}");
        assert!(written.recv().await.is_err());
        // Without a recording, the shutdown does not wait for one.
        within("the end", node().await.shutdown()).await;
    });
}

/// A writer that sends the written bytes to a test.
struct Tape(Sender<Vec<u8>>);

fn tape() -> (Tape, Receiver<Vec<u8>>) {
    let (sender, receiver) = unbounded();
    (Tape(sender), receiver)
}

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_send(bytes.to_vec()).expect("the test reads it");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until a recording has ended, and replays it. Returns its summary, and the number of next hops that its changes add and remove.
async fn replayed(written: Receiver<Vec<u8>>) -> (Summary, usize) {
    let mut all = Vec::new();
    within("the end of the recording", async {
        while let Ok(bytes) = written.recv().await {
            all.extend(bytes);
        }
    })
    .await;
    let mut hops = 0;
    let summary = replay(&all[..], |_, step| {
        if let Step::Change(change) = step {
            hops += change.added().len() + change.removed().len();
        }
        Ok(())
    });
    (summary.unwrap(), hops)
}
