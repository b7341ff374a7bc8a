//! Sequences of operations that lead to a situation which random operations would seldom reach, with other operations
//! in between.

use proptest::prelude::*;

use super::ops::Op::*;
use super::ops::{self, Cut, Op};

/// Generates worlds of a few plots each, with other operations between theirs. `servers`: the number of servers of the
/// world.
pub(crate) fn worlds(servers: usize) -> impl Strategy<Value = Vec<Op>> {
    let noise = prop_oneof![3 => Just(None), 1 => ops::all().prop_map(Some)];
    let servers = servers as u8;
    let plot = match servers {
        1 => plot(servers),
        _ => prop_oneof![2 => plot(servers), 1 => plot_between_servers(servers)].boxed(),
    };
    let plots = proptest::collection::vec(plot, 1..4);
    (plots, proptest::collection::vec(noise, 80)).prop_map(|(plots, noise)| {
        let ops = plots.into_iter().flatten().zip(noise);
        ops.flat_map(|(op, noise)| [op].into_iter().chain(noise)).collect()
    })
}

/// A second. Everything in flight arrives, and no deadline for a lost session or route is over.
const A_WHILE: Op = Advance(3);

/// Generates two different clients.
fn two_clients(servers: u8) -> impl Strategy<Value = (u8, u8)> + Clone {
    (0..4u8, 1..4u8).prop_map(move |(c, d)| (servers + c, servers + (c + d) % 4))
}

fn plot(servers: u8) -> BoxedStrategy<Vec<Op>> {
    // Two clients that subscribe to the same VNI and announce the same route; a certificate, and an address.
    let all = (two_clients(servers), 0..3u8, 0..3u8, 0..4u8, 1..8u8, 1..4u8);
    prop_oneof![
        all.clone().prop_map(|((a, b), v, p, n, names, _)| {
            let setting = [Names(a, names), Kill(a), Start(a, true), Subscribe(b, v), Announce(a, v, p, n), A_WHILE];
            [&setting[..], &[Kill(a), Start(a, true), A_WHILE]].concat()
        }),
        all.clone().prop_map(|((a, b), v, p, n, names, address)| {
            let setting = [Names(a, names), Kill(a), Start(a, true), Subscribe(b, v), Announce(a, v, p, n), A_WHILE];
            [&setting[..], &[Address(a, address), Kill(a), Start(a, true), A_WHILE]].concat()
        }),
        // A client comes back with the same names, written in another way. It withdraws the route that it has taken
        // over.
        all.clone().prop_map(|((a, b), v, p, n, ..)| {
            let setting = [Names(a, 4), Kill(a), Start(a, true), Subscribe(b, v), Announce(a, v, p, n), A_WHILE];
            [&setting[..], &[Names(a, 5), Kill(a), Start(a, true), A_WHILE, Withdraw(a, v, p, n), A_WHILE]].concat()
        }),
        // Two neighbours, one of which goes away.
        all.clone().prop_map(|((a, b), v, p, n, names, address)| {
            let neighbours = [Address(a, address), Address(b, address), Names(a, names)];
            let again = [Kill(a), Kill(b), Start(a, true), Start(b, true), Announce(a, v, p, n), A_WHILE];
            [&neighbours[..], &again, &[Kill(a), Announce(b, v, p, n), A_WHILE, Start(a, true), A_WHILE]].concat()
        }),
        // Two processes of one client, recognised by its names or its address, with the same route. One goes away.
        (all.clone(), any::<bool>(), any::<bool>()).prop_map(|(((a, b), v, p, n, names, address), by_name, keep)| {
            let is_one = |host| if by_name { Names(host, names) } else { Address(host, address) };
            let again = [Kill(a), Kill(b), Start(a, true), Start(b, true), Subscribe(b, v)];
            let announce = [Announce(a, v, p, n), Announce(b, v, p, n), A_WHILE];
            let end = [Kill(a), A_WHILE, Start(a, keep), A_WHILE, Withdraw(b, v, p, n), Advance(5)];
            [&[is_one(a), is_one(b)], &again[..], &announce, &end].concat()
        }),
        // The same, but the other one announces the route only afterwards, and withdraws it. It is not a later session
        // of the one that went away, but one beside it: the route stays for the restart time.
        (all.clone(), any::<bool>(), 0..4u8).prop_map(move |(((a, b), v, p, n, names, address), by_name, c)| {
            let is_one = |host| if by_name { Names(host, names) } else { Address(host, address) };
            let again =
                [Kill(a), Kill(b), Start(a, true), Start(b, true), Subscribe(servers + c, v), Announce(a, v, p, n)];
            let end = [A_WHILE, Kill(a), A_WHILE, Announce(b, v, p, n), A_WHILE, Withdraw(b, v, p, n), A_WHILE];
            [&[is_one(a), is_one(b)], &again[..], &end, &[Advance(6), Start(a, true), A_WHILE]].concat()
        }),
        // The same, and both go away: with one route at about the same time, or with two, and the second one is back
        // when the restart time of the first one is over.
        (all.clone(), any::<bool>(), any::<bool>(), 0..4u8).prop_map(
            move |(((a, b), v, p, n, names, address), by_name, is_shared, c)| {
                let is_one = |host| if by_name { Names(host, names) } else { Address(host, address) };
                let (other, between) = if is_shared { (n, A_WHILE) } else { (n + 1, Advance(5)) };
                let again = [Kill(a), Kill(b), Start(a, true), Start(b, true), Subscribe(servers + c, v)];
                let announce = [Announce(a, v, p, n), Announce(b, v, p, other), A_WHILE];
                let end = [Kill(a), between, Kill(b), A_WHILE, A_WHILE, Start(b, true), A_WHILE];
                [&[is_one(a), is_one(b)], &again[..], &announce, &end, &[Withdraw(b, v, p, other), A_WHILE]].concat()
            },
        ),
        // A client comes back before its server has noticed that it was gone, and one that has not noticed itself that
        // it was gone. It keeps its route or withdraws it in the new session.
        (all.clone(), 0..2u8, any::<bool>(), any::<bool>(), 5..8u8).prop_map(
            move |(((a, b), v, p, n, names, _), s, server_keeps, withdraws, then)| {
                let cut = if server_keeps { Cut::ServerKeeps } else { Cut::ClientKeeps };
                let setting = [Names(a, names), Subscribe(b, v), Announce(a, v, p, n), A_WHILE];
                let change = if withdraws { Withdraw(a, v, p, n) } else { Announce(a, v, p, n) };
                [&setting[..], &[CutLink(a - servers, s, cut), A_WHILE, change, Advance(then), A_WHILE]].concat()
            },
        ),
        // A server starts again and converges for a long time, while a client whose route it had does not come back.
        (all.clone(), 1..3u8, any::<bool>()).prop_map(move |(((a, b), v, p, n, ..), convergence, stays)| {
            let all = move |op: fn(u8) -> Op| (0..servers).map(op).collect::<Vec<_>>();
            let setting = [Subscribe(b, v), Announce(a, v, p, n), Advance(5)];
            let mut ops = setting.to_vec();
            ops.extend((0..servers).map(|s| Converge(s, convergence)));
            ops.extend(all(Kill));
            ops.extend((!stays).then_some(Kill(a)));
            ops.extend((0..servers).map(|s| Start(s, true)));
            ops.extend([Advance(5), Advance(6), Advance(7), Advance(7)]);
            ops
        }),
        // Servers without the capabilities. A client unsubscribes from a VNI in which it announces, and subscribes
        // again. The servers start again.
        (all.clone(), any::<bool>(), any::<bool>()).prop_map(move |(((a, b), v, p, n, ..), leaves, still)| {
            let servers = || 0..servers;
            let mut ops: Vec<Op> = servers().flat_map(|s| [Reference(s, true), Kill(s), Start(s, true)]).collect();
            ops.extend([Advance(5), Subscribe(a, v), Announce(a, v, p, n), Subscribe(b, v), Announce(b, v, p, n + 1)]);
            ops.push(A_WHILE);
            if leaves {
                ops.extend([Unsubscribe(a, v), A_WHILE, Subscribe(a, v), A_WHILE]);
            }
            ops.extend(servers().flat_map(|s| [Reference(s, still), Kill(s), Kill(b), Start(s, true), Advance(5)]));
            ops.extend([Advance(6), A_WHILE]);
            ops
        }),
        // The same with two clients that announce the same route, one of which withdraws it.
        all.clone().prop_map(move |((a, b), v, p, n, ..)| {
            let servers = || 0..servers;
            let mut ops: Vec<Op> = servers().flat_map(|s| [Reference(s, true), Kill(s), Start(s, true)]).collect();
            ops.extend([Advance(5), Subscribe(a, v), Announce(a, v, p, n), A_WHILE, Announce(b, v, p, n), A_WHILE]);
            ops.extend([Withdraw(a, v, p, n), A_WHILE, Withdraw(b, v, p, n), A_WHILE, Refuse(a, n)]);
            ops
        }),
        // A policy by names, for a client that is connected, one that has departed, and one with other names.
        (all.clone(), 7..11u8, 7..11u8, 0..8u8).prop_map(|(((a, b), v, p, n, names, _), first, second, others)| {
            let setting = [Names(a, names), Names(b, others), Kill(a), Kill(b), Start(a, true), Start(b, true)];
            let announce = [Subscribe(b, v), Policy(0, first), Announce(a, v, p, n), Announce(b, v, p, n), A_WHILE];
            let depart =
                [Kill(a), Kill(b), A_WHILE, Policy(0, second), A_WHILE, Start(a, true), Start(b, true), A_WHILE];
            [&setting[..], &announce, &depart, &[Policy(0, 0), A_WHILE]].concat()
        }),
    ]
    .boxed()
}

/// A server dials another one, for its own application and for its clients. The other one is a server without the
/// capabilities, or not. One of two clients dials the other server only.
fn plot_between_servers(servers: u8) -> BoxedStrategy<Vec<Op>> {
    let servers_of_plot = (0..servers, 0..2u8, any::<bool>(), 0..END_COUNT);
    let all = (two_clients(servers), 0..3u8, 0..3u8, 0..4u8, servers_of_plot);
    all.prop_map(move |((a, b), v, p, n, (s, nth, is_reference, end))| {
        let t = other(servers, s, nth);
        let is_reference = is_reference || end == END_FILTERED;
        let mut ops = vec![Reference(t, is_reference), Dial(s, nth, true), Subscribe(s, v), Subscribe(a, v)];
        ops.extend([RemovePeer(b - servers, s), Announce(t, v, p, n), Announce(b, v, p, n + 1), A_WHILE]);
        ops.extend(end_between_servers(servers, (s, nth), (v, p, n), end));
        ops.extend([A_WHILE, AddPeer(b - servers, s), A_WHILE]);
        ops
    })
    .boxed()
}

/// Number of ends of a plot of two servers.
const END_COUNT: u8 = 12;
/// The one with a VNI that the first server cannot leave.
const END_FILTERED: u8 = 10;

/// Returns the server that `Dial(s, nth, _)` dials.
fn other(servers: u8, s: u8, nth: u8) -> u8 {
    (s + 1 + nth % (servers - 1)) % servers
}

/// Returns the end of a plot in which a server dials the nth other one, which announces a route and has a client that
/// announces one.
fn end_between_servers(servers: u8, (s, nth): (u8, u8), (v, p, n): (u8, u8, u8), end: u8) -> Vec<Op> {
    let t = other(servers, s, nth);
    let all = || 0..servers;
    match end {
        0 => vec![Withdraw(t, v, p, n)],
        // The stale time passes.
        1 => vec![Kill(t), A_WHILE, Advance(7), A_WHILE, Start(t, true)],
        // The new process converges, and does not announce the route again.
        2 => vec![Kill(t), A_WHILE, Withdraw(t, v, p, n), Start(t, true), Advance(5), Advance(7), Advance(7)],
        3 => vec![Unsubscribe(s, v), A_WHILE, Announce(t, v, p, n + 2), A_WHILE, Subscribe(s, v)],
        4 => vec![Dial(s, nth, false), A_WHILE, Announce(t, v, p, n + 2)],
        // Each server dials each other one.
        5 => {
            let mut ops: Vec<Op> = all().flat_map(|s| [Dial(s, 0, true), Dial(s, 1, true), Subscribe(s, v)]).collect();
            ops.extend([A_WHILE, Announce(s, v, p, n), A_WHILE, Announce(t, v, p + 1, n), A_WHILE, Kill(s), A_WHILE]);
            ops.extend([Withdraw(t, v, p, n), Start(s, true), Advance(5), Withdraw(t, v, p + 1, n)]);
            ops
        }
        6 => vec![Shutdown(s, true), A_WHILE, Withdraw(t, v, p, n), Start(s, true), Advance(5)],
        7 => vec![Shutdown(t, true), A_WHILE, Start(t, true), Advance(5)],
        8 => vec![CutServers(s, nth, Cut::Silence), Advance(6), Withdraw(t, v, p, n), Reunite, Advance(5)],
        9 => vec![CutServers(s, nth, Cut::Reset), A_WHILE, CutServers(s, nth, Cut::ServerKeeps), Withdraw(t, v, p, n)],
        // A VNI in which the first server announces: it stays subscribed to it at a server without the capabilities.
        END_FILTERED => vec![
            Announce(s, v, p, n + 2),
            A_WHILE,
            Unsubscribe(s, v),
            A_WHILE,
            Announce(t, v, p + 1, n),
            Announce(t, v, p + 2, n + 1),
            A_WHILE,
            CutServers(s, nth, Cut::Fin),
            A_WHILE,
            Advance(7),
            Subscribe(s, v),
        ],
        // A long convergence: the time of stale routes passes with an open session.
        _ => vec![
            Converge(t, 1),
            Kill(t),
            A_WHILE,
            Withdraw(t, v, p, n),
            Start(t, true),
            Advance(5),
            Kill(t),
            Advance(5),
            Start(t, true),
            Advance(7),
            Advance(7),
        ],
    }
}
