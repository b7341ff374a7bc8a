//! One connection's protocol state: what may come when, and what follows. Pure: (state, message) -> step; no I/O, and
//! no time but what `timers` is told.

mod timers;

pub(crate) use timers::{SessionTimers, Uptime};

use crate::wire::{Decoded, Hello, Message, Update};
use crate::{MessageType, PeerMisbehaved, SessionState, Vni};

/// Which end of the connection this node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// It dialled: a client of the far end.
    Dialler,
    /// It accepted: the far end's server.
    Acceptor,
}

/// What follows from a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// The peer's HELLO: a dialler sends KEEPALIVE, an acceptor its own HELLO.
    Hello(Hello),
    /// The first KEEPALIVE: the session is ESTABLISHED. An acceptor answers it.
    Established,
    /// A later KEEPALIVE: an acceptor answers it; to a dialler it is an answer.
    Keepalive,
    Subscribe(Vni),
    Unsubscribe(Vni),
    Update(Update),
    /// An UPDATE that can't be.
    Impossible,
    /// A message of an unknown type.
    Unknown,
}

/// A session's state machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Session {
    role: Role,
    state: SessionState,
    hello: Option<Hello>,
}

impl Session {
    pub(crate) const fn new(role: Role) -> Self {
        Self { role, state: SessionState::Connecting, hello: None }
    }

    pub(crate) const fn role(&self) -> Role {
        self.role
    }

    pub(crate) const fn state(&self) -> SessionState {
        self.state
    }

    /// What the peer said of itself.
    pub(crate) const fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    pub(crate) fn is_established(&self) -> bool {
        self.state == SessionState::Established
    }

    /// Whether the peer reassembles frames and answers in order.
    pub(crate) fn is_ordered(&self) -> bool {
        self.hello.is_some_and(|hello| hello.ordered)
    }

    /// The dial succeeded: the HELLO goes out.
    pub(crate) fn connected(&mut self) {
        self.state = SessionState::HelloSent;
    }

    /// What follows from a message.
    ///
    /// # Errors
    /// If it may not come now. The session is over then.
    #[inline]
    pub(crate) fn receive(&mut self, message: Decoded) -> Result<Step, PeerMisbehaved> {
        match self.state {
            SessionState::Connecting | SessionState::HelloSent => match message {
                Decoded::Message(Message::Hello(hello)) => {
                    self.hello = Some(hello);
                    self.state = SessionState::HelloReceived;
                    Ok(Step::Hello(hello))
                }
                other => Err(PeerMisbehaved::NotHelloFirst(number(&other))),
            },
            SessionState::HelloReceived => match message {
                Decoded::Message(Message::Keepalive) => {
                    self.state = SessionState::Established;
                    Ok(Step::Established)
                }
                Decoded::Message(Message::Hello(_)) => Err(PeerMisbehaved::SecondHello),
                Decoded::Message(other) => Err(PeerMisbehaved::BeforeKeepalive(other.kind())),
                Decoded::Impossible(_) => Err(PeerMisbehaved::BeforeKeepalive(MessageType::Update)),
                Decoded::Unknown(_) => Ok(Step::Unknown),
            },
            SessionState::Established => match message {
                Decoded::Message(Message::Hello(_)) => Err(PeerMisbehaved::SecondHello),
                Decoded::Message(Message::Keepalive) => Ok(Step::Keepalive),
                Decoded::Message(Message::Subscribe(vni)) => Ok(Step::Subscribe(vni)),
                Decoded::Message(Message::Unsubscribe(vni)) => Ok(Step::Unsubscribe(vni)),
                Decoded::Message(Message::Update(update)) => Ok(Step::Update(update)),
                Decoded::Impossible(_) => Ok(Step::Impossible),
                Decoded::Unknown(_) => Ok(Step::Unknown),
            },
            // A session without a connection receives nothing.
            SessionState::Retry | SessionState::Closed => Ok(Step::Unknown),
        }
    }
}

/// The number of a message's type on the wire.
fn number(message: &Decoded) -> u8 {
    match message {
        Decoded::Message(message) => message.kind() as u8,
        Decoded::Impossible(_) => MessageType::Update as u8,
        Decoded::Unknown(kind) => *kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Impossible, UpdateAction};
    use crate::{NextHop, Prefix, Route};
    use SessionState::{Connecting, Established, HelloReceived, HelloSent};
    use core::net::{IpAddr, Ipv4Addr};

    const HELLO: Hello = Hello { keepalive: 5, is_server: false, ordered: true, warming: false, restart_time: 0 };

    fn update() -> Update {
        let addr = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let prefix = Prefix::new(addr, 32).unwrap();
        let route = Route { vni: Vni(1), prefix, next_hop: NextHop::standard(addr) };
        Update { action: UpdateAction::Add, route }
    }

    fn inputs() -> [Decoded; 7] {
        [
            Decoded::Message(Message::Hello(HELLO)),
            Decoded::Message(Message::Keepalive),
            Decoded::Message(Message::Subscribe(Vni(1))),
            Decoded::Message(Message::Unsubscribe(Vni(1))),
            Decoded::Message(Message::Update(update())),
            Decoded::Impossible(Impossible::Port(65536)),
            Decoded::Unknown(9),
        ]
    }

    #[test]
    fn every_state_takes_every_message_as_the_table_says() {
        use PeerMisbehaved::{BeforeKeepalive, NotHelloFirst, SecondHello};
        let first = |state| {
            let rest = [2, 3, 4, 5, 5, 9].map(|n| (Err(NotHelloFirst(n)), state));
            let [a, b, c, d, e, f] = rest;
            [(Ok(Step::Hello(HELLO)), HelloReceived), a, b, c, d, e, f]
        };
        let received = [
            (Err(SecondHello), HelloReceived),
            (Ok(Step::Established), Established),
            (Err(BeforeKeepalive(MessageType::Subscribe)), HelloReceived),
            (Err(BeforeKeepalive(MessageType::Unsubscribe)), HelloReceived),
            (Err(BeforeKeepalive(MessageType::Update)), HelloReceived),
            (Err(BeforeKeepalive(MessageType::Update)), HelloReceived),
            (Ok(Step::Unknown), HelloReceived),
        ];
        let established = [
            (Err(SecondHello), Established),
            (Ok(Step::Keepalive), Established),
            (Ok(Step::Subscribe(Vni(1))), Established),
            (Ok(Step::Unsubscribe(Vni(1))), Established),
            (Ok(Step::Update(update())), Established),
            (Ok(Step::Impossible), Established),
            (Ok(Step::Unknown), Established),
        ];
        for role in [Role::Acceptor, Role::Dialler] {
            let start = if role == Role::Acceptor { Connecting } else { HelloSent };
            for (state, expected) in [(start, first(start)), (HelloReceived, received), (Established, established)] {
                for (input, expected) in inputs().into_iter().zip(expected) {
                    let mut session = Session { role, state, hello: None };
                    let step = session.receive(input);
                    assert_eq!((step, session.state), expected, "{role:?} in {state} receives {input:?}");
                }
            }
        }
    }
}
