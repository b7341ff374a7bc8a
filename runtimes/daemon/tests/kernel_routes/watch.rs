//! The kernel's notifications about routes and nexthop objects, one line each.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::process::DEADLINE;
use crate::scene::{MARKER_DESTINATIONS, MARKER_HOPS, TABLE};

const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
const RTNLGRP_NEXTHOP: u32 = 32;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
const NLM_F_REPLACE: u16 = 0x100;

const RTA_DST: u16 = 1;
const RTA_TABLE: u16 = 15;
const NHA_ID: u16 = 1;
const NHA_ENCAP: u16 = 8;
const LWTUNNEL_IP6_DST: u16 = 2;

/// Header lengths in bytes: of a message, of a route (`struct rtmsg`) and of a nexthop object (`struct nhmsg`).
const HEADER: usize = 16;
const ROUTE: usize = 12;
const NEXTHOP: usize = 8;

/// Watches the namespace of the thread that creates it. Events of routes are `+ 10.0.0.0/24`, `~ 10.0.0.0/24` for a
/// replacement, and `- 10.0.0.0/24`; those of objects are `+ nexthop 7`, `~ nexthop 7` and `- nexthop 7`. Only routes
/// in one table count.
pub(crate) struct Watch {
    socket: netlink_sys::Socket,
    table: u32,
    seen: Vec<String>,
    /// The objects of markers, which are not events.
    markers: BTreeSet<u32>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self::of_table(TABLE)
    }

    /// Watches another table.
    pub(crate) fn of_table(table: u32) -> Self {
        let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE).unwrap();
        socket.bind_auto().unwrap();
        socket.set_non_blocking(true).unwrap();
        set_socket_recv_buffer_size_force(&socket, 16 << 20).unwrap();
        for group in [RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP] {
            socket.add_membership(group).unwrap();
        }
        Self { socket, table, seen: Vec::new(), markers: BTreeSet::new() }
    }

    /// Returns all events that were not taken yet.
    pub(crate) fn take(&mut self) -> Vec<String> {
        self.drain();
        self.seen.retain(|event| !event[2..].starts_with(MARKER_DESTINATIONS));
        std::mem::take(&mut self.seen)
    }

    /// Returns the events of a destination that were not taken yet.
    pub(crate) fn seen_of(&mut self, destination: &str) -> Vec<&str> {
        self.drain();
        self.seen.iter().map(String::as_str).filter(|event| &event[2..] == destination).collect()
    }

    /// Waits for an event, among those that were not taken yet.
    pub(crate) fn until(&mut self, event: &str) {
        let end = Instant::now() + DEADLINE;
        loop {
            self.drain();
            if self.seen.iter().any(|seen| seen == event) {
                return;
            }
            assert!(self.wait(end), "no {event:?} but {:#?}", self.seen);
        }
    }

    /// Waits for any further event. Returns false if none arrives before `end`.
    pub(crate) fn wait(&self, end: Instant) -> bool {
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).unwrap();
        poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&left)).unwrap() > 0
    }

    /// Reads the notifications that have arrived.
    pub(crate) fn drain(&mut self) {
        loop {
            match self.socket.recv_from_full() {
                Ok((datagram, _)) => self.read(&datagram),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("notifications are lost: {error}"),
            }
        }
    }

    fn read(&mut self, mut datagram: &[u8]) {
        while datagram.len() >= HEADER {
            let length = u32_at(datagram, 0) as usize;
            let (kind, flags) = (u16_at(datagram, 4), u16_at(datagram, 6));
            let message = &datagram[HEADER..length];
            let sign = match kind {
                RTM_NEWROUTE | RTM_NEWNEXTHOP if flags & NLM_F_REPLACE != 0 => '~',
                RTM_NEWROUTE | RTM_NEWNEXTHOP => '+',
                _ => '-',
            };
            match kind {
                RTM_NEWROUTE | RTM_DELROUTE => {
                    if let Some(destination) = destination(message, self.table) {
                        self.seen.push(format!("{sign} {destination}"));
                    }
                }
                RTM_NEWNEXTHOP | RTM_DELNEXTHOP => {
                    let id = u32_at(attribute(&message[NEXTHOP..], NHA_ID).unwrap(), 0);
                    if is_marker(message) {
                        self.markers.insert(id);
                    }
                    if !self.markers.contains(&id) {
                        self.seen.push(format!("{sign} nexthop {id}"));
                    }
                }
                kind => panic!("message {kind}"),
            }
            datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// Returns the destination of a route, if it is in the wanted table.
fn destination(message: &[u8], wanted: u32) -> Option<String> {
    let (family, length) = (message[0], message[1]);
    let attributes = &message[ROUTE..];
    let table = attribute(attributes, RTA_TABLE).map_or_else(|| message[4].into(), |table| u32_at(table, 0));
    let bytes = attribute(attributes, RTA_DST).unwrap_or(&[0; 16]);
    let addr: IpAddr = match family {
        2 => Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[..4]).unwrap()).into(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).unwrap()).into(),
    };
    // The mark with a table's VNIs is no event.
    let is_mark = addr.to_string().starts_with("100::");
    (table == wanted && !is_mark).then(|| format!("{addr}/{length}"))
}

fn is_marker(message: &[u8]) -> bool {
    let encap = attribute(&message[NEXTHOP..], NHA_ENCAP).unwrap_or_default();
    attribute(encap, LWTUNNEL_IP6_DST).is_some_and(|addr| addr.starts_with(&MARKER_HOPS.to_be_bytes()))
}

fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    // The upper bits are flags.
    while attributes.len() >= 4 {
        let (length, kind) = (usize::from(u16_at(attributes, 0)), u16_at(attributes, 2) & 0x3fff);
        if kind == wanted {
            return Some(&attributes[4..length]);
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}
