//! The actor: the loop that owns the node and carries out its actions. The actor waits for messages, for time and for room in the stream of
//! changes. It never waits for a task or for the application, so there is no deadlock.

use std::future::{pending, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;

use metalbond::{Action, Command, CommandError, ConnId, Histogram, Input, Instant, Reply, Transmit};

use crate::budget::{Budget, LAST_LINES, SHUTDOWN_MARGIN, SHUTDOWN_MAX};
use crate::changes::ChangesSender;
use crate::clock::Clock;
use crate::connection::Write;
use crate::dial::DialOrders;
use crate::log::SessionLog;
use crate::lookup::Lookups;
use crate::mailbox::{Event, Inbox, Message, Request};
use crate::recorded::Recorded;
use crate::tasks::{Tasks, Token, token};
use crate::tls::Transport;
use crate::waiters::Waiters;
use crate::{ListenError, Runtime, SendWindow, TlsConfig, listener};

mod links;

use links::{Link, Links};

/// The owner of a node, its connections and its tasks.
pub(crate) struct Actor<R: Runtime> {
    node: Recorded,
    clock: Clock<R>,
    /// The time of this iteration.
    now: Instant,
    inbox: Inbox<R::Stream>,
    changes: ChangesSender,
    tasks: Tasks<R>,
    links: Links<R>,
    /// For each server: the address that its next dial tries first.
    dials: DialOrders,
    lookups: Lookups<R::Task>,
    /// The address that dials come from; `None` if the system chooses it.
    local_address: Option<IpAddr>,
    tls: TlsConfig,
    listeners: Vec<R::Task>,
    log: SessionLog,
    waiters: Waiters,
    /// The durations of the iterations.
    iterations: Histogram,
    /// The time at which connections that still linger are closed; `Some` once a shutdown has begun.
    shutdown: Option<Instant>,
    terminated: bool,
    /// Dropped when all connections and tasks have ended.
    alive: Token,
}

impl<R: Runtime> Actor<R> {
    #[expect(clippy::too_many_arguments, reason = "they are the parts that the start makes")]
    pub(crate) fn new(
        node: Recorded,
        tls: TlsConfig,
        local_address: Option<IpAddr>,
        clock: Clock<R>,
        inbox: Inbox<R::Stream>,
        changes: ChangesSender,
        tasks: Tasks<R>,
        alive: Token,
    ) -> Self {
        Self {
            now: clock.now(),
            clock,
            inbox,
            changes,
            tasks,
            links: Links::default(),
            dials: DialOrders::default(),
            lookups: Lookups::new(node.config()),
            node,
            local_address,
            tls,
            listeners: Vec::new(),
            log: SessionLog::default(),
            waiters: Waiters::default(),
            iterations: Histogram::default(),
            shutdown: None,
            terminated: false,
            alive,
        }
    }

    /// Runs until the node has terminated and everything is closed.
    pub(crate) async fn run(mut self) {
        let mut is_work_left = false;
        while !self.terminated {
            let first = if is_work_left {
                // Lets the tasks run, so that their messages are handled before the rest of the work.
                self.clock.runtime().yield_now().await;
                None
            } else {
                self.wait().await
            };
            is_work_left = self.iterate(first);
        }
        self.end().await;
    }

    /// Waits until there is something to do. Returns the message that ended the wait, if it was one.
    async fn wait(&mut self) -> Option<Message<R::Stream>> {
        let deadline = self.node.poll_timeout().into_iter().chain(self.log.poll_timeout()).min();
        let Self { clock, inbox, changes, .. } = self;
        let mut timer = pin!(async {
            match deadline {
                Some(at) => clock.sleep_until(at).await,
                None => pending().await,
            }
        });
        poll_fn(|cx| {
            if let Poll::Ready(message) = inbox.poll_next(cx) {
                return Poll::Ready(Some(message));
            }
            if timer.as_mut().poll(cx).is_ready() || changes.poll_room(cx).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    /// Runs one bounded iteration: handles messages, then the work that is due, then writes, handshakes and changes. Returns true if work
    /// is left.
    fn iterate(&mut self, first: Option<Message<R::Stream>>) -> bool {
        let start = self.clock.now();
        self.now = start;
        let mut budget = Budget::messages();
        let mut next = first.or_else(|| self.inbox.try_next());
        while let Some(message) = next {
            budget.spend(message.weight());
            self.take(message);
            next = if budget.is_left() && !self.terminated { self.inbox.try_next() } else { None };
        }
        // The clock decides whether work is due, not the timer. Messages come first: one that waited past a deadline was received before
        // it.
        self.now = self.clock.now();
        if !self.terminated && self.is_due() {
            self.feed(Input::Tick);
        }
        self.log.tick(self.now);
        let has_transmits = self.send();
        let has_handshakes = self.shake();
        let has_changes = self.changes.fill(|| self.node.poll_change());
        self.node.end_iteration();
        self.iterations.observe(self.clock.now().saturating_since(start));
        // Messages that arrived during the iteration count: if the actor took them without a pause, no other task of its thread would run.
        has_transmits || has_handshakes || has_changes || !self.inbox.is_empty() || self.is_due()
    }

    fn is_due(&self) -> bool {
        self.node.poll_timeout().is_some_and(|at| at <= self.now)
    }

    fn take(&mut self, message: Message<R::Stream>) {
        match message {
            Message::Request(request) => self.take_request(request),
            Message::Event(event) => self.take_event(event),
            Message::NoHandles => self.shut_down(false),
        }
    }

    fn take_event(&mut self, event: Event<R::Stream>) {
        match event {
            // A shutdown accepts no new connections.
            Event::Accepted { .. } if self.shutdown.is_some() => {}
            Event::Accepted { stream, remote, transport } => self.accepted(stream, remote, transport),
            Event::Resolved { endpoint, result } => self.resolved(endpoint, result),
            Event::Dialled { conn, result } => self.dialled(conn, result),
            Event::Received { conn, bytes } => self.received(conn, bytes),
            Event::Ended { conn, end } => self.ended(conn, end),
            Event::Written { conn, result } => self.written(conn, result),
            Event::Drained { conn } => self.links.drained(conn),
        }
    }

    fn take_request(&mut self, request: Request) {
        // Sending an answer fails if the caller has stopped waiting; that is ignored.
        match request {
            Request::Listen { address, transport, answer } => {
                let listen = |runtime: &R| {
                    runtime.listen(address).map_err(|source| ListenError::System { addr: address, source })
                };
                let _ = answer.send(self.listen(transport, listen));
            }
            Request::ListenOn { listener, transport, answer } => {
                let adopt = |runtime: &R| runtime.adopt(listener).map_err(ListenError::Socket);
                let _ = answer.send(self.listen(transport, adopt));
            }
            #[cfg(feature = "tls")]
            Request::SetTls { config, answer } => drop(answer.send(self.tls.replace(config))),
            Request::WaitEstablished { peer, answer } => {
                // A node that is shutting down opens no session. The answer is dropped, so the caller gets `Closed`.
                if self.shutdown.is_none() {
                    self.waiters.wait(peer, self.node.peer_state(peer), answer);
                }
            }
            Request::ResyncWithOwn { vni, answer } => {
                let reply = self.command(Command::Resync(vni));
                let _ = answer.send(reply.map(|_| self.node.announcements_in(vni).collect()));
            }
            Request::Command { command, answer } => {
                let reply = self.command(command);
                if let Some(answer) = answer {
                    let _ = answer.send(reply);
                }
            }
            Request::Batch { commands, answer } => drop(answer.send(self.commands(commands))),
            Request::Inspect(look) => look(&self.node),
            Request::IterationTimes(answer) => drop(answer.send(self.iterations)),
            Request::Shutdown { cleanup } => self.shut_down(cleanup),
        }
    }

    fn listen(
        &mut self,
        transport: Transport,
        bind: impl FnOnce(&R) -> Result<(R::Listener, SocketAddr), ListenError>,
    ) -> Result<SocketAddr, ListenError> {
        if self.shutdown.is_some() {
            return Err(ListenError::Closed);
        }
        if transport == Transport::Tls && !self.tls.is_server() {
            return Err(ListenError::NoTls);
        }
        let (listener, local) = bind(self.clock.runtime())?;
        let accept = listener::accept(listener, local, transport, self.clock.clone(), self.tasks.events());
        self.listeners.push(self.tasks.spawn(accept));
        // Only the first listener changes this.
        let _ = self.command(Command::SetListening(true));
        Ok(local)
    }

    fn command(&mut self, command: Command) -> Result<Reply, CommandError> {
        // The node answers every command until it has terminated.
        self.feed(Input::Command(command)).unwrap_or(Err(CommandError::Closed))
    }

    /// Carries out commands until one fails. Returns how many changed something.
    fn commands(&mut self, commands: Vec<Command>) -> Result<usize, CommandError> {
        let mut changed = 0;
        for command in commands {
            changed += usize::from(self.command(command)? == Reply::Changed(true));
        }
        Ok(changed)
    }

    /// Feeds the node one input, and carries out its actions at once. Returns the reply if the input was a command.
    fn feed(&mut self, input: Input) -> Option<Result<Reply, CommandError>> {
        if self.terminated {
            return None;
        }
        let mut answer = None;
        for action in self.node.handle_input(self.now, input) {
            match action {
                Action::Dial { conn, peer, endpoint } => self.dial(conn, peer, endpoint),
                Action::Close { conn, how } => self.links.close(conn, how, &self.clock, &self.tasks),
                Action::State(transition) => {
                    self.dials.transition(&transition);
                    self.waiters.transition(&transition);
                    self.log.transition(self.now, &transition);
                }
                Action::Denied(denial) => self.log.denied(self.now, &denial),
                Action::MeasureWindow { conn } => self.measure(conn),
                Action::Reply(reply) => answer = Some(reply),
                Action::Terminated => self.terminated = true,
            }
        }
        answer
    }

    /// Writes the node's transmits. Returns true if the budget ended before the transmits did.
    fn send(&mut self) -> bool {
        let mut budget = Budget::transmits();
        while budget.is_left() {
            let Some(transmit) = self.node.poll_transmit() else { return false };
            budget.spend(transmit.len());
            self.write(transmit);
        }
        true
    }

    fn write(&mut self, transmit: Transmit) {
        let conn = transmit.conn;
        if let Some(Link::Open(connection)) = self.links.get_mut(conn)
            && connection.write(transmit, &self.tasks) == Write::Done
        {
            self.feed(Input::Sent { conn });
        }
    }

    /// Tells the node a connection's window, if the connection has one that can be measured.
    fn measure(&mut self, conn: ConnId) {
        if let Some(Link::Open(connection)) = self.links.get_mut(conn)
            && let Some(SendWindow { window, unacknowledged }) = connection.send_window()
        {
            self.feed(Input::Window { conn, window, unacknowledged });
        }
    }

    fn shut_down(&mut self, cleanup: bool) {
        if self.shutdown.is_none() {
            let timeout = self.node.config().shutdown_timeout.min(SHUTDOWN_MAX);
            self.shutdown = Some(self.now + timeout + SHUTDOWN_MARGIN);
            self.listeners.clear();
            self.waiters.close();
        }
        // An error means that the node is shutting down already.
        let _ = self.command(Command::Shutdown { cleanup });
    }

    /// Closes everything after the node has terminated. Waits until closed connections have lingered, for a limited time.
    async fn end(self) {
        let Self {
            inbox, mut links, tasks, shutdown, listeners, lookups, clock, mut log, node, changes, alive, ..
        } = self;
        log.finish();
        drop((listeners, lookups));
        links.retain_draining();
        // Closes the mailboxes. Requests that were not taken are answered with "closed".
        drop(inbox);
        let ended = tasks.into_ended();
        let deadline = shutdown.unwrap_or_else(|| clock.now());
        let _ = clock.timeout_at(deadline, ended.wait()).await;
        // Closes the connections that still linger.
        drop(links);
        ended.wait().await;
        // The stream of changes ends and the memory is freed before the handles see the end.
        drop(changes);
        let (writing, written) = token();
        node.finish(writing);
        let _ = clock.timeout_at(clock.now() + LAST_LINES, written.wait()).await;
        drop(alive);
    }
}
