//! The protocol's state machine for one connection: (state, message) -> step. Pure: no I/O, and time is an argument.
//!
//! Invariant: a message that the state does not permit ends the session.

mod timers;

pub(crate) use timers::{SessionTimers, Uptime};

use crate::wire::{Decoded, Hello, Message, Update};
use crate::{MessageType, PeerMisbehaved, SessionState, Vni};

/// This node's end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// This node dialled: it is the client.
    Dialler,
    /// This node accepted: it is the server.
    Acceptor,
}

/// What a node does after a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// The peer's HELLO has come. A dialler sends a KEEPALIVE, an acceptor its own HELLO.
    Hello(Hello),
    /// The first KEEPALIVE has come, and the session is ESTABLISHED. An acceptor answers it.
    Established,
    /// A later KEEPALIVE has come. An acceptor answers it; for a dialler it is an answer.
    Keepalive,
    Subscribe(Vni),
    Unsubscribe(Vni),
    Update(Update),
    /// An UPDATE whose route is not valid has come.
    InvalidUpdate,
    /// A message of an unknown type has come.
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

    /// Returns the peer's HELLO, once it has come.
    pub(crate) const fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    pub(crate) fn is_established(&self) -> bool {
        self.state == SessionState::Established
    }

    /// Returns whether the peer has the capability `ordered`.
    pub(crate) fn is_ordered(&self) -> bool {
        self.hello.is_some_and(|hello| hello.ordered)
    }

    /// Notes that the dial has succeeded and a HELLO is sent.
    pub(crate) fn connected(&mut self) {
        self.state = SessionState::HelloSent;
    }

    /// Takes a message.
    ///
    /// # Errors
    /// If the state does not permit the message. The session is to be closed.
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
                Decoded::InvalidUpdate(_) => Err(PeerMisbehaved::BeforeKeepalive(MessageType::Update)),
                Decoded::Unknown(_) => Ok(Step::Unknown),
            },
            SessionState::Established => match message {
                Decoded::Message(Message::Hello(_)) => Err(PeerMisbehaved::SecondHello),
                Decoded::Message(Message::Keepalive) => Ok(Step::Keepalive),
                Decoded::Message(Message::Subscribe(vni)) => Ok(Step::Subscribe(vni)),
                Decoded::Message(Message::Unsubscribe(vni)) => Ok(Step::Unsubscribe(vni)),
                Decoded::Message(Message::Update(update)) => Ok(Step::Update(update)),
                Decoded::InvalidUpdate(_) => Ok(Step::InvalidUpdate),
                Decoded::Unknown(_) => Ok(Step::Unknown),
            },
            // A session without a connection receives nothing.
            SessionState::Retry | SessionState::Closed => Ok(Step::Unknown),
        }
    }
}

/// Returns the number of a message's type.
fn number(message: &Decoded) -> u8 {
    match message {
        Decoded::Message(message) => message.kind() as u8,
        Decoded::InvalidUpdate(_) => MessageType::Update as u8,
        Decoded::Unknown(kind) => *kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{InvalidUpdate, UpdateAction};
    use crate::{NextHop, Prefix, Route};
    use SessionState::{Connecting, Established, HelloReceived, HelloSent};
    use core::net::{IpAddr, Ipv4Addr};

    const HELLO: Hello = Hello { keepalive: 5, is_server: false, ordered: true, converging: false, restart_time: 0 };

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
            Decoded::InvalidUpdate(InvalidUpdate::Port(65536)),
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
            (Ok(Step::InvalidUpdate), Established),
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
