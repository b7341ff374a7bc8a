//! How long the routes of a server's earlier sessions stay: a timer for each configured server. Pure: the client passes in
//! what happens, and the timer says when the time is over. Stale routes and what the application adopted at its start share this rule
//! ([`Node::may_remove_adopted`](crate::Node::may_remove_adopted)).
//!
//! Invariant: the time runs only while the server has no session, and never ends during a sync that is in progress.

use core::time::Duration;

use crate::{Config, Instant};

/// Where the session with a configured server stands, as far as stale routes depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// There is no session.
    Away,
    /// A session is open, and its initial sync is in progress.
    Syncing,
    /// A session is open. Its sync has ended, or the server lacks `ordered` and cannot say where it ends.
    Settled,
}

/// Whether the node has a session with any configured server.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Sessions {
    pub(super) any_open: bool,
    pub(super) any_syncing: bool,
}

impl Sessions {
    pub(super) fn of(phases: impl Iterator<Item = Phase>) -> Self {
        phases.fold(Self::default(), |seen, phase| Self {
            any_open: seen.any_open || phase != Phase::Away,
            any_syncing: seen.any_syncing || phase == Phase::Syncing,
        })
    }
}

/// The time for which routes of a server's earlier sessions stay. It is dropped when they may go: at an End-of-RIB of a server
/// that is not converging, or when the time is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StaleTime {
    /// When the session that announced the routes was lost. For a new server, when it was added: the application may have
    /// adopted routes that this server announced to an earlier process.
    begin: Instant,
    /// The part of [`Config::stale_time`] that is left. It runs while the server has no session. `None`: it never ends.
    left: Option<Duration>,
    /// Since when `left` runs. `None`: the server has a session, or its first dial is in progress.
    running_since: Option<Instant>,
    /// When the first session with this server since `begin` was established.
    opened: Option<Instant>,
    /// When the first session with any server since `begin` was established; `begin`, if there was one already.
    any_opened: Option<Instant>,
}

impl StaleTime {
    /// Begins with a server that has just been added. Its first dial decides whether the time begins to run.
    pub(super) fn of_new_peer(now: Instant, config: &Config, sessions: Sessions) -> Self {
        Self { running_since: None, ..Self::of_lost_session(now, config, sessions) }
    }

    /// Begins with the loss of a session. `sessions`: those that are left.
    pub(super) fn of_lost_session(now: Instant, config: &Config, sessions: Sessions) -> Self {
        let any_opened = sessions.any_open.then_some(now);
        Self { begin: now, left: config.stale_time, running_since: Some(now), opened: None, any_opened }
    }

    /// A time that is over already.
    pub(super) fn over(now: Instant) -> Self {
        Self { begin: now, left: Some(Duration::ZERO), running_since: Some(now), opened: None, any_opened: None }
    }

    /// A dial failed: if it was the first one of a new server, the time runs, and has done so since the server was added.
    pub(super) fn dial_failed(&mut self) {
        self.running_since.get_or_insert(self.begin);
    }

    /// A session with any server is established.
    pub(super) fn any_opens(&mut self, now: Instant) {
        self.any_opened.get_or_insert(now);
    }

    /// A session with this server is established.
    pub(super) fn opens(&mut self, now: Instant) {
        self.opened.get_or_insert(now);
        if let Some(since) = self.running_since.take() {
            self.left = self.left.map(|left| left.saturating_sub(now.saturating_since(since)));
        }
    }

    /// A session with this server is lost in which it announced nothing new: the rest of the time runs on.
    pub(super) fn loses(&mut self, now: Instant) {
        self.running_since = Some(now);
    }

    /// Whether the server's first dial is in progress: nothing is known of it yet.
    pub(super) fn is_first_dial(&self) -> bool {
        self.running_since.is_none() && self.opened.is_none()
    }

    /// When the time is over, as things stand. `None`: not before something else happens.
    pub(super) fn end(&self, phase: Phase, sessions: Sessions, config: &Config) -> Option<Instant> {
        match phase {
            Phase::Syncing => None,
            Phase::Settled => self.opened.map(|at| at + config.session_stale_time),
            Phase::Away => {
                let since = self.running_since?;
                match self.left {
                    Some(left) => Some(since + left),
                    // A session with another server, which has sent what it has, ends it.
                    None if sessions.any_syncing || !sessions.any_open => None,
                    None => self.any_opened.map(|at| at + config.session_stale_time),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Sessions = Sessions { any_open: false, any_syncing: false };
    const OPEN: Sessions = Sessions { any_open: true, any_syncing: false };
    const SYNCING: Sessions = Sessions { any_open: true, any_syncing: true };

    fn at(secs: u64) -> Instant {
        Instant::from_epoch(Duration::from_secs(secs))
    }

    fn config(hold: Option<u64>) -> Config {
        Config { stale_time: hold.map(Duration::from_secs), ..Config::default() }
    }

    #[test]
    fn without_a_session_the_stale_time_counts_from_the_loss() {
        let config = config(Some(60));
        let time = StaleTime::of_lost_session(at(100), &config, NONE);
        assert_eq!(time.end(Phase::Away, NONE, &config), Some(at(160)));
    }

    #[test]
    fn without_a_session_and_a_stale_time_there_is_no_end() {
        let config = config(None);
        let time = StaleTime::of_lost_session(at(100), &config, NONE);
        assert_eq!(time.end(Phase::Away, NONE, &config), None);
    }

    #[test]
    fn a_session_with_another_server_ends_what_has_no_stale_time() {
        let config = config(None);
        let mut time = StaleTime::of_lost_session(at(100), &config, NONE);
        time.any_opens(at(150));
        assert_eq!(time.end(Phase::Away, SYNCING, &config), None);
        assert_eq!(time.end(Phase::Away, OPEN, &config), Some(at(270)));
        let time = StaleTime::of_lost_session(at(100), &config, OPEN);
        assert_eq!(time.end(Phase::Away, OPEN, &config), Some(at(220)), "one that was there before the loss");
    }

    #[test]
    fn with_a_session_the_time_counts_from_its_opening() {
        let config = config(Some(60));
        let mut time = StaleTime::of_lost_session(at(100), &config, NONE);
        time.opens(at(150));
        assert_eq!(time.end(Phase::Syncing, SYNCING, &config), None);
        assert_eq!(time.end(Phase::Settled, OPEN, &config), Some(at(270)));
        time.loses(at(170));
        assert_eq!(time.end(Phase::Away, NONE, &config), Some(at(180)), "ten seconds were left");
        time.opens(at(175));
        assert_eq!(time.end(Phase::Settled, OPEN, &config), Some(at(270)), "from the first one's opening");
    }

    #[test]
    fn of_a_new_server_nothing_counts_before_its_first_dial_has_ended() {
        let config = config(Some(0));
        let mut time = StaleTime::of_new_peer(at(100), &config, NONE);
        assert!(time.is_first_dial());
        assert_eq!(time.end(Phase::Away, NONE, &config), None);
        time.dial_failed();
        assert!(!time.is_first_dial());
        assert_eq!(time.end(Phase::Away, NONE, &config), Some(at(100)));
    }
}
