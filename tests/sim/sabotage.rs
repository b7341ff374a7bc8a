//! Breaks a node on purpose, between it and everybody else: a checker that does not notice checks nothing.

use std::time::Duration;

use bytes::Bytes;
use metalbond::{Command, Config, Input, Transmit};

use super::wire::{Msg, decode_all, encode};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sabotage {
    /// An UPDATE is lost.
    Drop,
    /// An UPDATE is said twice.
    Repeat,
    /// An UPDATE comes behind all that is sent together with it.
    Delay,
    /// An ADD becomes a REMOVE.
    Invert,
    /// It isn't told that bytes were written.
    Stall,
    /// It hears something whenever it looks whether somebody is silent.
    Trust,
    /// It lets everybody do everything.
    Lax,
    /// It gives up too soon who doesn't open a session.
    Hurry,
}

/// Spoils every nth UPDATE, or what else it is about.
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

    /// The settings that it runs with, other than all think.
    pub(crate) fn config(&self, config: Config) -> Config {
        match self.how {
            Sabotage::Hurry => Config { handshake_timeout: Duration::from_secs(4), ..config },
            _ => config,
        }
    }

    /// Whether the node never learns of this.
    pub(crate) fn keeps_back(&mut self, input: &Input) -> bool {
        let is_about_it = self.how == Sabotage::Stall && matches!(input, Input::Sent { .. });
        self.seen += u32::from(is_about_it);
        is_about_it && self.seen.is_multiple_of(self.every)
    }

    /// What it takes this for.
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
