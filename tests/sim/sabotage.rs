//! Breaks a node on purpose, between it and its peers: a checker that notices nothing checks nothing.

use std::time::Duration;

use bytes::Bytes;
use metalbond::{Command, Config, Input, Transmit};

use super::wire::{Msg, decode_all, encode};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sabotage {
    /// An UPDATE is lost.
    Drop,
    /// An UPDATE is sent twice.
    Repeat,
    /// An UPDATE is sent after all messages that are sent together with it.
    Delay,
    /// An ADD becomes a REMOVE.
    Invert,
    /// The node is not notified that bytes were written.
    Stall,
    /// The node receives something whenever it checks whether a peer is silent.
    Trust,
    /// The node permits everything to all peers.
    Lax,
    /// The node gives up too soon a peer that does not open a session.
    Hurry,
}

/// Breaks every nth UPDATE, or other event that the fault is about.
#[derive(Clone, Debug)]
pub(crate) struct Saboteur {
    how: Sabotage,
    every: u32,
    seen: u32,
}

impl Saboteur {
    pub(crate) fn new(how: Sabotage, every: u32) -> Self {
        Self { how, every, seen: 0 }
    }

    /// Returns the settings that the node runs with, which differ from those it is checked against.
    pub(crate) fn config(&self, config: Config) -> Config {
        match self.how {
            Sabotage::Hurry => Config { handshake_timeout: Duration::from_secs(4), ..config },
            _ => config,
        }
    }

    /// Returns true if the node never receives this input.
    pub(crate) fn keeps_back(&mut self, input: &Input) -> bool {
        let is_about_it = self.how == Sabotage::Stall && matches!(input, Input::Sent { .. });
        self.seen += u32::from(is_about_it);
        is_about_it && self.seen.is_multiple_of(self.every)
    }

    /// Returns the input that the node receives instead of this one.
    pub(crate) fn mishears(&self, input: Input) -> Input {
        match input {
            Input::Command(Command::SetPolicy(Some(_))) if self.how == Sabotage::Lax => {
                Input::Command(Command::SetPolicy(None))
            }
            input => input,
        }
    }

    pub(crate) fn makes_noise(&self, input: &Input) -> bool {
        self.how == Sabotage::Trust && *input == Input::Tick
    }

    pub(crate) fn spoil(&mut self, transmit: &mut Transmit) {
        let (mut out, mut late): (Vec<Msg>, Vec<Msg>) = Default::default();
        for msg in transmit.chunks.iter().flat_map(|c| decode_all(c)) {
            let is_update = matches!(msg, Msg::Add(_) | Msg::Remove(_));
            self.seen += u32::from(is_update);
            if !is_update || !self.seen.is_multiple_of(self.every) {
                out.push(msg);
                continue;
            }
            match (self.how, msg) {
                (Sabotage::Drop, _) => {}
                (Sabotage::Repeat, msg) => out.extend([msg, msg]),
                (Sabotage::Delay, msg) => late.push(msg),
                (Sabotage::Invert, Msg::Add(route)) => out.push(Msg::Remove(route)),
                (_, msg) => out.push(msg),
            }
        }
        out.append(&mut late);
        transmit.chunks = out.iter().map(|m| Bytes::from(encode(m))).collect();
    }
}
