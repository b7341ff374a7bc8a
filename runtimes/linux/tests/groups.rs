//! Tests of groups whose members are replaced: all routes of the group follow at once, and no packet is lost.

use std::io::{ErrorKind, Read as _};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use metalbond::fib::{Found, FoundObject, Op, OpErrorKind};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use socket2::{Domain, Protocol, Socket, Type};

use crate::look::*;
use crate::netns::{self, *};

fn group(n: u32, members: &[u32]) -> Op {
    Op::AddGroup { id: id(n), members: members.iter().map(|n| (id(*n), 1)).collect() }
}

fn replaced(n: u32, members: &[u32]) -> Op {
    Op::ReplaceGroup { id: id(n), members: members.iter().map(|n| (id(*n), 1)).collect() }
}

/// Returns the members of a group, as `ip` shows them.
fn members(namespace: &Namespace, n: u32) -> Vec<u64> {
    let group = namespace.json("nexthop").into_iter().find(|object| object["id"] == id(n)).unwrap();
    group["group"].as_array().unwrap().iter().map(|member| member["id"].as_u64().unwrap()).collect()
}

#[test]
fn a_group_gets_fewer_and_more_members_and_its_routes_stay() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &(1..=4).map(object).collect::<Vec<_>>());
        execute(
            &mut kernel,
            &[group(9, &[1, 2, 3, 4]), add("10.1.2.0/24", to_object(9)), add("fd10::/64", to_object(9))],
        );
        let routes = dumped_routes(&mut kernel);
        for others in [&[1, 2, 3][..], &[2], &[1, 2, 3, 4], &[4, 1]] {
            execute(&mut kernel, &[replaced(9, others)]);
            assert_eq!(members(namespace, 9), others.iter().map(|n| u64::from(id(*n))).collect::<Vec<_>>());
            assert_eq!(dumped_routes(&mut kernel), routes);
            let found = FoundObject::Group(others.iter().map(|n| (id(*n), 1)).collect());
            assert!(dump(&mut kernel).contains(&Found::Object { id: id(9), what: found }));
        }
        // Its own changes are not reported, not even those that the kernel reports for each route.
        let mut notices = Vec::new();
        kernel.notices(|notice| notices.push(notice)).unwrap();
        assert_eq!(notices, []);
        // A member that is in no group any more can be removed, and the routes stay.
        execute(&mut kernel, &[Op::RemoveObject { id: id(2) }, Op::RemoveObject { id: id(3) }]);
        assert_eq!(dumped_routes(&mut kernel), routes);
    });
}

#[test]
fn replacements_that_the_kernel_refuses_say_why() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1), object(2), group(9, &[1, 2])]);
        let mut kind = |op| kernel.execute(&[op]).unwrap().remove(0).unwrap_err().kind;
        assert_eq!(kind(replaced(8, &[1, 2])), OpErrorKind::Missing);
        assert_eq!(kind(replaced(9, &[1, 3])), OpErrorKind::Missing);
        assert_eq!(kind(replaced(1, &[1, 2])), OpErrorKind::Refused);
        assert_eq!(kind(replaced(9, &[])), OpErrorKind::Refused);
        assert_eq!(members(namespace, 9), [u64::from(id(1)), u64::from(id(2))]);
    });
}

/// Packets are sent while the group of their routes is replaced hundreds of times. Those whose next hop stays arrive at the other end of the
/// device: in IPv4 all of them. In IPv6, the kernel may discard or refuse a packet that is just being sent, also while a single route is
/// replaced: at most one of each sender at each replacement.
#[test]
fn packets_to_a_next_hop_that_stays_arrive_while_a_group_is_replaced() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &(1..=4).map(object).collect::<Vec<_>>());
        execute(
            &mut kernel,
            &[group(9, &[1, 2, 3, 4]), add("10.1.0.0/16", to_object(9)), add("fd10::/64", to_object(9))],
        );
        namespace.ip("address add 10.9.9.1/32 dev lo");
        namespace.ip("-6 address add fd99::1/128 dev lo nodad");
        namespace.ip(&format!("rule add to 10.1.0.0/16 lookup {TABLE}"));
        namespace.ip(&format!("-6 rule add to fd10::/64 lookup {TABLE}"));
        // There are no neighbours: each packet goes to the other end.
        namespace.ip("link set t0 arp off");
        let (is_over, [ipv4, ipv6]) = (AtomicBool::new(false), [IPV4, IPV6].map(received));
        // The first member's share is the lowest part of all hashes, so a flow that has it keeps it in all groups that begin with it.
        let with_first = |from: &str, to: &dyn Fn(u32) -> String| {
            let of_first = |to: &String| {
                namespace.ip(&format!("route get {to} from {from} ipproto udp")).contains(" dst fd00::1 ")
            };
            (1..=255).map(to).find(of_first).expect("a quarter of all flows")
        };
        let to_ipv4 = with_first("10.9.9.1", &|n| format!("10.1.2.{n}"));
        let to_ipv6 = with_first("fd99::1", &|n| format!("fd10::{n:x}"));
        // Returns how many packets were sent.
        let send = |from: &str, to: String| {
            let socket = UdpSocket::bind(from).unwrap();
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                if let Err(error) = socket.send_to(&[0; 100], &to) {
                    assert!(to.starts_with('['), "{error}");
                }
                sent += 1;
                thread::yield_now();
            }
            sent
        };
        let mut replacements = 0;
        let (sent, counted): ([u64; 2], [u64; 2]) = thread::scope(|scope| {
            let counters = [(ipv4, 9, 22), (ipv6, 6, 42)].map(|(socket, protocol, port)| {
                let is_over = &is_over;
                scope.spawn(move || count(&socket, protocol, port, is_over))
            });
            let senders = [
                scope.spawn(|| send("10.9.9.1:0", format!("{to_ipv4}:9"))),
                scope.spawn(|| send("[fd99::1]:0", format!("[{to_ipv6}]:9"))),
            ];
            for _ in 0..200 {
                for others in [&[1, 2, 3][..], &[1], &[1, 3, 4], &[1, 2, 3, 4]] {
                    execute(&mut kernel, &[replaced(9, others)]);
                    replacements += 1;
                    thread::yield_now();
                }
            }
            is_over.store(true, Ordering::Relaxed);
            (senders.map(|sender| sender.join().unwrap()), counters.map(|counter| counter.join().unwrap()))
        });
        assert!(sent.iter().all(|sent| *sent > 100), "{sent:?}");
        assert_eq!(counted[0], sent[0], "IPv4");
        assert!(counted[1] <= sent[1] && sent[1] - counted[1] <= replacements, "IPv6: {counted:?} of {sent:?}");
    });
}

/// The kinds of packets, as in Ethernet headers.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// Returns a socket that gets each packet of a kind that a device of the namespace receives, from its IP header on. (Those that are sent are
/// not among them.)
fn received(kind: u16) -> Socket {
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(kind.to_be())))).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    set_socket_recv_buffer_size_force(&socket, 64 << 20).unwrap();
    socket
}

/// Counts UDP packets to port 9, until sending is over and none comes for a while. `protocol`, `port`: where these are in a packet.
fn count(mut socket: &Socket, protocol: usize, port: usize, is_over: &AtomicBool) -> u64 {
    let (mut counted, mut packet) = (0, [0; 256]);
    loop {
        match socket.read(&mut packet) {
            Ok(_) => counted += u64::from(packet[protocol] == 17 && packet[port..port + 2] == [0, 9]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if is_over.load(Ordering::Relaxed) {
                    return counted;
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
}
