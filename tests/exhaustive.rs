//! Exhaustive small worlds: every sequence of a few operations of two clients and one or two servers, with one
//! destination and two next hops. The watchers check every iteration. After each operation, and again at rest, the test
//! compares the routes of each application with those that follow from the operations alone.
//!
//! Operations announce and withdraw next hops, subscribe and unsubscribe, cut and connect links, restart processes, and
//! let time pass. All links are connected at first. Two kinds of sequences are not run:
//!
//! - Continuations of an operation without effect, for example of a second announcement of the same route. The test
//!   tries each of these operations at the end of each sequence that is shorter than the longest ones. It must leave
//!   every node in the same state, so its continuations equal other sequences. The state of a node is what its `Debug`
//!   prints, without the positions of the last lookups (`recent`), which only make the next lookup faster. A tick before
//!   the operation sets the node's time. This assumes that `Debug` prints everything that a node's behaviour depends on.
//! - Images of other sequences, in which two servers, two clients of one kind, or the two next hops change places. Of
//!   up to 8 sequences that differ in this alone, only the first one in order is run. This assumes that the names of
//!   hosts and next hops do not matter. Hosts do differ in their addresses, the seeds of their back-off, and their place
//!   in the order in which the simulator runs them.
//!
//! Nothing else is left out. With two servers, 16 operations have an effect at any point, so there are 69,905 sequences
//! of up to four operations, and 1,118,481 of up to five. The test runs 13,242 and 189,154 of them
//! ([`Scene::sequences`]).
//!
//! The tests take about a minute of one core. They run 39,416 sequences: up to four operations in a perfect network
//! with two servers and with one, and with one server where messages cross; up to three operations in four other
//! scenes. `METALBOND_SIM_STEPS=5` sets another length for all. A sequence that fails is printed as a line for a test
//! below.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::sim::accepted::Accepted;
use crate::sim::cases::number;
use crate::sim::dialled::Dialled;
use crate::sim::host::{Kind, Life};
use crate::sim::ops::{self, Chunking, Op};
use crate::sim::quiet::quietly;
use crate::sim::seat::Seat;
use crate::sim::world::{Setup, World};
use metalbond::Input;

use Step::*;

/// A small world: its servers, its two clients, and the network between them.
#[derive(Clone, Copy, Debug)]
struct Scene {
    name: &'static str,
    servers: u8,
    clients: [Kind; 2],
    /// True if every peer is drained after each frame, so that the exception for slow peers does not apply.
    prompt: bool,
    chunking: Chunking,
    latency: Duration,
    /// The length of a [`Moment`].
    moment: Duration,
    /// Number of operations that have an effect at any point.
    choices: usize,
    /// Length of the longest sequences that are run, unless the environment sets another one.
    steps: usize,
    /// Number of sequences of each length that are run, from length 0 on.
    sequences: &'static [usize],
}

const PROMPT: Scene = Scene {
    name: "PROMPT",
    servers: 2,
    clients: [Kind::Client; 2],
    prompt: true,
    chunking: Chunking::Frames,
    latency: Duration::ZERO,
    moment: A_MOMENT,
    choices: 16,
    steps: 4,
    sequences: &[1, 7, 72, 898, 12_264, 175_912],
};

/// With one server, so that its loss soon removes all routes.
const SINGLE: Scene =
    Scene { name: "SINGLE", servers: 1, choices: 13, sequences: &[1, 7, 67, 745, 8821, 107_707], ..PROMPT };

/// A read returns one or two bytes.
const TINY: Scene = Scene { name: "TINY", prompt: false, chunking: Chunking::Tiny, steps: 3, ..PROMPT };

/// Nothing arrives until time passes, so messages cross. After a moment a message has arrived, but no answer to it. A
/// cut is noticed only by the hold time.
const DISTANT: Scene = Scene {
    name: "DISTANT",
    prompt: false,
    chunking: Chunking::Merged,
    latency: Duration::from_millis(30),
    moment: Duration::from_millis(40),
    ..SINGLE
};

/// Servers retain no routes of these clients, and these clients keep no stale routes.
const FORGETFUL: Scene = Scene { name: "FORGETFUL", clients: [Kind::Quick; 2], steps: 3, ..PROMPT };

/// Clients without the capability. They know one server, and also send requests that change nothing.
const LEGACY: Scene = Scene {
    name: "LEGACY",
    clients: [Kind::Legacy; 2],
    choices: 19,
    steps: 3,
    sequences: &[1, 9, 125, 2061, 36_281],
    ..SINGLE
};

/// A client without the capability beside one with it.
const MIXED: Scene = Scene {
    name: "MIXED",
    clients: [Kind::Client, Kind::Legacy],
    choices: 16,
    sequences: &[1, 13, 178, 2548, 37_768],
    ..LEGACY
};

/// Lost sessions are open again, and no timer has expired yet.
const A_MOMENT: Duration = Duration::from_millis(600);
/// The restart time is over, but none of the longer times.
const A_WHILE: Duration = Duration::from_secs(3);

/// Two next hops of the same kind.
const NEXT_HOPS: [u8; 2] = [0, 254];

/// An operation. Clients, servers and next hops are 0 and 1. The client comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    Announce(u8, u8),
    Withdraw(u8, u8),
    Subscribe(u8),
    Unsubscribe(u8),
    /// Resets the connection. Nothing passes between client and server any more.
    Cut(u8, u8),
    Connect(u8, u8),
    /// The process dies. The next one announces the same routes and subscribes to the same VNIs.
    RestartServer(u8),
    RestartClient(u8),
    /// [`Scene::moment`] passes.
    Moment,
    /// [`A_WHILE`] passes.
    While,
}

#[test]
fn every_short_sequence_in_a_perfect_network_ends_with_the_expected_routes() {
    explore(PROMPT);
}

#[test]
fn every_short_sequence_with_one_server_ends_with_the_expected_routes() {
    explore(SINGLE);
}

#[test]
fn every_short_sequence_in_tiny_pieces_ends_with_the_expected_routes() {
    explore(TINY);
}

#[test]
fn every_short_sequence_with_crossing_messages_ends_with_the_expected_routes() {
    explore(DISTANT);
}

#[test]
fn every_short_sequence_without_stale_and_retained_routes_ends_with_the_expected_routes() {
    explore(FORGETFUL);
}

#[test]
fn every_short_sequence_of_clients_without_the_capability_ends_with_the_expected_routes() {
    explore(LEGACY);
}

#[test]
fn every_short_sequence_of_clients_with_and_without_the_capability_ends_with_the_expected_routes() {
    explore(MIXED);
}

/// Checks the numbers of operations and sequences, and that the images of the sequences that are run are all sequences.
#[test]
fn the_sequences_that_are_run_stand_for_all() {
    for scene in [PROMPT, SINGLE, LEGACY, MIXED] {
        for (n, expected) in scene.sequences.iter().enumerate() {
            let (mut run, mut all) = (0, 0);
            each_sequence(scene, n, &mut |sequence| {
                run += 1;
                all += images(scene, sequence).iter().collect::<BTreeSet<_>>().len();
            });
            let name = scene.name;
            assert_eq!(run, *expected, "{name}: sequences of {n} operations that are run");
            assert_eq!(all, scene.choices.pow(n as u32), "{name}: sequences of {n} operations");
        }
    }
}

/// Runs the sequences of a scene, shorter ones first, so that the first one to fail is one of the shortest.
fn explore(scene: Scene) {
    let longest = number("METALBOND_SIM_STEPS").map_or(scene.steps, |n| n as usize).min(scene.sequences.len() - 1);
    let (mut done, mut all) = (0_usize, 0);
    for n in 0..=longest {
        all += scene.choices.pow(n as u32);
        each_sequence(scene, n, &mut |sequence| {
            done += 1;
            let tries = n < longest;
            let run = || run(scene, sequence, tries);
            if let Err(why) = quietly(|| catch_unwind(AssertUnwindSafe(run))) {
                let why = why.downcast_ref::<String>().map(String::as_str).or(why.downcast_ref().copied());
                panic!("{}\n\n    run({}, &{sequence:?}, {tries});\n", why.unwrap_or("a panic"), scene.name);
            }
        });
    }
    println!("{}: {done} sequences of up to {longest} operations, which stand for {all}", scene.name);
    assert_eq!(done, scene.sequences[..=longest].iter().sum::<usize>(), "sequences of up to {longest} operations");
}

/// Visits the sequences of `n` operations that each have an effect, and of images only the first one.
fn each_sequence(scene: Scene, n: usize, visit: &mut impl FnMut(&[Step])) {
    fn go_on(scene: Scene, wishes: Wishes, sequence: &mut Vec<Step>, n: usize, visit: &mut impl FnMut(&[Step])) {
        // The continuations of an image are images of the continuations of the first sequence.
        if images(scene, sequence).iter().any(|image| *image < *sequence) {
            return;
        }
        if n == 0 {
            return visit(sequence);
        }
        for step in steps(scene.servers) {
            if let Some(next) = wishes.after(step) {
                sequence.push(step);
                go_on(scene, next, sequence, n - 1, visit);
                sequence.pop();
            }
        }
    }
    go_on(scene, Wishes::new(scene), &mut Vec::new(), n, visit);
}

/// Returns all operations, in their order.
fn steps(servers: u8) -> impl Iterator<Item = Step> {
    let pairs = |n: u8| (0..2).flat_map(move |client| (0..n).map(move |other| (client, other)));
    let announce = pairs(2).map(|(client, hop)| Announce(client, hop));
    let withdraw = pairs(2).map(|(client, hop)| Withdraw(client, hop));
    let subscribe = [Subscribe(0), Subscribe(1), Unsubscribe(0), Unsubscribe(1)];
    let cut = pairs(servers).map(|(client, server)| Cut(client, server));
    let connect = pairs(servers).map(|(client, server)| Connect(client, server));
    let restart = (0..servers).map(RestartServer).chain([RestartClient(0), RestartClient(1)]);
    announce.chain(withdraw).chain(subscribe).chain(cut).chain(connect).chain(restart).chain([Moment, While])
}

/// Returns the sequence with servers, clients and next hops in each of their orders, as far as they are alike.
fn images(scene: Scene, sequence: &[Step]) -> [Vec<Step>; 8] {
    std::array::from_fn(|n| {
        let [s, c, h] = [0, 1, 2].map(|bit| n as u8 >> bit & 1);
        let (s, c) = (s & (scene.servers - 1), c & u8::from(scene.clients[0] == scene.clients[1]));
        let image = |step: &Step| match *step {
            Announce(client, hop) => Announce(client ^ c, hop ^ h),
            Withdraw(client, hop) => Withdraw(client ^ c, hop ^ h),
            Subscribe(client) => Subscribe(client ^ c),
            Unsubscribe(client) => Unsubscribe(client ^ c),
            Cut(client, server) => Cut(client ^ c, server ^ s),
            Connect(client, server) => Connect(client ^ c, server ^ s),
            RestartServer(server) => RestartServer(server ^ s),
            RestartClient(client) => RestartClient(client ^ c),
            Moment => Moment,
            While => While,
        };
        sequence.iter().map(image).collect()
    })
}

/// The state that the operations so far ask for.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Wishes {
    clients: [Kind; 2],
    /// True for each next hop that each client announces.
    announced: [[bool; 2]; 2],
    subscribed: [bool; 2],
    /// True for each server that each client is linked to.
    linked: [[bool; 2]; 2],
    /// True if no operation has ended a session.
    is_calm: bool,
    /// True if no operation has cut a link.
    is_whole: bool,
}

impl Wishes {
    fn new(scene: Scene) -> Self {
        Self {
            clients: scene.clients,
            announced: [[false; 2]; 2],
            subscribed: [false; 2],
            linked: [[true, scene.servers > 1]; 2],
            is_calm: true,
            is_whole: true,
        }
    }

    /// Returns the state after this operation, or `None` if it has no effect.
    fn after(self, step: Step) -> Option<Self> {
        let n = usize::from;
        let mut next = self;
        match step {
            Announce(client, hop) => next.announced[n(client)][n(hop)] = true,
            Withdraw(client, hop) => next.announced[n(client)][n(hop)] = false,
            Subscribe(client) => next.subscribed[n(client)] = true,
            // UNSUBSCRIBE from a client without the capability also withdraws its announcements.
            Unsubscribe(client) if self.clients[n(client)].is_raw() && self.subscribed[n(client)] => {
                next.announced[n(client)] = [false; 2];
                next.subscribed[n(client)] = false;
            }
            Unsubscribe(client) => next.subscribed[n(client)] = false,
            Cut(client, server) => next.linked[n(client)][n(server)] = false,
            Connect(client, server) => next.linked[n(client)][n(server)] = true,
            RestartServer(_) | RestartClient(_) | Moment | While => {}
        }
        next.is_calm &= !matches!(step, Cut(..) | RestartServer(_) | RestartClient(_));
        next.is_whole &= !matches!(step, Cut(..));
        let has_effect = match step {
            Announce(client, _) | Withdraw(client, _) | Subscribe(client) | Unsubscribe(client) => {
                next != self || self.clients[n(client)].is_raw()
            }
            Cut(..) | Connect(..) => next.linked != self.linked,
            RestartServer(_) | RestartClient(_) | Moment | While => true,
        };
        has_effect.then_some(next)
    }

    /// Returns the next hops that a client receives: those that the other client announces to a server that both are
    /// linked to. A node leaves out those that it announces itself.
    fn shown_to(&self, client: usize) -> BTreeSet<u8> {
        let other = 1 - client;
        let meet = (0..2).any(|server| self.linked[client][server] && self.linked[other][server]);
        let is_own = |hop: usize| self.announced[client][hop] && !self.clients[client].is_raw();
        let shown = |hop: usize| self.announced[other][hop] && !is_own(hop);
        (0..2).filter(|hop| self.subscribed[client] && meet && shown(*hop)).map(|hop| hop as u8).collect()
    }
}

/// Runs a sequence. Compares after each operation and at rest. If `tries` is true, also tries the operations without
/// effect at its end.
fn run(scene: Scene, sequence: &[Step], tries: bool) {
    let mut world = open(scene);
    let mut wishes = Wishes::new(scene);
    for step in sequence {
        wishes = wishes.after(*step).unwrap_or(wishes);
        let before = [0, 1].map(|client| installed(&world, client));
        act(scene, &mut world, *step);
        if scene.latency.is_zero() {
            world.check_sessions();
            check_applications(&world, &wishes);
        }
        if scene.latency.is_zero() && scene.clients == [Kind::Client; 2] {
            check_no_gap(&world, *step, &wishes, before);
        }
    }
    if tries {
        try_without_effect(scene, &mut world, &wishes);
    }
    check_at_rest(&mut world, &wishes);
    let all = Wishes::new(scene).linked;
    if wishes.linked != all {
        world.heal_all();
        check_at_rest(&mut world, &Wishes { linked: all, ..wishes });
    }
}

/// Returns the world of a scene, with all sessions open.
fn open(scene: Scene) -> World {
    let setup = Setup {
        servers: scene.servers.into(),
        clients: [Kind::Client; 4],
        pacing: false,
        prompt: scene.prompt,
        seed: 0,
    };
    let mut world = World::of(setup, &scene.clients, None, true);
    for path in world.paths.values_mut() {
        (path.chunking, path.latency) = (scene.chunking, scene.latency);
    }
    world.advance(Duration::from_secs(1));
    let servers = usize::from(scene.servers);
    assert!(
        (0..2).all(|client| (0..servers).all(|server| is_open(&world, client, server))),
        "not all sessions are open"
    );
    world
}

fn act(scene: Scene, world: &mut World, step: Step) {
    let servers = world.setup.servers as u8;
    match step {
        Announce(client, hop) => world.act(Op::Announce(servers + client, 0, 0, NEXT_HOPS[usize::from(hop)])),
        Withdraw(client, hop) => world.act(Op::Withdraw(servers + client, 0, 0, NEXT_HOPS[usize::from(hop)])),
        Subscribe(client) => world.act(Op::Subscribe(servers + client, 0)),
        Unsubscribe(client) => world.act(Op::Unsubscribe(servers + client, 0)),
        Cut(client, server) => {
            world.act(Op::CutLink(client, server, ops::Cut::Reset));
            world.settle();
            world.paths.get_mut(&(usize::from(servers + client), usize::from(server))).unwrap().silent = [true; 2];
        }
        Connect(client, server) => world.act(Op::Heal(client, server)),
        RestartServer(server) => restart(world, server),
        RestartClient(client) => restart(world, servers + client),
        Moment => world.advance(scene.moment),
        While => world.advance(A_WHILE),
    }
    world.settle();
}

fn restart(world: &mut World, host: u8) {
    world.act(Op::Kill(host));
    world.act(Op::Start(host, true));
}

/// Tries each operation that has no effect, and checks that no node changes.
fn try_without_effect(scene: Scene, world: &mut World, wishes: &Wishes) {
    for host in &mut world.hosts {
        if let Life::Node(seat) = &mut host.life {
            seat.inbox.push_back(Input::Tick);
        }
    }
    world.settle();
    let before = states(world);
    for step in steps(scene.servers).filter(|step| wishes.after(*step).is_none()) {
        act(scene, world, step);
        for (before, after) in before.iter().zip(&states(world)) {
            assert!(before == after, "{step:?} has an effect: {}", difference(before, after));
        }
    }
}

/// Returns the state of each node as text.
fn states(world: &World) -> Vec<String> {
    let nodes = (0..world.hosts.len()).filter_map(|host| Some(&world.seat(host)?.node));
    nodes.map(|node| without_recent(&format!("{node:?}"))).collect()
}

/// Removes the positions of the last lookups.
fn without_recent(state: &str) -> String {
    let mut parts = state.split("recent: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.trim_start_matches(|c| c != ',' && c != ' '))
}

/// Returns the first place where two texts differ, with some context.
fn difference(before: &str, after: &str) -> String {
    let same = before.chars().zip(after.chars()).take_while(|(a, b)| a == b).count();
    let near = |text: &str| text.chars().skip(same.saturating_sub(80)).take(160).collect::<String>();
    format!("\n{}\n{}", near(before), near(after))
}

/// Lets the world come to rest. Checks that each application has the routes that the operations ask for.
fn check_at_rest(world: &mut World, wishes: &Wishes) {
    world.come_to_rest();
    world.check_at_rest();
    for client in 0..2 {
        if let Some(installed) = installed(world, client) {
            assert_eq!(installed, wishes.shown_to(client), "client {client} has (left), should have (right)");
        }
    }
}

/// Checks the applications when no message is in flight: each one has the routes that the other client announces to a
/// server with which both have a session, and no others if no session has ended.
fn check_applications(world: &World, wishes: &Wishes) {
    let mut linked = *wishes;
    for (client, servers) in linked.linked.iter_mut().enumerate() {
        for (server, linked) in servers.iter_mut().enumerate() {
            *linked = is_open(world, client, server);
        }
    }
    for client in 0..2 {
        let Some(installed) = installed(world, client) else { continue };
        let shown = linked.shown_to(client);
        assert!(shown.is_subset(&installed), "client {client} has {installed:?}, which lacks some of {shown:?}");
        assert!(
            !wishes.is_calm || shown == installed,
            "client {client} has {installed:?}, which is more than {shown:?}"
        );
    }
}

/// Checks that stale and retained routes close gaps: a loss removes no route from an application. While lost sessions
/// open again, routes that the other client still announces also stay, unless a link was cut.
fn check_no_gap(world: &World, step: Step, wishes: &Wishes, before: [Option<BTreeSet<u8>>; 2]) {
    for (client, before) in before.into_iter().enumerate() {
        let (Some(mut stays), Some(installed)) = (before, installed(world, client)) else { continue };
        match step {
            Cut(..) | RestartServer(_) => {}
            RestartClient(restarted) if usize::from(restarted) != client => {}
            Moment | While if wishes.is_whole => stays = &stays & &wishes.shown_to(client),
            _ => continue,
        }
        assert!(
            stays.is_subset(&installed),
            "a gap: client {client} has {installed:?} after {step:?}, and had {stays:?}"
        );
    }
}

/// Returns true if a client and a server have a session that is open at both ends.
fn is_open(world: &World, client: usize, server: usize) -> bool {
    let hosts = [world.setup.servers + client, server];
    let mut conns = world.conns.iter().filter(|conn| conn.hosts == hosts && conn.is_connected());
    conns.any(|conn| {
        let [near, far] = conn.ids;
        let accepted =
            |seat: &Seat| far.and_then(|id| seat.watch.accepted.get(&id)).is_some_and(Accepted::is_established);
        let dialled =
            |seat: &Seat| near.and_then(|id| seat.watch.dialled.get(&id)).is_some_and(Dialled::is_established);
        let is_open_at_the_client = match &world.hosts[hosts[0]].life {
            Life::Node(seat) => dialled(seat),
            Life::Raw(raw) => raw.is_established(),
            Life::Off { .. } => false,
        };
        is_open_at_the_client && world.seat(server).is_some_and(accepted)
    })
}

/// Returns the next hops that a client's application has, or `None` if they are not known: a client without the
/// capability has unsubscribed from the VNI in this session.
fn installed(world: &World, client: usize) -> Option<BTreeSet<u8>> {
    let routes = match &world.hosts[world.setup.servers + client].life {
        Life::Node(seat) => seat.watch.installed.clone(),
        Life::Raw(raw) => raw.is_sure_of(ops::vni(0)).then(|| raw.held())?,
        Life::Off { .. } => panic!("client {client} has no process"),
    };
    Some((0..2).filter(|hop| routes.contains(&ops::route(0, 0, NEXT_HOPS[usize::from(*hop)]))).collect())
}
