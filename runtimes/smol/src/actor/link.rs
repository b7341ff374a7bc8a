//! Connections, from the actor's side: they come about, receive, and end. With TLS, a handshake comes first; those wait in a
//! queue, and of each turn they get a little time, when the established have had theirs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use metalbond::{Close, ConnId, Input, PeerId, TransportEnd};
use metalbond_driver::{Budget, Channel, DRAINS, HANDSHAKES, Opened, Transport};

use super::Actor;
use crate::connection::{Connection, Write};
use crate::task::{Task, TcpStream};

/// A connection in one of its ages. The node knows of the first three.
pub(super) enum Link {
    Dialling {
        peer: PeerId,
        endpoint: Arc<str>,
        _task: Task,
    },
    /// TLS is being agreed on. `dialled`: the address that was reached, of one that the node does not know to be connected.
    Handshaking {
        connection: Connection,
        dialled: Option<SocketAddr>,
    },
    Open(Connection),
    Draining {
        _task: Task,
    },
}

impl Actor {
    pub(super) fn accepted(&mut self, stream: TcpStream, remote: SocketAddr, transport: Transport) {
        let conn = ConnId::accepted(self.accepted);
        self.accepted += 1;
        let channel = self.tls.accept(transport);
        let refused = channel.map(|channel| self.open(conn, stream, channel, None)).err();
        self.feed(Input::Accepted { conn, remote });
        if let Some(why) = refused {
            self.feed(Input::Closed { conn, end: TransportEnd::Error(why) });
        }
    }

    pub(super) fn dialled(&mut self, conn: ConnId, result: Result<(TcpStream, SocketAddr), Box<str>>) {
        // Given up meanwhile?
        let Some(Link::Dialling { peer, endpoint, .. }) = self.links.remove(&conn) else { return };
        if let Ok((_, remote)) = &result {
            self.dials.reached(peer, *remote);
        }
        let reached = result.and_then(|(stream, remote)| Ok((stream, remote, self.tls.connect(&endpoint)?)));
        match reached {
            Ok((stream, remote, channel)) => {
                self.open(conn, stream, channel, Some(remote));
                if let Some(Link::Open(_)) = self.links.get(&conn) {
                    self.feed(Input::Connected { conn, remote });
                }
            }
            Err(why) => {
                self.feed(Input::DialFailed { conn, why });
            }
        }
    }

    fn open(&mut self, conn: ConnId, stream: TcpStream, channel: Channel, dialled: Option<SocketAddr>) {
        let connection = Connection::open(conn, stream, channel, &self.tasks);
        let link = match connection.is_handshaking() {
            true => Link::Handshaking { connection, dialled },
            false => Link::Open(connection),
        };
        self.links.insert(conn, link);
    }

    pub(super) fn received(&mut self, conn: ConnId, bytes: Bytes) {
        match self.links.get_mut(&conn) {
            Some(Link::Open(connection)) => {
                let opened = connection.receive(bytes);
                self.opened(conn, opened);
            }
            Some(Link::Handshaking { connection, .. }) => match connection.hold(&bytes) {
                Ok(true) => self.handshakes.push_back(conn),
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

    /// The reader has come to the end of a connection.
    pub(super) fn ended(&mut self, conn: ConnId, end: TransportEnd) {
        let Some(connection) = self.connection(conn) else { return };
        // What came before it comes first.
        if let Some(end) = connection.ended(end) {
            self.lose(conn, end);
        }
    }

    /// Ends a connection for what came from it, and says why to the far end, if TLS has words for it.
    fn refuse(&mut self, conn: ConnId, end: TransportEnd) {
        match self.lose(conn, end) {
            Some(connection) if self.draining < DRAINS => self.drain(conn, connection),
            Some(connection) => connection.close(),
            None => {}
        }
    }

    /// A connection is lost: tells the node. What is left of it is returned.
    fn lose(&mut self, conn: ConnId, end: TransportEnd) -> Option<Connection> {
        match self.links.remove(&conn) {
            Some(Link::Handshaking { connection, dialled: Some(_) }) => {
                self.feed(Input::DialFailed { conn, why: end.to_string().into() });
                Some(connection)
            }
            Some(Link::Open(connection) | Link::Handshaking { connection, dialled: None }) => {
                self.feed(Input::Closed { conn, end });
                Some(connection)
            }
            // The node has closed it meanwhile.
            Some(other) => {
                self.links.insert(conn, other);
                None
            }
            None => None,
        }
    }

    /// The node wants a connection closed. Dropping a link ends its tasks, and its socket with them.
    pub(super) fn close(&mut self, conn: ConnId, how: Close) {
        let Some(Link::Open(connection) | Link::Handshaking { connection, .. }) = self.links.remove(&conn) else {
            return;
        };
        match how {
            Close::Drain => self.drain(conn, connection),
            Close::Now => connection.close(),
        }
    }

    fn drain(&mut self, conn: ConnId, connection: Connection) {
        self.draining += 1;
        self.links.insert(conn, Link::Draining { _task: connection.drain(&self.tasks) });
    }

    pub(super) fn drained(&mut self, conn: ConnId) {
        if self.links.remove(&conn).is_some() {
            self.draining -= 1;
        }
    }

    /// Goes on with a few handshakes. True if there were any: what comes of it is for the next turn.
    pub(super) fn shake(&mut self) -> bool {
        let mut until = None;
        let mut budget = Budget::handshakes();
        while budget.is_left()
            && let Some(conn) = self.handshakes.pop_front()
        {
            self.now = self.clock.now();
            if self.now >= *until.get_or_insert(self.now + HANDSHAKES) {
                self.handshakes.push_front(conn);
                break;
            }
            budget.spend(0);
            self.step(conn);
        }
        until.is_some()
    }

    fn step(&mut self, conn: ConnId) {
        // Closed meanwhile?
        let Some(Link::Handshaking { connection, .. }) = self.links.get_mut(&conn) else { return };
        let opened = connection.step();
        if !connection.is_handshaking() {
            self.agreed(conn);
        }
        self.opened(conn, opened);
        // It may have ended meanwhile.
        if let Some(end) = self.connection(conn).and_then(Connection::take_end) {
            self.ended(conn, end);
        }
    }

    /// A handshake is done: now the node may hear of the far end, and from it.
    fn agreed(&mut self, conn: ConnId) {
        let Some(Link::Handshaking { connection, dialled }) = self.links.remove(&conn) else { return };
        let names = connection.names();
        self.links.insert(conn, Link::Open(connection));
        if let Some(names) = names {
            self.feed(Input::Identified { conn, names });
        }
        if let Some(remote) = dialled {
            self.feed(Input::Connected { conn, remote });
        }
    }

    /// A writer has written, or could not.
    pub(super) fn written(&mut self, conn: ConnId, result: io::Result<()>) {
        let Some(Link::Open(connection) | Link::Handshaking { connection, .. }) = self.links.get_mut(&conn) else {
            return;
        };
        if connection.written(result, &self.tasks) == Write::Done {
            self.feed(Input::Sent { conn });
        }
    }

    /// Writes what TLS itself has to say.
    fn flush(&mut self, conn: ConnId) {
        let Some(Link::Open(connection) | Link::Handshaking { connection, .. }) = self.links.get_mut(&conn) else {
            return;
        };
        if connection.flush(&self.tasks) == Write::Done {
            self.feed(Input::Sent { conn });
        }
    }

    fn connection(&mut self, conn: ConnId) -> Option<&mut Connection> {
        match self.links.get_mut(&conn)? {
            Link::Open(connection) | Link::Handshaking { connection, .. } => Some(connection),
            Link::Dialling { .. } | Link::Draining { .. } => None,
        }
    }
}
