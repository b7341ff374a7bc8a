//! The comparison at rest: every server runs, every client has a session with each server that it uses, and every table
//! equals the clients' announcements.

use std::collections::{BTreeMap, BTreeSet};

use metalbond::{Announcer, Node, SessionState, Vni};

use super::{Fleet, Host, Process, is_raw};
use crate::sim::model::Routes;

type Tables = BTreeMap<Vni, Routes>;

impl Fleet {
    pub(crate) fn check_at_rest(&self) {
        let tables: Vec<Tables> = (0..self.servers).map(|server| self.announced_to(server)).collect();
        for (server, table) in tables.iter().enumerate() {
            self.check_server(server, table);
        }
        for client in self.clients() {
            let host = &self.hosts[client];
            match &host.process {
                Process::Node(node) => check_node(client, host, node, &tables),
                Process::Raw(raw) => {
                    assert!(raw.is_established(), "client {client} without a session");
                    assert_eq!(
                        raw.held(),
                        wanted(host, &tables[client % self.servers]),
                        "the table of client {client} (left)"
                    );
                }
                Process::Off => panic!("client {client} is off"),
            }
        }
    }

    fn uses(&self, client: usize, server: usize) -> bool {
        !is_raw(client, self.servers) || client % self.servers == server
    }

    fn announced_to(&self, server: usize) -> Tables {
        let mut tables = Tables::new();
        for client in self.clients().filter(|client| self.uses(*client, server)) {
            for route in &self.hosts[client].announces {
                tables.entry(route.vni).or_default().insert(*route);
            }
        }
        tables
    }

    fn check_server(&self, server: usize, table: &Tables) {
        let host = &self.hosts[server];
        let Process::Node(node) = &host.process else { panic!("server {server} is off") };
        assert_eq!(node.vnis().collect::<BTreeSet<_>>(), table.keys().copied().collect());
        for (vni, routes) in table {
            assert_eq!(
                node.routes(*vni).collect::<Routes>(),
                *routes,
                "table of server {server} (left), announced (right)"
            );
        }
        let users = self.clients().filter(|client| self.uses(*client, server)).count();
        assert_eq!(node.sessions().count(), users, "sessions of server {server} (left), its clients (right)");
        for session in node.sessions() {
            let client = self.conns[host.conns[&session.conn]].hosts[0];
            assert_eq!(session.state, SessionState::Established);
            assert_eq!(session.subscriptions, self.hosts[client].wants.len());
            let announced: Routes = node.announced_by(Announcer::Conn(session.conn)).collect();
            assert_eq!(announced, self.hosts[client].announces, "routes of client {client} at server {server} (left)");
        }
    }
}

/// Returns the routes of these tables that a client should receive.
fn wanted<'a>(host: &Host, tables: impl IntoIterator<Item = (&'a Vni, &'a Routes)>) -> Routes {
    let tables = tables.into_iter().filter(|(vni, _)| host.wants.contains(vni));
    tables.flat_map(|(_, routes)| routes).filter(|route| !host.announces.contains(route)).copied().collect()
}

fn check_node(client: usize, host: &Host, node: &Node, tables: &[Tables]) {
    assert_eq!(node.peers().count(), tables.len());
    for peer in node.peers() {
        assert_eq!(peer.state, SessionState::Established, "client {client}: {peer:?}");
        assert!(peer.synced && peer.stale == 0, "client {client}: {peer:?}");
    }
    let expected = wanted(host, tables.iter().flatten());
    let learned: Routes = host.wants.iter().flat_map(|vni| node.learned(*vni)).collect();
    assert_eq!(learned, expected, "learned by client {client} (left), announced by others (right)");
    assert_eq!(host.installed, expected, "the application of client {client} (left), announced by others (right)");
}
