//! The actor's two mailboxes: requests of handles, and events of the node's own tasks. Both are bounded; when one is full, its senders
//! wait. The actor takes from both in alternation, so that each is served while the other is busy.
//!
//! The mailbox of requests does not know the runtime, because handles have the same type under any. It closes when the last handle is
//! dropped.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_channel::{Receiver, Sender, TryRecvError};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_core::Stream as _;
use metalbond::{Command, CommandError, ConnId, Histogram, Node, PeerId, Reply, Route, TransportEnd, Vni};

use crate::budget::{EVENTS, REQUESTS};
use crate::tls::Transport;
use crate::{ListenError, Runtime};

/// The channel for the answer to a request. Dropping it answers the request with "closed".
pub(crate) type Answer<T> = oneshot::Sender<T>;

/// A request of a handle to the actor.
pub(crate) enum Request {
    /// Listen on an address. The answer is the address with the port that the system chose.
    Listen { address: SocketAddr, transport: Transport, answer: Answer<Result<SocketAddr, ListenError>> },
    /// Listen on a socket that another program has bound.
    ListenOn { listener: TcpListener, transport: Transport, answer: Answer<Result<SocketAddr, ListenError>> },
    /// Replace the configuration of TLS.
    #[cfg(feature = "tls")]
    SetTls { config: crate::TlsConfig, answer: Answer<Result<(), crate::SetTlsError>> },
    /// Carry out one command. There is no `answer` for a notice.
    Command { command: Command, answer: Option<Answer<Result<Reply, CommandError>>> },
    /// Carry out several commands, at most [`BATCH`](crate::budget::BATCH), until one fails. The answer is the number of commands that
    /// changed something.
    Batch { commands: Vec<Command>, answer: Answer<Result<usize, CommandError>> },
    /// Answer when the session with a server is ESTABLISHED.
    WaitEstablished { peer: PeerId, answer: Answer<Result<(), CommandError>> },
    /// Report the routes of a VNI again. The answer is the routes that the node itself announces in the VNI.
    ResyncWithOwn { vni: Vni, answer: Answer<Result<Vec<Route>, CommandError>> },
    /// Call a function with the node.
    Inspect(Box<dyn FnOnce(&Node) + Send>),
    /// Report how long the iterations of the actor took.
    IterationTimes(Answer<Histogram>),
    /// Shut down: for good with `cleanup`, otherwise for a restart. Handles see the end by [`Ended`](crate::tasks::Ended).
    Shutdown { cleanup: bool },
}

/// A message of a task to the actor. Events of a connection that the actor has closed since are ignored.
pub(crate) enum Event<S> {
    /// A listener has accepted a connection.
    Accepted { stream: S, remote: SocketAddr, transport: Transport },
    /// The lookup of a server's name has ended, with its addresses or an error.
    Resolved { endpoint: Arc<str>, result: Result<Vec<SocketAddr>, Box<str>> },
    /// A dial has ended, with the connection and the address that was reached, or with an error.
    Dialled { conn: ConnId, result: Result<(S, SocketAddr), Box<str>> },
    /// A reader has received bytes.
    Received { conn: ConnId, bytes: Bytes },
    /// A reader has reached the end of its connection.
    Ended { conn: ConnId, end: TransportEnd },
    /// A writer has written the bytes that the connection did not take at once, or has failed.
    Written { conn: ConnId, result: io::Result<()> },
    /// A closed connection has ended its lingering.
    Drained { conn: ConnId },
}

/// The channel from a task to the actor.
pub(crate) type Events<R> = Sender<Event<<R as Runtime>::Stream>>;

/// The channel from a handle to the actor.
pub(crate) type Requests = Sender<Request>;

/// A message to the actor.
#[derive(Debug)]
pub(crate) enum Message<S> {
    Request(Request),
    Event(Event<S>),
    /// The last handle has been dropped. This message comes once.
    NoHandles,
}

impl<S> Message<S> {
    /// Returns how many bytes the message takes from the budget for received bytes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Event(Event::Received { bytes, .. }) => bytes.len(),
            // A command costs about as much as receiving its frame, which has about 40 bytes.
            Self::Request(Request::Batch { commands, .. }) => commands.len() * 40,
            _ => 0,
        }
    }
}

/// Makes the mailboxes of an actor, and their senders.
pub(crate) fn mailboxes<S>() -> (Requests, Sender<Event<S>>, Inbox<S>) {
    let (request_sender, requests) = async_channel::bounded(REQUESTS);
    let (event_sender, events) = async_channel::bounded(EVENTS);
    let inbox =
        Inbox { requests: Box::pin(requests), events: Box::pin(events), has_handles: true, next: Next::Request };
    (request_sender, event_sender, inbox)
}

/// The actor's end of its mailboxes. Dropping it answers waiting requests with "closed".
#[derive(Debug)]
pub(crate) struct Inbox<S> {
    requests: Pin<Box<Receiver<Request>>>,
    events: Pin<Box<Receiver<Event<S>>>>,
    /// True until [`Message::NoHandles`] is returned.
    has_handles: bool,
    next: Next,
}

/// The mailbox that is polled first next time.
#[derive(Clone, Copy, Debug)]
enum Next {
    Request,
    Event,
}

impl<S> Inbox<S> {
    /// Polls for the next message. The actor may wait only if this was the last call and it returned `Pending`:
    /// [`try_next`](Self::try_next) registers no waker.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Message<S>> {
        for _ in 0..2 {
            let message = match self.take_next() {
                Next::Request => self.poll_request(cx),
                Next::Event => self.events.as_mut().poll_next(cx).map(|event| event.map(Message::Event)),
            };
            if let Poll::Ready(Some(message)) = message {
                return Poll::Ready(message);
            }
        }
        Poll::Pending
    }

    fn take_next(&mut self) -> Next {
        let after = match self.next {
            Next::Request => Next::Event,
            Next::Event => Next::Request,
        };
        std::mem::replace(&mut self.next, after)
    }

    /// Returns true if no message waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.events.is_empty()
    }

    fn try_request(&mut self) -> Option<Message<S>> {
        match self.requests.try_recv() {
            Ok(request) => Some(Message::Request(request)),
            // A node that never waits learns here that the last handle was dropped.
            Err(TryRecvError::Closed) => std::mem::take(&mut self.has_handles).then_some(Message::NoHandles),
            Err(TryRecvError::Empty) => None,
        }
    }

    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message<S>>> {
        if !self.has_handles {
            return Poll::Pending;
        }
        self.requests.as_mut().poll_next(cx).map(|request| {
            self.has_handles = request.is_some();
            Some(request.map_or(Message::NoHandles, Message::Request))
        })
    }

    /// Returns the next message, if there is one.
    pub(crate) fn try_next(&mut self) -> Option<Message<S>> {
        for _ in 0..2 {
            let message = match self.take_next() {
                Next::Request => self.try_request(),
                Next::Event => self.events.try_recv().ok().map(Message::Event),
            };
            if message.is_some() {
                return message;
            }
        }
        None
    }
}

impl<S> Drop for Inbox<S> {
    fn drop(&mut self) {
        // A channel keeps its messages as long as it has a sender. After closing, no message is added, so the loops below empty both.
        self.requests.close();
        self.events.close();
        while self.requests.try_recv().is_ok() {}
        while self.events.try_recv().is_ok() {}
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, transport, .. } => write!(f, "Listen({address}, {transport:?})"),
            Self::ListenOn { listener, .. } => write!(f, "ListenOn({:?})", listener.local_addr()),
            #[cfg(feature = "tls")]
            Self::SetTls { .. } => f.write_str("SetTls"),
            Self::Command { command, .. } => write!(f, "Command({command:?})"),
            Self::Batch { commands, .. } => write!(f, "Batch({})", commands.len()),
            Self::WaitEstablished { peer, .. } => write!(f, "WaitEstablished({peer})"),
            Self::ResyncWithOwn { vni, .. } => write!(f, "ResyncWithOwn({vni})"),
            Self::Inspect(_) => f.write_str("Inspect"),
            Self::IterationTimes(_) => f.write_str("IterationTimes"),
            Self::Shutdown { cleanup } => write!(f, "Shutdown({cleanup})"),
        }
    }
}

impl<S> fmt::Debug for Event<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { remote, .. } => write!(f, "Accepted({remote})"),
            Self::Resolved { endpoint, result } => write!(f, "Resolved({endpoint}, {result:?})"),
            Self::Dialled { conn, result } => write!(f, "Dialled({conn}, {})", result.is_ok()),
            Self::Received { conn, bytes } => write!(f, "Received({conn}, {})", bytes.len()),
            Self::Ended { conn, end } => write!(f, "Ended({conn}, {end})"),
            Self::Written { conn, result } => write!(f, "Written({conn}, {result:?})"),
            Self::Drained { conn } => write!(f, "Drained({conn})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use metalbond::Vni;

    use super::*;

    #[test]
    fn each_mailbox_is_served_while_the_other_is_full() {
        let (requests, events, mut inbox) = mailboxes::<()>();
        (0..REQUESTS).for_each(|n| requests.try_send(subscribe(n as u32)).unwrap());
        (0..EVENTS).for_each(|n| events.try_send(drained(n as u64)).unwrap());
        assert!(requests.try_send(subscribe(0)).is_err() && events.try_send(drained(0)).is_err(), "both are bounded");
        for poll in [false, true].into_iter().cycle().take(REQUESTS) {
            let pair = [next(&mut inbox, poll), next(&mut inbox, poll)];
            assert!(pair.iter().any(|message| matches!(message, Some(Message::Request(_)))), "{pair:?}");
            assert!(pair.iter().any(|message| matches!(message, Some(Message::Event(_)))), "{pair:?}");
        }
        (REQUESTS..EVENTS).for_each(|_| assert!(matches!(next(&mut inbox, true), Some(Message::Event(_)))));
        assert!(next(&mut inbox, true).is_none() && next(&mut inbox, false).is_none());
    }

    #[test]
    fn the_drop_of_the_last_handle_is_reported_once_and_after_its_requests() {
        for poll in [false, true] {
            let (requests, events, mut inbox) = mailboxes::<()>();
            let other = requests.clone();
            drop(requests);
            other.try_send(subscribe(1)).unwrap();
            drop(other);
            assert!(matches!(next(&mut inbox, poll), Some(Message::Request(_))));
            assert!(matches!(next(&mut inbox, poll), Some(Message::NoHandles)));
            assert!(next(&mut inbox, false).is_none() && next(&mut inbox, true).is_none());
            events.try_send(drained(1)).unwrap();
            assert!(matches!(next(&mut inbox, poll), Some(Message::Event(_))), "tasks go on");
        }
    }

    #[test]
    fn a_request_that_is_not_taken_is_answered_while_there_are_handles() {
        let (requests, _events, inbox) = mailboxes::<()>();
        let (answer, mut question) = oneshot::channel();
        requests.try_send(Request::IterationTimes(answer)).unwrap();
        drop(inbox);
        assert!(question.try_recv().is_err());
        assert!(requests.try_send(subscribe(1)).is_err());
    }

    fn next(inbox: &mut Inbox<()>, poll: bool) -> Option<Message<()>> {
        if !poll {
            return inbox.try_next();
        }
        match inbox.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(message) => Some(message),
            Poll::Pending => None,
        }
    }

    fn subscribe(vni: u32) -> Request {
        Request::Command { command: Command::Subscribe(Vni(vni)), answer: None }
    }

    const fn drained(conn: u64) -> Event<()> {
        Event::Drained { conn: ConnId::accepted(conn) }
    }
}
