//! The second socket, for the changes of links, IPv4 addresses, routes and nexthop objects by other programs.

use std::io;

use crate::error::Lost;
use crate::socket::Socket;

/// The size of the receive buffer in bytes: enough for 10,000 notices (the kernel counts about 800 bytes for each, and has twice this
/// size).
const RECEIVE_BUFFER: usize = 4 << 20;
/// The size of the buffer for one datagram in bytes.
const DATAGRAM: usize = 64 << 10;

const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
const RTNLGRP_NEXTHOP: u32 = 32;

#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) socket: Socket,
    pub(crate) datagram: Box<[u8]>,
}

impl Watch {
    /// Opens a socket that receives all notices except those about changes by the socket with port `ours`.
    pub(crate) fn open(ours: u32) -> io::Result<Self> {
        let socket = Socket::open(RECEIVE_BUFFER)?;
        socket.skip_port(ours)?;
        for group in [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE] {
            socket.join(group)?;
        }
        // A kernel before 5.3 has neither this group nor nexthop objects.
        let _ = socket.join(RTNLGRP_NEXTHOP);
        Ok(Self { socket, datagram: vec![0; DATAGRAM].into() })
    }

    /// Returns the next datagram, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Lost> {
        self.socket.try_receive(&mut self.datagram)
    }
}
