//! The second socket: what others do to links, routes and nexthop objects.

use std::io;

use crate::error::Lost;
use crate::socket::Socket;

/// Bytes of the receive buffer: room for 10,000 notices (the kernel counts twice that, of about 800 for each).
const RECEIVE_BUFFER: usize = 4 << 20;
/// Bytes of the buffer for one datagram.
const DATAGRAM: usize = 64 << 10;

const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
const RTNLGRP_NEXTHOP: u32 = 32;

#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) socket: Socket,
    pub(crate) datagram: Box<[u8]>,
}

impl Watch {
    /// Watches all but what the socket with port `ours` causes.
    pub(crate) fn open(ours: u32) -> io::Result<Self> {
        let socket = Socket::open(RECEIVE_BUFFER)?;
        socket.skip_port(ours)?;
        for group in [RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE] {
            socket.join(group)?;
        }
        // A kernel before 5.3 has neither the group nor the objects.
        let _ = socket.join(RTNLGRP_NEXTHOP);
        Ok(Self { socket, datagram: vec![0; DATAGRAM].into() })
    }

    /// The next datagram, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Lost> {
        self.socket.try_receive(&mut self.datagram)
    }
}
