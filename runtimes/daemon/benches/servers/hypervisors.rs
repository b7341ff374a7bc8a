//! A whole cloud that starts at once: each hypervisor announces and subscribes in some of many VNIs.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use metalbond::Vni;
use metalbond::wire::{Deframer, Update, UpdateAction, encode_update};
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::figure::Figure;
use crate::peer::{PATIENCE, Peer, dial};
use crate::process::Subject;
use crate::routes::route;
use crate::scale::Scale;

/// Number of VNIs of each hypervisor.
const VNIS: usize = 30;
const ROUTES: u32 = 10;

/// A digest of a set of routes: their number and the sum of their hashes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Digest {
    count: u64,
    sum: u64,
}

impl Digest {
    fn add(&mut self, payload: &[u8]) {
        let mut hasher = DefaultHasher::new();
        payload.hash(&mut hasher);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }

    fn plus(self, other: Self) -> Self {
        Self { count: self.count + other.count, sum: self.sum.wrapping_add(other.sum) }
    }
}

struct Hypervisor {
    vnis: BTreeSet<u32>,
    announces: BytesMut,
    expects: Digest,
}

pub(crate) async fn measure(subject: &Subject, scale: &Scale) -> Vec<Figure> {
    let process = subject.start();
    process.rest();
    let hypervisors = cloud(scale.hypervisors, scale.vnis);
    let deliveries: u64 = hypervisors.iter().map(|hypervisor| hypervisor.expects.count).sum();
    let before = process.cpu();
    let begin = Instant::now();
    let connected = Rc::new(Cell::new(begin));
    let mut tasks = Vec::new();
    for (n, hypervisor) in hypervisors.into_iter().enumerate() {
        let (addr, connected) = (process.addr, Rc::clone(&connected));
        tasks.push(spawn_local(async move {
            let stream = dial(addr, n).await;
            connected.set(Instant::now());
            start(Peer::silent(stream), hypervisor).await
        }));
    }
    let mut peers = Vec::new();
    for task in tasks {
        peers.push(task.await.expect("the hypervisor has all, and nothing else"));
    }
    let converged = connected.get().elapsed();
    let cpu = process.rest() - before;
    let name = format!("{} hypervisors, {} VNIs", scale.hypervisors, scale.vnis);
    vec![
        Figure::new(format!("{name}: converged after the last connect"), converged.as_secs_f64(), "s").at_most(1.0),
        Figure::new(format!("{name}: all connected after the first"), (connected.get() - begin).as_secs_f64(), "s"),
        Figure::new(format!("{name}: peak memory"), process.peak_memory() as f64 / 1e6, "MB").at_most(100.0),
        Figure::new(format!("{name}: CPU per delivered update"), cpu.as_nanos() as f64 / deliveries as f64, "ns"),
    ]
}

/// Assigns VNIs to the hypervisors, in the same way in every run.
fn cloud(hypervisors: usize, vnis: u32) -> Vec<Hypervisor> {
    let mut random = 1u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as u32
    };
    let mut all = Vec::new();
    let mut by_vni = vec![Digest::default(); vnis as usize];
    let mut own = Vec::new();
    for n in 0..hypervisors {
        let mut mine = BTreeSet::new();
        while mine.len() < VNIS {
            mine.insert(next() % vnis);
        }
        let (mut announces, mut digest) = (BytesMut::new(), Digest::default());
        for &vni in &mine {
            for each in 0..ROUTES {
                let at = announces.len();
                let route = route(Vni(vni + 1), n as u32 * ROUTES + each, n as u16);
                encode_update(&mut announces, &Update { action: UpdateAction::Add, route });
                digest.add(&announces[at + 4..]);
                by_vni[vni as usize].add(&announces[at + 4..]);
            }
        }
        own.push(digest);
        all.push(Hypervisor { vnis: mine, announces, expects: Digest::default() });
    }
    for (hypervisor, own) in all.iter_mut().zip(own) {
        let view = hypervisor.vnis.iter().map(|&vni| by_vni[vni as usize]).fold(Digest::default(), Digest::plus);
        hypervisor.expects = Digest { count: view.count - own.count, sum: view.sum.wrapping_sub(own.sum) };
    }
    all
}

/// Runs a hypervisor until it has all expected routes. Returns the peer, whose routes exist until it is dropped.
async fn start(mut peer: Peer, hypervisor: Hypervisor) -> Peer {
    peer.greet().await;
    peer.subscribe(hypervisor.vnis.iter().map(|&vni| Vni(vni + 1))).await;
    peer.send(&hypervisor.announces).await;
    let (mut deframer, mut digest) = (Deframer::default(), Digest::default());
    let mut buffer = vec![0; 64 * 1024];
    let all = async {
        while digest.count < hypervisor.expects.count {
            peer.stream.readable().await.expect("the connection is open");
            let len = match peer.stream.try_read(&mut buffer) {
                Ok(0) => panic!("the server closed the connection"),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("{error}"),
            };
            let mut bytes = &buffer[..len];
            while let Some(frame) = deframer.next(&mut bytes).expect("frames") {
                if frame.kind == 5 {
                    digest.add(frame.payload);
                }
            }
        }
    };
    if timeout(PATIENCE.min(Duration::from_secs(60)), all).await.is_err() {
        panic!("lost: {digest:?} of {:?}", hypervisor.expects);
    }
    assert_eq!(digest, hypervisor.expects, "the routes are others");
    peer
}
