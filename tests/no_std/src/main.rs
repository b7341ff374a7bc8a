//! The core without the standard library: two nodes exchange routes, with an allocator over 128 KiB and this program's
//! own panic handler. Exits with code 0 if each node has learned the other's route. If a dependency linked the standard
//! library, its panic handler would be a second one, which is an error.
#![no_std]
#![no_main]

extern crate alloc;

mod bare;
mod heap;

use alloc::collections::VecDeque;
use core::ffi::{c_char, c_int};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use metalbond::{Action, Command, Config, ConfigError, ConnId, Input, Instant, NextHop, Node, Prefix, Route, Vni};

const SERVER: usize = 0;
const CLIENT: usize = 1;

/// Called by the start code of the C library.
// SAFETY: the only symbol of this name, with the signature that C defines.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    match exchange() {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(_) => 2,
    }
}

/// Runs two nodes that announce one route each. Returns true if each has learned the other's.
fn exchange() -> Result<bool, ConfigError> {
    let now = Instant::EPOCH;
    let mut nodes = [Node::new(Config::default(), now)?, Node::new(Config::default(), now)?];
    let vni = Vni(23);
    let routes = [1, 2].map(|host| Route {
        vni,
        prefix: host_prefix(host),
        next_hop: NextHop::standard(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()).into()),
    });

    let mut events = VecDeque::from([(SERVER, Input::Command(Command::SetListening(true)))]);
    for node in [SERVER, CLIENT] {
        events.push_back((node, Input::Command(Command::Announce(routes[node]))));
        events.push_back((node, Input::Command(Command::Subscribe(vni))));
    }
    events.push_back((CLIENT, Input::Command(Command::AddPeer { endpoint: "server".into() })));

    let accepted = ConnId::accepted(0);
    let mut dialled = None;
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 4711));
    while let Some((node, input)) = events.pop_front() {
        for action in nodes[node].handle_input(now, input) {
            if let Action::Dial { conn, .. } = action {
                dialled = Some(conn);
                events.push_back((SERVER, Input::Accepted { conn: accepted, remote }));
                events.push_back((CLIENT, Input::Connected { conn, remote }));
            }
        }
        while let Some(transmit) = nodes[node].poll_transmit() {
            let far_end = if node == SERVER { dialled } else { Some(accepted) };
            for bytes in transmit.chunks {
                events.extend(far_end.map(|conn| (1 - node, Input::Received { conn, bytes })));
            }
            events.push_back((node, Input::Sent { conn: transmit.conn }));
        }
    }
    Ok(nodes[SERVER].learned(vni).eq([routes[CLIENT]]) && nodes[CLIENT].learned(vni).eq([routes[SERVER]]))
}

/// Returns the address of a host.
fn host_prefix(host: u8) -> Prefix {
    Prefix::new(IpAddr::from([10, 0, 23, host]), 32).expect("32 bits are not too many for IPv4")
}
