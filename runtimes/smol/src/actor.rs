//! The actor: the loop that owns the node and carries out what it says. It waits for messages, for time and for room
//! in the stream of changes, and for no task.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::net::SocketAddr;

use metalbond::{Action, ApiMisuse, Command, ConnId, Histogram, Input, Instant, Reply, Transmit};
use metalbond_driver::{
    Answer, Budget, Clock, DialOrders, LAST_LINES, ListenError, Recorded, SHUTDOWN_MARGIN, SHUTDOWN_MAX, SessionLog,
    TlsConfig, Transport,
};
use smol::future::{FutureExt, yield_now};

use crate::changes::ChangesSender;
use crate::connection::Write;
use crate::task::{Inbox, Message, Task, Tasks, TcpListener};
use crate::time::{sleep_until, timeout_at};
use crate::{dialler, listener, task};

mod link;

use link::Link;

/// The owner of everything.
pub(crate) struct Actor {
    node: Recorded,
    clock: Clock,
    /// The time of this turn.
    now: Instant,
    mailbox: Inbox,
    changes: ChangesSender,
    tasks: Tasks,
    links: HashMap<ConnId, Link>,
    /// With which address of a server's name its next dial begins.
    dials: DialOrders,
    /// Of these handshakes something has come that is not looked at yet. Some are over.
    handshakes: VecDeque<ConnId>,
    /// How many links are draining.
    draining: usize,
    tls: TlsConfig,
    listeners: Vec<Task>,
    /// How many connections were accepted: the name of the next.
    accepted: u64,
    log: SessionLog,
    /// How long turns took.
    turns: Histogram,
    shutdown: Option<Shutdown>,
    terminated: bool,
}

/// A shutdown that is under way.
struct Shutdown {
    /// When what still drains is cut.
    deadline: Instant,
    answers: Vec<Answer<()>>,
}

impl Actor {
    pub(crate) fn new(
        (node, tls): (Recorded, TlsConfig),
        clock: Clock,
        mailbox: Inbox,
        changes: ChangesSender,
        tasks: Tasks,
    ) -> Self {
        Self {
            node,
            clock,
            now: clock.now(),
            mailbox,
            changes,
            tasks,
            links: HashMap::new(),
            dials: DialOrders::default(),
            handshakes: VecDeque::new(),
            draining: 0,
            tls,
            listeners: Vec::new(),
            accepted: 0,
            log: SessionLog::default(),
            turns: Histogram::default(),
            shutdown: None,
            terminated: false,
        }
    }

    /// Turns until the node has terminated and everything is closed.
    pub(crate) async fn run(mut self) {
        let mut more = false;
        while !self.terminated {
            let first = if more {
                // Work is left: let the tasks run, and see what they brought.
                yield_now().await;
                None
            } else {
                self.wait().await
            };
            more = self.turn(first);
        }
        self.end().await;
    }

    /// Waits for something to do.
    async fn wait(&mut self) -> Option<Message> {
        let deadline = self.node.poll_timeout().into_iter().chain(self.log.poll_timeout()).min();
        let deadline = deadline.and_then(|at| self.clock.system(at));
        let timer = async {
            match deadline {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        let nothing = timer.or(self.changes.room());
        self.mailbox
            .recv()
            .or(async {
                nothing.await;
                None
            })
            .await
    }

    /// One bounded turn: what was received, then time, then what is to be sent, then handshakes. True if something is left to do.
    fn turn(&mut self, first: Option<Message>) -> bool {
        let start = self.clock.now();
        self.now = start;
        let mut budget = Budget::messages();
        let mut next = first.or_else(|| self.mailbox.try_recv().ok());
        while let Some(message) = next {
            budget.spend(message.weight());
            self.take(message);
            next = if budget.is_left() && !self.terminated { self.mailbox.try_recv().ok() } else { None };
        }
        // The clock says what is due, not the timer that woke us: input that waited longer than a deadline comes first.
        self.now = self.clock.now();
        if !self.terminated && self.is_due() {
            self.feed(Input::Tick);
        }
        self.log.tick(self.now);
        let unsent = self.send();
        let shaken = self.shake();
        let unheard = self.changes.fill(|| self.node.poll_change());
        self.node.end_turn();
        self.turns.observe(self.clock.now().saturating_since(start));
        unsent || shaken || unheard || !budget.is_left() || self.is_due()
    }

    fn is_due(&self) -> bool {
        self.node.poll_timeout().is_some_and(|at| at <= self.now)
    }

    fn take(&mut self, message: Message) {
        match message {
            // Nobody new during a shutdown.
            Message::Accepted { .. } if self.shutdown.is_some() => {}
            Message::Listen { answer, .. } | Message::ListenOn { answer, .. } if self.shutdown.is_some() => {
                answer(Err(ListenError::Closed))
            }
            Message::Accepted { stream, remote, transport } => self.accepted(stream, remote, transport),
            Message::Dialled { conn, result } => self.dialled(conn, result),
            Message::Received { conn, bytes } => self.received(conn, bytes),
            Message::Ended { conn, end } => self.ended(conn, end),
            Message::Written { conn, result } => self.written(conn, result),
            Message::Drained { conn } => self.drained(conn),
            Message::Listen { transport: Transport::Tls, answer, .. }
            | Message::ListenOn { transport: Transport::Tls, answer, .. }
                if !self.tls.is_server() =>
            {
                answer(Err(ListenError::NoTls))
            }
            Message::Listen { addr, transport, answer } => {
                let bound = listener::bind(addr).map_err(|source| ListenError::System { addr, source });
                answer(bound.map(|(listener, local)| self.listen(listener, local, transport)));
            }
            Message::ListenOn { listener, transport, answer } => {
                let bound = listener::take_over(listener).map_err(ListenError::Socket);
                answer(bound.map(|(listener, local)| self.listen(listener, local, transport)));
            }
            Message::SetTls { config, answer } => answer(self.tls.replace(config)),
            Message::Command { command, answer } => {
                let reply = self.command(command);
                if let Some(answer) = answer {
                    answer(reply);
                }
            }
            Message::Batch { commands, answer } => {
                answer(self.commands(commands));
            }
            Message::Inspect(look) => look(&self.node),
            Message::TurnTimes(answer) => answer(self.turns),
            Message::Shutdown { cleanup, answer } => self.shut_down(cleanup, answer),
        }
    }

    fn listen(&mut self, listener: TcpListener, local: SocketAddr, transport: Transport) -> SocketAddr {
        let accept = listener::accept(listener, local, transport, self.clock, self.tasks.mailbox());
        self.listeners.push(self.tasks.spawn(accept));
        // Said again for the second listener; it is so already.
        let _ = self.command(Command::SetListening(true));
        local
    }

    fn command(&mut self, command: Command) -> Result<Reply, ApiMisuse> {
        // The core answers every command; one that comes after its end has no core to answer it.
        self.feed(Input::Command(command)).unwrap_or(Err(ApiMisuse::Closed))
    }

    /// Counts those that changed something; ends at the first that cannot be done.
    fn commands(&mut self, commands: Vec<Command>) -> Result<usize, ApiMisuse> {
        let mut changed = 0;
        for command in commands {
            match self.command(command) {
                Ok(_) => changed += 1,
                Err(misuse) => misuse.ok_if_no_change()?,
            }
        }
        Ok(changed)
    }

    /// Feeds one event and does at once what the node says. Returns the reply, if it was a command.
    fn feed(&mut self, input: Input) -> Option<Result<Reply, ApiMisuse>> {
        if self.terminated {
            return None;
        }
        let mut answer = None;
        for action in self.node.handle_input(self.now, input) {
            match action {
                Action::Dial { conn, peer, endpoint } => {
                    let order = self.dials.begin(peer);
                    let dial = dialler::dial(conn, endpoint.clone(), order, self.tasks.mailbox());
                    self.links.insert(conn, Link::Dialling { peer, endpoint, _task: self.tasks.spawn(dial) });
                }
                Action::Close { conn, how } => self.close(conn, how),
                Action::State(transition) => {
                    self.dials.transition(&transition);
                    self.log.transition(self.now, &transition);
                }
                Action::Refused(refusal) => self.log.refused(self.now, &refusal),
                Action::Reply(reply) => answer = Some(reply),
                Action::Terminated => self.terminated = true,
            }
        }
        answer
    }

    /// Writes what the node has to say. True if the turn's bound was reached first.
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
        if let Some(Link::Open(connection)) = self.links.get_mut(&conn)
            && connection.write(transmit, &self.tasks) == Write::Done
        {
            self.feed(Input::Sent { conn });
        }
    }

    fn shut_down(&mut self, cleanup: bool, answer: Option<Answer<()>>) {
        if self.shutdown.is_none() {
            let deadline = self.now + self.node.config().shutdown_timeout.min(SHUTDOWN_MAX) + SHUTDOWN_MARGIN;
            self.shutdown = Some(Shutdown { deadline, answers: Vec::new() });
            self.listeners.clear();
        }
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.answers.extend(answer);
        }
        // If it is on its way already, the core says so; the answer comes at the end either way.
        let _ = self.command(Command::Shutdown { cleanup });
    }

    /// The node is done: waits, for a bounded time, until every socket is closed, then answers who asked for it.
    async fn end(self) {
        let Self { mut mailbox, mut links, tasks, shutdown, listeners, clock, mut log, node, changes, .. } = self;
        log.finish();
        let (deadline, mut answers) = match shutdown {
            Some(Shutdown { deadline, answers }) => (deadline, answers),
            None => (clock.now(), Vec::new()),
        };
        drop(listeners);
        links.retain(|_, link| matches!(link, Link::Draining { .. }));
        let mut gone = tasks.into_gone();
        mailbox.close();
        if let Some(at) = clock.system(deadline) {
            while let Some(Some(message)) = timeout_at(at, mailbox.recv()).await {
                if let Message::Shutdown { answer, .. } = message {
                    answers.extend(answer);
                }
            }
            // What has not drained by then is cut by dropping its link.
            let _ = timeout_at(at, gone.wait()).await;
        }
        drop(links);
        gone.wait().await;
        // The stream ends, and the memory is free, before anybody is told that all is over.
        drop(changes);
        let (token, mut written) = task::token();
        node.finish(token);
        if let Some(at) = clock.system(clock.now() + LAST_LINES) {
            let _ = timeout_at(at, written.wait()).await;
        }
        for answer in answers {
            answer(());
        }
    }
}
