//! The contents of the screen, and the effect of keys. Pure: snapshots and keys are arguments.

use std::time::Instant;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::Failure;
use super::look::{Look, Rates, View};
use super::peers::PeerRow;
use super::sheet::{Row, Sheet};
use crate::api::{Status, Vni};

/// The contents of the screen.
pub(super) struct Screen {
    /// The address of the daemon's HTTP side.
    pub(super) place: String,
    look: Look,
    /// Why the last query failed, if it did.
    pub(super) failure: Option<String>,
    pub(super) total: Rates,
    view: View,
    pub(super) peers: Sheet<PeerRow>,
    pub(super) vnis: Sheet<Vni>,
    pub(super) filter: String,
    /// True while typed characters belong to the filter.
    pub(super) is_filtering: bool,
    /// The number of columns that fit.
    pub(super) columns: usize,
}

impl Screen {
    pub(super) fn new(place: String, look: Look) -> Self {
        let (peers, vnis) = (Sheet::new(Vec::new()), Sheet::new(Vec::new()));
        let (failure, filter) = (None, String::new());
        let mut screen = Self {
            place,
            look: look.clone(),
            failure,
            total: Rates::default(),
            view: View::Peers,
            peers,
            vnis,
            filter,
            is_filtering: false,
            columns: usize::MAX,
        };
        screen.looked(Ok(look));
        screen
    }

    pub(super) const fn view(&self) -> View {
        self.view
    }

    pub(super) const fn status(&self) -> &Status {
        &self.look.status
    }

    /// Returns the time of the last successful query.
    pub(super) const fn at(&self) -> Instant {
        self.look.at
    }

    /// Takes the result of a query. The old contents stay if it failed.
    pub(super) fn looked(&mut self, looked: Result<Look, Failure>) {
        let mut look = match looked {
            Ok(look) => look,
            Err(failure) => {
                self.failure = Some(failure.to_string());
                return;
            }
        };
        self.failure = None;
        let (rates, total) = look.rates_since(&self.look);
        self.total = total;
        let rows = look.peers.iter().cloned().zip(rates).map(|(peer, rates)| PeerRow { peer, rates });
        self.peers.fill(rows.collect());
        if let Some(vnis) = look.vnis.take() {
            self.vnis.fill(vnis);
        }
        self.look = look;
    }

    /// Handles a key. Returns true if the program should end.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return key.code == KeyCode::Char('c');
        }
        if self.is_filtering {
            self.type_filter(key.code);
            return false;
        }
        match key.code {
            KeyCode::Char('q') => return true,
            KeyCode::Char('p') => self.view = View::Peers,
            KeyCode::Char('v') => self.view = View::Vnis,
            KeyCode::Char('/') => self.is_filtering = true,
            KeyCode::Esc => self.set_filter(String::new()),
            code => match self.view {
                View::Peers => move_in(&mut self.peers, code, self.columns),
                View::Vnis => move_in(&mut self.vnis, code, self.columns),
            },
        }
        false
    }

    fn type_filter(&mut self, code: KeyCode) {
        let mut filter = self.filter.clone();
        match code {
            KeyCode::Char(c) => filter.push(c),
            KeyCode::Backspace => drop(filter.pop()),
            KeyCode::Enter => self.is_filtering = false,
            KeyCode::Esc => {
                filter.clear();
                self.is_filtering = false;
            }
            _ => return,
        }
        self.set_filter(filter);
    }

    fn set_filter(&mut self, filter: String) {
        self.filter = filter;
        self.peers.filter(&self.filter);
        self.vnis.filter(&self.filter);
    }
}

fn move_in<T: Row>(sheet: &mut Sheet<T>, code: KeyCode, columns: usize) {
    match code {
        KeyCode::Up | KeyCode::Char('k') => sheet.step(-1),
        KeyCode::Down | KeyCode::Char('j') => sheet.step(1),
        KeyCode::PageUp => sheet.step(-sheet.page()),
        KeyCode::PageDown => sheet.step(sheet.page()),
        KeyCode::Home | KeyCode::Char('g') => sheet.step(isize::MIN),
        KeyCode::End | KeyCode::Char('G') => sheet.step(isize::MAX),
        KeyCode::Char('s') => sheet.sort_by_next(columns),
        KeyCode::Char('r') => sheet.reverse(),
        _ => {}
    }
}

#[cfg(test)]
pub(super) mod tests {
    use metalbond::SessionState;
    use metalbond_tokio::Direction;

    use super::*;
    use crate::api::{Dropped, Messages, Peer, Role};

    /// Returns a snapshot of a daemon with these peers.
    pub(in super::super) fn look(peers: Vec<Peer>) -> Look {
        let status = Status {
            version: "1.2.3".into(),
            role: Role::Server,
            started: "2026-11-25T00:00:00Z".into(),
            uptime_seconds: 90.0,
            ready: true,
            waiting_for: Vec::new(),
            listening: vec!["[::]:4711".parse().unwrap()],
            converging: false,
            peers: [("ESTABLISHED".to_owned(), peers.len())].into(),
            vnis: 2,
            routes: 12,
            announced: 0,
            subscriptions: 0,
            kernel: None,
        };
        Look { at: Instant::now(), status, peers, vnis: None }
    }

    /// Returns a connected peer.
    pub(in super::super) fn peer(name: &str) -> Peer {
        let is_server = name.starts_with('p');
        Peer {
            name: name.into(),
            direction: if is_server { Direction::Dialled } else { Direction::Accepted },
            state: SessionState::Established,
            state_seconds: Some(75.0),
            endpoint: is_server.then(|| "server.example:4711".into()),
            remote: Some("192.0.2.1:50000".parse().unwrap()),
            names: None,
            rule: None,
            ordered: true,
            is_server,
            converging: false,
            synced: is_server.then_some(true),
            routes: 5,
            stale: 0,
            subscriptions: 2,
            lag: 0,
            keepalive_seconds: Some(5),
            restart_time_seconds: Some(10),
            last_received_seconds: Some(1.25),
            dials: is_server.then_some(3),
            last_close: is_server.then(|| "closed by the peer".into()),
            bytes_in: 1_000,
            bytes_out: 2_000_000,
            messages_in: Messages::default(),
            messages_out: Messages::default(),
            dropped: Dropped::default(),
        }
    }

    pub(in super::super) fn press(screen: &mut Screen, keys: &str) {
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\u{8}' => KeyCode::Backspace,
                '\u{1b}' => KeyCode::Esc,
                c => KeyCode::Char(c),
            };
            assert!(!screen.press(KeyEvent::new(code, KeyModifiers::NONE)), "{c:?} ends it");
        }
    }

    fn names(screen: &mut Screen) -> Vec<String> {
        screen.peers.seen(99).0.map(|row| row.peer.name.clone()).collect()
    }

    #[test]
    fn servers_come_first_and_clients_by_their_numbers() {
        let mut screen = Screen::new("there".into(), look(["a10", "a9", "p1", "p0"].map(peer).into()));
        assert_eq!(names(&mut screen), ["p0", "p1", "a9", "a10"]);
        press(&mut screen, "r");
        assert_eq!(names(&mut screen), ["a10", "a9", "p1", "p0"]);
    }

    #[test]
    fn text_typed_after_a_slash_is_the_filter() {
        let mut screen = Screen::new("there".into(), look(["p0", "a1", "a2"].map(peer).into()));
        press(&mut screen, "/qx\u{8}\u{8}EXAMPLE");
        assert_eq!((names(&mut screen), screen.is_filtering), (vec!["p0".to_owned()], true));
        press(&mut screen, "\ns");
        assert_eq!(
            (names(&mut screen), screen.is_filtering, screen.peers.sorting().0),
            (vec!["p0".to_owned()], false, 1)
        );
        press(&mut screen, "\u{1b}");
        assert_eq!(names(&mut screen).len(), 3);
        press(&mut screen, "/a1\u{1b}");
        assert_eq!((names(&mut screen).len(), screen.is_filtering), (3, false));
    }

    #[test]
    fn q_and_control_c_end_the_program() {
        let mut screen = Screen::new("there".into(), look(Vec::new()));
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert!(screen.press(KeyEvent::from(KeyCode::Char('q'))) && screen.press(control_c));
        press(&mut screen, "/q");
        assert!(screen.press(control_c));
    }

    #[test]
    fn the_last_snapshot_stays_while_the_daemon_is_away() {
        let mut screen = Screen::new("there".into(), look(vec![peer("a1")]));
        screen.looked(Err(Failure::Moved("there:1".parse().unwrap())));
        assert_eq!((screen.peers.counts(), screen.failure.is_some()), ((1, 1), true));
        screen.looked(Ok(look(Vec::new())));
        assert_eq!((screen.peers.counts(), screen.failure.is_some()), ((0, 0), false));
    }
}
