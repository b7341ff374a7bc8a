//! The connections of a node, from the dial to the end. With TLS, the node may use a connection only after the handshake. Handshakes wait
//! in a queue; each iteration does a limited part of them after the work of the open connections.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use metalbond::{Close, ConnId, Input, PeerId, TransportEnd};

use super::Actor;
use crate::budget::{Budget, DRAINS, HANDSHAKES};
use crate::clock::Clock;
use crate::connection::{Connection, Write};
use crate::dial::{self, DialOrder};
use crate::tasks::Tasks;
use crate::tls::{Channel, Opened, Transport};
use crate::{Runtime, TlsConfig};

/// A connection. The node knows it until it is draining.
pub(super) enum Link<R: Runtime> {
    /// The connection is being opened. `attempt` is `None` while the server's name is looked up.
    Dialling { peer: PeerId, endpoint: Arc<str>, order: DialOrder, attempt: Option<R::Task> },
    /// The TLS handshake is running. `dialled` is the address of the server, if the node has dialled.
    Handshaking { connection: Connection<R>, dialled: Option<SocketAddr> },
    /// The node uses the connection.
    Open(Connection<R>),
    /// The connection is closed, and lingers.
    Draining { _task: R::Task },
}

/// The connections of a node. Removing one ends its tasks and closes it.
pub(super) struct Links<R: Runtime> {
    // The hash has no secret key, because the node itself chooses the ids. The same inputs so give the same order.
    by_conn: HashMap<ConnId, Link<R>, BuildHasherDefault<DefaultHasher>>,
    /// The connections whose handshake has received bytes. Some may have ended since.
    handshakes: VecDeque<ConnId>,
    /// The number of connections that are draining.
    draining: usize,
    /// The number of connections accepted so far, which is the id of the next one.
    accepted: u64,
}

impl<R: Runtime> Default for Links<R> {
    fn default() -> Self {
        Self { by_conn: HashMap::default(), handshakes: VecDeque::new(), draining: 0, accepted: 0 }
    }
}

impl<R: Runtime> Links<R> {
    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Link<R>> {
        self.by_conn.get_mut(&conn)
    }

    /// Returns a connection that is open or in its handshake.
    fn connection(&mut self, conn: ConnId) -> Option<&mut Connection<R>> {
        match self.by_conn.get_mut(&conn)? {
            Link::Open(connection) | Link::Handshaking { connection, .. } => Some(connection),
            Link::Dialling { .. } | Link::Draining { .. } => None,
        }
    }

    /// Adds a connection that was accepted or dialled. Returns true if the node may use it at once.
    fn open(
        &mut self,
        conn: ConnId,
        stream: R::Stream,
        channel: Channel,
        dialled: Option<SocketAddr>,
        tasks: &Tasks<R>,
    ) -> bool {
        let connection = Connection::open(conn, stream, channel, tasks);
        let is_open = !connection.is_handshaking();
        let link = if is_open { Link::Open(connection) } else { Link::Handshaking { connection, dialled } };
        self.by_conn.insert(conn, link);
        is_open
    }

    /// Closes a connection in the way that the node asks for.
    pub(super) fn close(&mut self, conn: ConnId, how: Close, clock: &Clock<R>, tasks: &Tasks<R>) {
        // Dropping the link of a dial ends the dial.
        let Some(Link::Open(connection) | Link::Handshaking { connection, .. }) = self.by_conn.remove(&conn) else {
            return;
        };
        match how {
            Close::Linger => self.drain(conn, connection, clock, tasks),
            Close::Now => connection.close(),
        }
    }

    fn drain(&mut self, conn: ConnId, connection: Connection<R>, clock: &Clock<R>, tasks: &Tasks<R>) {
        self.draining += 1;
        self.by_conn.insert(conn, Link::Draining { _task: connection.drain(clock, tasks) });
    }

    /// Removes a connection that has lingered.
    pub(super) fn drained(&mut self, conn: ConnId) {
        if self.by_conn.remove(&conn).is_some() {
            self.draining -= 1;
        }
    }

    /// Removes all connections except those that are draining.
    pub(super) fn retain_draining(&mut self) {
        self.by_conn.retain(|_, link| matches!(link, Link::Draining { .. }));
    }
}

impl<R: Runtime> Actor<R> {
    pub(super) fn accepted(&mut self, stream: R::Stream, remote: SocketAddr, transport: Transport) {
        let conn = ConnId::accepted(self.links.accepted);
        self.links.accepted += 1;
        let channel = self.tls.accept(transport);
        let opened = channel.map(|channel| self.links.open(conn, stream, channel, None, &self.tasks));
        self.feed(Input::Accepted { conn, remote });
        if let Err(why) = opened {
            self.feed(Input::Closed { conn, end: TransportEnd::Error(why) });
        }
    }

    /// Begins a connection to a server.
    pub(super) fn dial(&mut self, conn: ConnId, peer: PeerId, endpoint: Arc<str>) {
        let order = self.dials.begin(peer);
        let addresses = self.lookups.begin(self.now, &endpoint, &self.tasks);
        let attempt = addresses.map(|addresses| self.attempt(conn, order, addresses));
        self.links.by_conn.insert(conn, Link::Dialling { peer, endpoint, order, attempt });
    }

    fn attempt(&self, conn: ConnId, order: DialOrder, addresses: Vec<SocketAddr>) -> R::Task {
        let clock = self.clock.clone();
        let dial = dial::dial(conn, order.arrange(addresses), self.local_address, clock, self.tasks.events());
        self.tasks.spawn(dial)
    }

    /// Handles the end of a lookup: the dials that waited for it go on.
    pub(super) fn resolved(&mut self, endpoint: Arc<str>, result: Result<Vec<SocketAddr>, Box<str>>) {
        self.lookups.end(&endpoint);
        let is_waiting =
            |link: &Link<R>| matches!(link, Link::Dialling { endpoint: e, attempt: None, .. } if *e == endpoint);
        let mut waiting: Vec<ConnId> =
            self.links.by_conn.iter().filter(|(_, link)| is_waiting(link)).map(|(conn, _)| *conn).collect();
        waiting.sort_unstable();
        if let (Ok(addresses), []) = (&result, &waiting[..]) {
            self.lookups.keep(self.now, endpoint, addresses.clone());
            return;
        }
        for conn in waiting {
            match &result {
                Ok(addresses) => {
                    let Some(Link::Dialling { order, .. }) = self.links.get_mut(conn) else { continue };
                    let order = *order;
                    let task = self.attempt(conn, order, addresses.clone());
                    if let Some(Link::Dialling { attempt, .. }) = self.links.get_mut(conn) {
                        *attempt = Some(task);
                    }
                }
                Err(why) => {
                    self.links.by_conn.remove(&conn);
                    self.feed(Input::DialFailed { conn, why: why.clone() });
                }
            }
        }
    }

    pub(super) fn dialled(&mut self, conn: ConnId, result: Result<(R::Stream, SocketAddr), Box<str>>) {
        // The node may have given up the dial.
        let Some(Link::Dialling { peer, endpoint, .. }) = self.links.by_conn.remove(&conn) else { return };
        if let Ok((_, remote)) = &result {
            self.dials.reached(peer, *remote);
        }
        let connect = |tls: &TlsConfig| tls.connect(&endpoint);
        let reached = result.and_then(|(stream, remote)| Ok((stream, remote, connect(&self.tls)?)));
        match reached {
            Ok((stream, remote, channel)) => {
                if self.links.open(conn, stream, channel, Some(remote), &self.tasks) {
                    self.feed(Input::Connected { conn, remote });
                }
            }
            Err(why) => {
                self.feed(Input::DialFailed { conn, why });
            }
        }
    }

    pub(super) fn received(&mut self, conn: ConnId, bytes: Bytes) {
        match self.links.get_mut(conn) {
            Some(Link::Open(connection)) => {
                let opened = connection.receive(bytes);
                self.opened(conn, opened);
            }
            Some(Link::Handshaking { connection, .. }) => match connection.hold(&bytes) {
                Ok(true) => self.links.handshakes.push_back(conn),
                Ok(false) => {}
                Err(end) => self.refuse(conn, end),
            },
            _ => {}
        }
    }

    fn opened(&mut self, conn: ConnId, opened: Opened) {
        if !opened.plain.is_empty() {
            self.feed(Input::Received { conn, bytes: opened.plain });
        }
        match opened.end {
            Some(end) => self.refuse(conn, end),
            None => self.flush(conn),
        }
    }

    /// Handles the end of a connection that its reader has seen.
    pub(super) fn ended(&mut self, conn: ConnId, end: TransportEnd) {
        let Some(connection) = self.links.connection(conn) else { return };
        // Bytes that wait for the handshake were received before the end.
        if let Some(end) = connection.ended(end) {
            self.lose(conn, end);
        }
    }

    /// Ends a connection because of bytes that the peer sent. Sends the peer the TLS alert for the reason, if there is one.
    fn refuse(&mut self, conn: ConnId, end: TransportEnd) {
        match self.lose(conn, end) {
            Some(connection) if self.links.draining < DRAINS => {
                self.links.drain(conn, connection, &self.clock, &self.tasks)
            }
            Some(connection) => connection.close(),
            None => {}
        }
    }

    /// Reports to the node that a connection has ended. Returns the connection, unless the node has closed it.
    fn lose(&mut self, conn: ConnId, end: TransportEnd) -> Option<Connection<R>> {
        self.links.connection(conn)?;
        match self.links.by_conn.remove(&conn)? {
            Link::Handshaking { connection, dialled: Some(_) } => {
                self.feed(Input::DialFailed { conn, why: end.to_string().into() });
                Some(connection)
            }
            Link::Open(connection) | Link::Handshaking { connection, dialled: None } => {
                self.feed(Input::Closed { conn, end });
                Some(connection)
            }
            Link::Dialling { .. } | Link::Draining { .. } => None,
        }
    }

    /// Does some steps of handshakes. Returns true if it did any: the next iteration sends the results.
    pub(super) fn shake(&mut self) -> bool {
        let mut until = None;
        let mut budget = Budget::handshakes();
        while budget.is_left()
            && let Some(conn) = self.links.handshakes.pop_front()
        {
            self.now = self.clock.now();
            if self.now >= *until.get_or_insert(self.now + HANDSHAKES) {
                self.links.handshakes.push_front(conn);
                break;
            }
            budget.spend(0);
            self.step(conn);
        }
        until.is_some()
    }

    fn step(&mut self, conn: ConnId) {
        // The connection may have ended.
        let Some(Link::Handshaking { connection, .. }) = self.links.get_mut(conn) else { return };
        let opened = connection.step();
        if !connection.is_handshaking() {
            self.agreed(conn);
        }
        self.opened(conn, opened);
        if let Some(end) = self.links.connection(conn).and_then(Connection::take_end) {
            self.ended(conn, end);
        }
    }

    /// Hands a connection to the node after its handshake.
    fn agreed(&mut self, conn: ConnId) {
        let Some(Link::Handshaking { connection, dialled }) = self.links.by_conn.remove(&conn) else { return };
        let names = connection.names();
        self.links.by_conn.insert(conn, Link::Open(connection));
        if let Some(names) = names {
            self.feed(Input::Identified { conn, names });
        }
        if let Some(remote) = dialled {
            self.feed(Input::Connected { conn, remote });
        }
    }

    /// Handles the end of a writer.
    pub(super) fn written(&mut self, conn: ConnId, result: io::Result<()>) {
        let Some(connection) = self.links.connection(conn) else { return };
        if connection.written(result, &self.tasks) == Write::Done {
            self.feed(Input::Sent { conn });
        }
    }

    /// Writes the messages that TLS itself has to send.
    fn flush(&mut self, conn: ConnId) {
        let Some(connection) = self.links.connection(conn) else { return };
        if connection.flush(&self.tasks) == Write::Done {
            self.feed(Input::Sent { conn });
        }
    }
}
