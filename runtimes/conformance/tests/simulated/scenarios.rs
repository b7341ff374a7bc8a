//! Situations that random operations seldom reach. Each runs with many seeds.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use metalbond_conformance::simulated::{Simulation, Usage};
use metalbond_driver::{
    Changes, CommandError, Config, MetalBond, NextHop, Prefix, Route, Runtime, SessionState, Vni, start,
};

use super::raw::{KEEPALIVE, Raw, SUBSCRIBE, frame_length};

const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 3));
const VNI: Vni = Vni(23);
/// Longer than one step of each of the few tasks in a scenario, and shorter than any timer.
const SOON: Duration = Duration::from_millis(200);

/// The time of a step on a busy machine.
const BUSY: Duration = Duration::from_micros(100);

/// Returns settings with which no timer ends within the time of a scenario.
fn config(seed: u64) -> Config {
    Config { keepalive: Duration::from_secs(60), convergence_time: Duration::ZERO, seed: 1 + seed, ..Config::default() }
}

fn route(n: u16) -> Route {
    let [a, b] = n.to_be_bytes();
    let prefix = Prefix::new(IpAddr::from([10, 0, a, b]), 32).unwrap();
    Route { vni: VNI, prefix, next_hop: NextHop::standard("2001:db8::1".parse().unwrap()) }
}

struct Nodes {
    simulation: Simulation,
    server: MetalBond,
    address: SocketAddr,
    seed: u64,
}

impl Nodes {
    fn new(seed: u64) -> Self {
        let simulation = Simulation::new(seed);
        let (server, _) = start(simulation.host(SERVER), config(seed)).unwrap();
        let address = simulation.block_on(server.listen(SocketAddr::new(SERVER, 0))).unwrap();
        Self { simulation, server, address, seed }
    }

    /// Starts a client, and waits for its session.
    fn client(&self, ip: IpAddr) -> (MetalBond, Changes) {
        let (client, changes) = start(self.simulation.host(ip), config(self.seed)).unwrap();
        self.simulation.block_on(client.add_peer(self.address.into())).unwrap();
        self.simulation.run_for(SOON);
        assert!(self.is_established(&client), "seed {}", self.seed);
        (client, changes)
    }

    fn is_established(&self, client: &MetalBond) -> bool {
        let peers = self.simulation.block_on(client.peers()).unwrap();
        peers.iter().all(|peer| peer.state() == SessionState::Established)
    }
}

fn seeds() -> impl Iterator<Item = u64> {
    0..40
}

#[test]
fn a_reader_that_continues_gets_at_once_the_changes_for_which_the_stream_had_no_room() {
    for seed in seeds() {
        let nodes = Nodes::new(seed);
        let (announcer, _) = nodes.client(CLIENT);
        let (reader, mut changes) = nodes.client(OTHER);
        nodes.simulation.block_on(reader.subscribe(VNI)).unwrap();
        for n in 0..60 {
            nodes.simulation.block_on(announcer.announce_route(route(n))).unwrap();
            nodes.simulation.run_for(Duration::from_millis(50));
        }
        let app = nodes.simulation.host(OTHER);
        let (sender, received) = mpsc::channel();
        let reading = app.spawn(async move {
            while let Some(change) = changes.next().await {
                let _ = sender.send(change.prefix);
            }
        });
        nodes.simulation.run_for(SOON);
        assert_eq!(received.try_iter().collect::<BTreeSet<_>>().len(), 60, "seed {seed}");
        drop(reading);
    }
}

#[test]
fn a_peer_that_always_has_more_to_read_does_not_delay_others() {
    for seed in seeds().take(12) {
        let nodes = Nodes::new(seed);
        let host = nodes.simulation.host(OTHER);
        let raw = nodes.simulation.block_on(Raw::client(&host, nodes.address));
        let (connection, end) = raw.0.id();
        nodes.simulation.make_broad(connection, end.other(), KEEPALIVE.len());
        nodes.simulation.set_step_time(BUSY);
        let flood = host.spawn(async move {
            let many = KEEPALIVE.repeat(500);
            while raw.send(&many).await.is_ok() {}
        });
        nodes.simulation.run_for(SOON);
        nodes.client(CLIENT);
        drop(flood);
    }
}

#[test]
fn an_application_that_always_sends_requests_does_not_delay_peers() {
    for seed in seeds().take(12) {
        let nodes = Nodes::new(seed);
        let app = nodes.simulation.host(SERVER);
        let asks = |server: MetalBond| async move { while server.peers().await.is_ok() {} };
        nodes.simulation.set_step_time(BUSY);
        let tasks: Vec<_> = (0..5).map(|_| app.spawn(asks(nodes.server.clone()))).collect();
        nodes.simulation.run_for(SOON);
        nodes.client(CLIENT);
        drop(tasks);
    }
}

#[test]
fn a_peer_of_the_reference_gets_whole_messages_in_each_segment() {
    for seed in seeds() {
        let nodes = Nodes::new(seed);
        nodes.simulation.block_on(nodes.server.announce_routes((0..300).map(route))).unwrap();
        let host = nodes.simulation.host(CLIENT);
        nodes.simulation.block_on(async {
            let raw = Raw::client(&host, nodes.address).await;
            raw.send(SUBSCRIBE).await.unwrap();
            let (mut record, mut updates, mut records) = (Vec::new(), 0, 0);
            while updates < 300 {
                let (segment, ends_record) = raw.0.read_segment().await.unwrap().expect("the server goes on");
                record.extend(segment);
                if !ends_record {
                    continue;
                }
                records += 1;
                assert!(record.len() <= 1208, "the record is longer than a segment");
                while let Some(length) = frame_length(&record) {
                    updates += usize::from(record.drain(..length).nth(3) == Some(5));
                }
                assert!(record.is_empty(), "a message goes on in the next record: {record:?}");
            }
            assert!(records >= 300 / 30, "{records} records: messages share segments");
        });
    }
}

#[test]
fn a_shutdown_ends_in_time_although_a_peer_never_closes_its_end() {
    for seed in seeds() {
        let simulation = Simulation::new(seed);
        let (host, node) = (simulation.host(SERVER), simulation.host(CLIENT));
        let (listener, address) = host.listen(SocketAddr::new(SERVER, 0)).unwrap();
        let (client, _) = start(node.clone(), config(seed)).unwrap();
        // This server answers each KEEPALIVE, and does not read the end.
        let serving = host.clone();
        let server = host.spawn(async move {
            let raw = Raw::server(&serving, &listener).await;
            let mut received = Vec::new();
            while let Ok(true) = raw.await_frame(&mut received, 2).await {
                if raw.send(KEEPALIVE).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        });
        simulation.block_on(async {
            client.add_peer(address.into()).await.unwrap();
            client.announce_route(route(0)).await.unwrap();
        });
        simulation.run_for(SOON);
        let begin = simulation.now();
        simulation.block_on(client.shutdown_with_cleanup());
        let took = simulation.now() - begin;
        let longest = Config::default().shutdown_timeout + Duration::from_millis(250);
        assert!(SOON < took && took <= longest, "{took:?}: it waits for the peer, and not for long");
        simulation.run_for(Duration::from_millis(1));
        assert_eq!(node.usage(), Usage::default());
        drop(server);
    }
}

#[test]
fn nodes_share_no_lock() {
    let (other, wait) = mpsc::channel::<()>();
    let (looking, looks) = mpsc::channel();
    let blocked = thread::spawn(move || {
        let nodes = Nodes::new(1);
        let look = nodes.server.inspect(move |_| {
            looking.send(()).unwrap();
            // The node blocks its thread, with all locks that it has taken.
            wait.recv_timeout(Duration::from_secs(60)).is_ok()
        });
        nodes.simulation.block_on(look)
    });
    looks.recv().unwrap();
    let nodes = Nodes::new(2);
    let (client, _) = nodes.client(CLIENT);
    nodes.simulation.block_on(client.shutdown());
    assert_eq!(nodes.simulation.block_on(client.subscribe(VNI)), Err(CommandError::Closed));
    other.send(()).unwrap();
    assert_eq!(blocked.join().unwrap(), Ok(true));
}
