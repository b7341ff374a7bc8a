//! The network: listeners, connection attempts, connections, and their faults.
//!
//! Invariant: whatever fault occurs, an end of a connection sees only what TCP would show it: an end, an error, or nothing at all. A
//! connection is removed as soon as both its ends are closed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

use metalbond_driver::SendWindow;

use super::HandleId;
use super::pipe::Pipe;
use super::timeline::{Event, Place, Timeline};

/// The id of a connection: connections are numbered in the order in which they open.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(u64);

/// One end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum End {
    /// The end that has opened the connection.
    Client,
    /// The end that has accepted the connection, or will.
    Server,
}

impl End {
    /// Returns the opposite end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// A failure that lasts as long as it is set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// No packet passes from the first host to the second. In both directions, this is a partition.
    Stalled(IpAddr, IpAddr),
    /// No packet of a connection leaves this end.
    StalledConnection(ConnectionId, End),
    /// Connections to this address are refused.
    Refused(SocketAddr),
    /// Attempts to connect to this address get no answer.
    Unanswered(SocketAddr),
    /// The host has no descriptors for the connections that it accepts.
    NoDescriptorsToAccept(IpAddr),
    /// The host has no descriptors for the connections that it opens, nor for listeners.
    NoDescriptorsToOpen(IpAddr),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ListenerId(u64);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct AttemptId(u64);

#[derive(Debug)]
struct Listener {
    handle: HandleId,
    host: IpAddr,
    address: SocketAddr,
    backlog: VecDeque<ConnectionId>,
    backlog_max: usize,
}

#[derive(Debug)]
struct Attempt {
    handle: HandleId,
    from: SocketAddr,
    to: SocketAddr,
    delay: Duration,
    connection: Option<ConnectionId>,
    result: Option<io::Result<ConnectionId>>,
}

/// The owner of an end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holder {
    Handle(HandleId),
    /// The operating system: the end waits to be accepted, or for the attempt to end.
    System,
    /// None: the end is closed.
    Nobody,
}

#[derive(Debug)]
struct Side {
    address: SocketAddr,
    holder: Holder,
    /// The bytes that this end writes.
    outgoing: Pipe,
    /// The error of the next read or write.
    error: Option<ErrorKind>,
    /// True after a reset: no bytes pass any more.
    is_broken: bool,
    reads_no_more: bool,
    /// The time until which reads and writes return `WouldBlock`.
    blocked_until: Duration,
    was_set_up: bool,
    /// True if an event is scheduled for the bytes that this end has sent; one is enough.
    is_scheduled: bool,
}

#[derive(Debug)]
struct Connection {
    client: Side,
    server: Side,
    delay: Duration,
    /// True if waiting, reading and writing sometimes fail or end without a reason, as the contract permits.
    is_fickle: bool,
}

impl Connection {
    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Client => &mut self.client,
            End::Server => &mut self.server,
        }
    }

    fn get(&self, end: End) -> &Side {
        match end {
            End::Client => &self.client,
            End::Server => &self.server,
        }
    }
}

#[derive(Default, Debug)]
pub(super) struct Network {
    hosts: BTreeSet<IpAddr>,
    faults: BTreeSet<Fault>,
    listeners: BTreeMap<ListenerId, Listener>,
    attempts: BTreeMap<AttemptId, Attempt>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// The number of listeners, attempts and connections so far, which is used as the next id.
    count: u64,
}

/// The time after which the system repeats a connection request that was not answered.
const RETRY: Duration = Duration::from_secs(1);
/// The first port of those that systems choose themselves.
const EPHEMERAL: u16 = 49_152;
/// The error "too many open files" on all systems but Windows.
const EMFILE: i32 = 24;

impl Network {
    pub(super) fn add_host(&mut self, ip: IpAddr) {
        self.hosts.insert(ip);
    }

    pub(super) fn listen(
        &mut self,
        handle: HandleId,
        host: IpAddr,
        address: SocketAddr,
        timeline: &mut Timeline,
    ) -> io::Result<(ListenerId, SocketAddr)> {
        if self.faults.contains(&Fault::NoDescriptorsToOpen(host)) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let ip = address.ip();
        if ip != host && !(ip.is_unspecified() && (ip.is_ipv6() || host.is_ipv4())) {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let is_used = |port| self.listeners.values().any(|l| l.host == host && l.address.port() == port);
        let port = match address.port() {
            0 => (EPHEMERAL..=u16::MAX).find(|port| !is_used(*port)).ok_or(ErrorKind::AddrInUse)?,
            port if is_used(port) => return Err(ErrorKind::AddrInUse.into()),
            port => port,
        };
        let address = SocketAddr::new(ip, port);
        let id = ListenerId(self.number());
        let backlog_max = timeline.random.choose(&[1, 2, 128]);
        self.listeners.insert(id, Listener { handle, host, address, backlog: VecDeque::new(), backlog_max });
        Ok((id, address))
    }

    /// Closes a listener. Connections that wait to be accepted are reset.
    pub(super) fn close_listener(&mut self, id: ListenerId, timeline: &mut Timeline) {
        let Some(listener) = self.listeners.remove(&id) else { return };
        for connection in listener.backlog {
            self.close(connection, End::Server, true, timeline);
        }
    }

    /// Takes a connection that waits to be accepted, with the address of its other end.
    pub(super) fn accept(
        &mut self,
        handle: HandleId,
        id: ListenerId,
        timeline: &mut Timeline,
    ) -> io::Result<Option<(ConnectionId, SocketAddr)>> {
        let Some(listener) = self.listeners.get_mut(&id) else { return Err(ErrorKind::NotConnected.into()) };
        if listener.backlog.is_empty() {
            return Ok(None);
        }
        if self.faults.contains(&Fault::NoDescriptorsToAccept(listener.host)) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        if timeline.random.one_in(64) {
            return Err(ErrorKind::Interrupted.into());
        }
        let Some(id) = listener.backlog.pop_front() else { return Ok(None) };
        let is_mapped = listener.address.is_ipv6();
        let Some(connection) = self.connections.get_mut(&id) else {
            // Both ends are closed.
            return Err(ErrorKind::ConnectionAborted.into());
        };
        if connection.server.is_broken && timeline.random.one_in(2) {
            self.close(id, End::Server, false, timeline);
            return Err(ErrorKind::ConnectionAborted.into());
        }
        connection.server.holder = Holder::Handle(handle);
        let mut remote = connection.client.address;
        if is_mapped && let IpAddr::V4(ip) = remote.ip() {
            remote.set_ip(ip.to_ipv6_mapped().into());
        }
        timeline.note("accept", [id.0, 0]);
        Ok(Some((id, remote)))
    }

    /// Begins an attempt to open a connection.
    pub(super) fn connect(
        &mut self,
        handle: HandleId,
        host: IpAddr,
        to: SocketAddr,
        local: Option<SocketAddr>,
        timeline: &mut Timeline,
    ) -> io::Result<AttemptId> {
        if self.faults.contains(&Fault::NoDescriptorsToOpen(host)) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        if let Some(local) = local {
            if local.is_ipv4() != to.is_ipv4() {
                return Err(ErrorKind::InvalidInput.into());
            }
            if local.ip() != host && !local.ip().is_unspecified() {
                return Err(ErrorKind::AddrNotAvailable.into());
            }
        }
        if host.is_ipv4() != to.is_ipv4() {
            return Err(ErrorKind::NetworkUnreachable.into());
        }
        let number = self.number();
        let port = EPHEMERAL + (number % u64::from(u16::MAX - EPHEMERAL)) as u16;
        let from = SocketAddr::new(host, local.map(|l| l.port()).filter(|port| *port > 0).unwrap_or(port));
        let delay = Duration::from_micros(timeline.random.choose(&[0, 20, 200, 2000, 20_000]));
        let id = AttemptId(number);
        self.attempts.insert(id, Attempt { handle, from, to, delay, connection: None, result: None });
        timeline.schedule(delay, Event::Request(id));
        Ok(id)
    }

    /// Takes the result of an attempt.
    pub(super) fn connected(&mut self, id: AttemptId) -> Option<io::Result<ConnectionId>> {
        let attempt = self.attempts.get_mut(&id)?;
        let result = attempt.result.take()?;
        if let Ok(connection) = &result
            && let Some(connection) = self.connections.get_mut(connection)
        {
            connection.client.holder = Holder::Handle(attempt.handle);
            attempt.connection = None;
        }
        Some(result)
    }

    /// Removes an attempt. If its connection was not taken, the connection is closed.
    pub(super) fn end_attempt(&mut self, id: AttemptId, timeline: &mut Timeline) {
        if let Some(Attempt { connection: Some(connection), .. }) = self.attempts.remove(&id) {
            self.close(connection, End::Client, false, timeline);
        }
    }

    /// Carries out an event.
    pub(super) fn handle(&mut self, event: Event, timeline: &mut Timeline) {
        match event {
            Event::Arrival(id, end) => self.arrival(id, end, timeline),
            Event::Reset(id, end) if !self.is_stalled(id, end.other()) => self.break_side(id, end, timeline),
            Event::Unblocked(id, end) => self.wake(id, end, timeline),
            Event::Request(id) => self.request(id, timeline),
            Event::Response(id) => {
                let Some(attempt) = self.attempts.get_mut(&id) else { return };
                if self.faults.contains(&Fault::Stalled(attempt.to.ip(), attempt.from.ip())) {
                    timeline.schedule(RETRY, event);
                    return;
                }
                attempt.result = Some(match attempt.connection {
                    Some(connection) => Ok(connection),
                    None => Err(ErrorKind::ConnectionRefused.into()),
                });
                timeline.wake(Place::Connect(id));
            }
            Event::Reset(..) | Event::Answer(_) | Event::Spurious(_) => {}
        }
    }

    /// Handles the arrival of a connection request.
    fn request(&mut self, id: AttemptId, timeline: &mut Timeline) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        let (from, to) = (attempt.from, attempt.to);
        let is_lost = self.faults.contains(&Fault::Stalled(from.ip(), to.ip()))
            || self.faults.contains(&Fault::Unanswered(to))
            || !self.hosts.contains(&to.ip());
        if is_lost {
            timeline.schedule(RETRY, Event::Request(id));
            return;
        }
        let is_refused = self.faults.contains(&Fault::Refused(to));
        let listener = self.listeners.values_mut().find(|l| {
            l.host == to.ip() && l.address.port() == to.port() && (l.address.is_ipv6() || to.is_ipv4()) && !is_refused
        });
        let delay = attempt.delay;
        if let Some(listener) = listener {
            if listener.backlog.len() >= listener.backlog_max {
                timeline.schedule(RETRY, Event::Request(id));
                return;
            }
            self.count += 1;
            let connection = ConnectionId(self.count);
            listener.backlog.push_back(connection);
            attempt.connection = Some(connection);
            let side = |address, timeline: &mut Timeline| Side {
                address,
                holder: Holder::System,
                outgoing: Pipe::new(delay, &mut timeline.random),
                error: None,
                is_broken: false,
                reads_no_more: false,
                blocked_until: Duration::ZERO,
                was_set_up: false,
                is_scheduled: false,
            };
            let (client, server) = (side(from, timeline), side(to, timeline));
            self.connections
                .insert(connection, Connection { client, server, delay, is_fickle: timeline.random.one_in(2) });
            let waits = self.listeners.iter().find(|(_, l)| l.backlog.contains(&connection)).map(|(id, _)| *id);
            if let Some(listener) = waits {
                timeline.wake(Place::Accept(listener));
            }
        }
        timeline.schedule(delay, Event::Response(id));
    }

    /// Handles the arrival of bytes that this end has sent.
    fn arrival(&mut self, id: ConnectionId, end: End, timeline: &mut Timeline) {
        let is_stalled = self.is_stalled(id, end);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.side(end).is_scheduled = false;
        if is_stalled {
            return;
        }
        let is_unwanted = connection.get(end.other()).holder == Holder::Nobody;
        let pipe = &mut connection.side(end).outgoing;
        let any = pipe.receive(timeline.now());
        let lost = if is_unwanted { pipe.discard() } else { 0 };
        if lost > 0 {
            timeline.schedule(connection.delay, Event::Reset(id, end));
        }
        if any {
            timeline.note("arrival", [id.0, end as u64]);
            timeline.wake(Place::Readable(id, end.other()));
        }
        self.send(id, end, timeline);
    }

    /// Sends the bytes that this end has written, as far as the window permits.
    fn send(&mut self, id: ConnectionId, end: End, timeline: &mut Timeline) {
        if self.is_stalled(id, end) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let side = connection.side(end);
        if side.outgoing.send(timeline.now(), &mut timeline.random) {
            timeline.wake(Place::Writable(id, end));
        }
        if let Some(at) = side.outgoing.next_arrival()
            && !side.is_scheduled
        {
            side.is_scheduled = true;
            timeline.schedule(at.saturating_sub(timeline.now()), Event::Arrival(id, end));
        }
    }

    fn is_stalled(&self, id: ConnectionId, end: End) -> bool {
        if self.faults.is_empty() {
            return false;
        }
        let Some(connection) = self.connections.get(&id) else { return false };
        let (from, to) = (connection.get(end).address.ip(), connection.get(end.other()).address.ip());
        self.faults.contains(&Fault::StalledConnection(id, end)) || self.faults.contains(&Fault::Stalled(from, to))
    }

    /// Makes this end see a reset.
    fn break_side(&mut self, id: ConnectionId, end: End, timeline: &mut Timeline) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.get(end).is_broken {
            return;
        }
        let side = connection.side(end);
        side.is_broken = true;
        side.error = Some(ErrorKind::ConnectionReset);
        side.outgoing.lose();
        let incoming = &mut connection.side(end.other()).outgoing;
        incoming.lose();
        if timeline.random.one_in(2) {
            incoming.discard();
        }
        timeline.note("reset", [id.0, end as u64]);
        self.wake(id, end, timeline);
    }

    fn wake(&mut self, id: ConnectionId, end: End, timeline: &mut Timeline) {
        timeline.wake(Place::Readable(id, end));
        timeline.wake(Place::Writable(id, end));
    }

    /// Returns true once in `n` times, at random, if the connection may behave badly within the contract.
    pub(super) fn is_fickle(&self, id: ConnectionId, n: u64, timeline: &mut Timeline) -> bool {
        self.connections.get(&id).is_some_and(|connection| connection.is_fickle) && timeline.random.one_in(n)
    }

    pub(super) fn is_readable(&self, id: ConnectionId, end: End, now: Duration) -> bool {
        let Some(connection) = self.connections.get(&id) else { return true };
        let (side, incoming) = (connection.get(end), &connection.get(end.other()).outgoing);
        let is_ready = incoming.unread() > 0 || incoming.is_at_end() || side.is_broken || side.reads_no_more;
        is_ready && side.blocked_until <= now
    }

    pub(super) fn is_writable(&self, id: ConnectionId, end: End, now: Duration) -> bool {
        let Some(connection) = self.connections.get(&id) else { return true };
        let side = connection.get(end);
        let is_ready = side.outgoing.room() > 0 || side.is_broken || side.outgoing.is_finished();
        is_ready && side.blocked_until <= now
    }

    /// Sometimes blocks this end although it is ready, which a runtime may do if it wakes the task later. Sometimes simulates an
    /// interruption by a signal.
    fn try_block(&mut self, id: ConnectionId, end: End, timeline: &mut Timeline) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&id) else { return Err(ErrorKind::NotConnected.into()) };
        if !connection.is_fickle {
            return Ok(());
        }
        let side = connection.side(end);
        if timeline.random.one_in(32) && side.blocked_until <= timeline.now() {
            let delay = Duration::from_micros(timeline.random.up_to(1000) as u64);
            side.blocked_until = timeline.now() + delay;
            timeline.schedule(delay, Event::Unblocked(id, end));
        }
        match side.blocked_until > timeline.now() {
            true => Err(ErrorKind::WouldBlock.into()),
            false if timeline.random.one_in(128) => Err(ErrorKind::Interrupted.into()),
            false => Ok(()),
        }
    }

    pub(super) fn read(
        &mut self,
        id: ConnectionId,
        end: End,
        buffer: &mut Vec<u8>,
        timeline: &mut Timeline,
    ) -> io::Result<usize> {
        let max = buffer.capacity() - buffer.len();
        assert!(max > 0, "a read without room says nothing: 0 is the end");
        self.try_block(id, end, timeline)?;
        let Some(connection) = self.connections.get_mut(&id) else { return Err(ErrorKind::NotConnected.into()) };
        let incoming = &mut connection.side(end.other()).outgoing;
        let n = incoming.read(max, buffer, &mut timeline.random);
        let is_at_end = incoming.is_at_end();
        timeline.note("read", [id.0, n as u64]);
        if n > 0 {
            self.send(id, end.other(), timeline);
            return Ok(n);
        }
        let side = connection.side(end);
        match side.error.take() {
            Some(error) => Err(error.into()),
            None if is_at_end || side.is_broken || side.reads_no_more => Ok(0),
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Takes one segment, and whether it ends a record.
    pub(super) fn read_segment(
        &mut self,
        id: ConnectionId,
        end: End,
        timeline: &mut Timeline,
    ) -> io::Result<Option<(Vec<u8>, bool)>> {
        let Some(connection) = self.connections.get_mut(&id) else { return Err(ErrorKind::NotConnected.into()) };
        if let Some(segment) = connection.side(end.other()).outgoing.read_segment() {
            self.send(id, end.other(), timeline);
            return Ok(Some(segment));
        }
        let mut nothing = Vec::with_capacity(1);
        self.read(id, end, &mut nothing, timeline).map(|_| None)
    }

    pub(super) fn write(
        &mut self,
        id: ConnectionId,
        end: End,
        slices: &[IoSlice<'_>],
        ends_record: bool,
        timeline: &mut Timeline,
    ) -> io::Result<usize> {
        self.try_block(id, end, timeline)?;
        let Some(connection) = self.connections.get_mut(&id) else { return Err(ErrorKind::NotConnected.into()) };
        let side = connection.side(end);
        if let Some(error) = side.error.take() {
            return Err(error.into());
        }
        if side.is_broken || side.outgoing.is_finished() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if side.outgoing.room() == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let n = side.outgoing.write(slices, ends_record, &mut timeline.random);
        timeline.note("write", [id.0, n as u64]);
        self.send(id, end, timeline);
        Ok(n)
    }

    pub(super) fn shutdown(
        &mut self,
        id: ConnectionId,
        end: End,
        how: Shutdown,
        timeline: &mut Timeline,
    ) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&id) else { return Err(ErrorKind::NotConnected.into()) };
        let side = connection.side(end);
        if side.is_broken {
            return Err(ErrorKind::NotConnected.into());
        }
        timeline.note("shutdown", [id.0, end as u64]);
        side.reads_no_more |= how != Shutdown::Write;
        if how != Shutdown::Read {
            side.outgoing.finish();
        }
        self.send(id, end, timeline);
        self.wake(id, end, timeline);
        Ok(())
    }

    /// Returns what an end knows of the other end's window.
    pub(super) fn send_window(&mut self, id: ConnectionId, end: End) -> Option<SendWindow> {
        self.connections.get_mut(&id).map(|connection| connection.side(end).outgoing.send_window())
    }

    /// Notes that a connection was set up, which happens once, before anything else.
    pub(super) fn set_up(&mut self, id: ConnectionId, end: End) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let side = connection.side(end);
        assert!(!side.was_set_up, "a connection is set up once");
        side.was_set_up = true;
    }

    /// Closes an end. If it has unread bytes, or `aborts` is set, the other end sees a reset, otherwise an end.
    pub(super) fn close(&mut self, id: ConnectionId, end: End, aborts: bool, timeline: &mut Timeline) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        timeline.note("close", [id.0, end as u64]);
        connection.side(end).holder = Holder::Nobody;
        if connection.get(end.other()).holder == Holder::Nobody {
            self.connections.remove(&id);
            return;
        }
        let delay = connection.delay;
        let unread = connection.side(end.other()).outgoing.discard();
        let side = connection.side(end);
        if (unread > 0 || aborts) && !side.is_broken {
            side.outgoing.lose();
            timeline.schedule(delay, Event::Reset(id, end.other()));
        } else {
            side.outgoing.finish();
        }
        self.send(id, end, timeline);
        // The window is open again, for bytes that are discarded.
        self.send(id, end.other(), timeline);
    }

    /// Breaks a connection: both ends see a reset now.
    pub(super) fn reset(&mut self, id: ConnectionId, timeline: &mut Timeline) {
        self.break_side(id, End::Client, timeline);
        self.break_side(id, End::Server, timeline);
    }

    pub(super) fn make_broad(&mut self, id: ConnectionId, end: End, read: usize) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_fickle = false;
            connection.side(end.other()).outgoing.make_broad(read);
        }
    }

    pub(super) fn set_fault(&mut self, fault: Fault) {
        self.faults.insert(fault);
    }

    /// Ends faults. Stalled packets go on.
    pub(super) fn clear_faults(&mut self, is_over: impl Fn(&Fault) -> bool, timeline: &mut Timeline) {
        self.faults.retain(|fault| !is_over(fault));
        for id in self.connections.keys() {
            for end in [End::Client, End::Server] {
                timeline.schedule(Duration::ZERO, Event::Arrival(*id, end));
            }
        }
    }

    pub(super) fn connections(&self) -> Vec<ConnectionId> {
        self.connections.keys().copied().collect()
    }

    /// Counts what belongs to a handle: streams, listeners and attempts.
    pub(super) fn usage_of(&self, handle: HandleId) -> [usize; 3] {
        let ends = self.connections.values().flat_map(|c| [&c.client, &c.server]);
        let streams = ends.filter(|side| side.holder == Holder::Handle(handle)).count();
        let listeners = self.listeners.values().filter(|l| l.handle == handle).count();
        [streams, listeners, self.attempts.values().filter(|a| a.handle == handle).count()]
    }

    fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}
