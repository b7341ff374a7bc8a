//! TLS: the peers that may connect, the errors at both ends for all others, and handshakes that do not delay other peers.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use metalbond_conformance::{Authority, HELLO, KEEPALIVE, RawPeer, route, routes};
use smol::io::AsyncReadExt as _;

use crate::behaviours::sockets::established;
use crate::behaviours::support::{self, ANY, Client, Table, config, options, server, server_with};
use crate::behaviours::wait::{until, within};
use crate::driver::rustls::ClientConfig;
use crate::driver::{
    Announcer, Changes, Config, Endpoint, ListenError, MetalBond, PeerId, PeerName, SessionState, SetTlsError,
    StartOptions, TlsConfig, start, start_with,
};
use crate::run;

#[test]
fn each_end_has_the_names_in_the_others_certificate() {
    run(async {
        let authority = Authority::new();
        let (server, addr) = secure_server(&authority, &["127.0.0.1", "Server.Example.ORG"]).await;
        let names = ["h7.example.org", "spiffe://example.org/hypervisor/7", "2001:db8::7"];
        let client = Dialler::to(addr, authority.client(&authority.issue(&names))).await;
        client.is_established().await;

        let at_client = client.node.peers().await.unwrap()[0].session().unwrap().names.clone().unwrap();
        assert_eq!(said(&at_client), ["dns:server.example.org", "ip:127.0.0.1"]);
        let at_server = server.peers().await.unwrap()[0].session().unwrap().names.clone().unwrap();
        assert_eq!(said(&at_server), ["dns:h7.example.org", "ip:2001:db8::7", "uri:spiffe://example.org/hypervisor/7"]);
    });
}

#[test]
fn a_client_with_an_expired_certificate_is_refused_and_both_ends_report_why() {
    run(async {
        let authority = Authority::new();
        let (_server, addr) = secure_server(&authority, &["127.0.0.1"]).await;
        let client = Dialler::to(addr, authority.client(&authority.issue_for(&["h7"], -1))).await;
        client.fails("the server refused this node's certificate: it has expired").await;
        logged("TLS: the client's certificate has expired").await;
    });
}

#[test]
fn a_client_of_another_authority_is_refused_and_both_ends_report_why() {
    run(async {
        let (authority, other) = (Authority::new(), Authority::new());
        let (_server, addr) = secure_server(&authority, &["127.0.0.1"]).await;
        let client = Dialler::to(addr, other.client_of(&authority, &other.issue(&["h7"]))).await;
        client.fails("the server refused this node's certificate: it is signed by no CA that the peer trusts").await;
        logged("TLS: the client's certificate is signed by no CA that this node trusts").await;
    });
}

#[test]
fn a_client_without_a_certificate_is_refused_and_both_ends_report_why() {
    run(async {
        let authority = Authority::new();
        let (_server, addr) = secure_server(&authority, &["127.0.0.1"]).await;
        let client = Dialler::to(addr, authority.client_without_certificate()).await;
        client.fails("the server refused this node's certificate: none was shown, and one is required").await;
        logged("TLS: the client has shown no certificate").await;
    });
}

#[test]
fn a_server_of_another_authority_is_refused_and_both_ends_report_why() {
    run(async {
        let (authority, other) = (Authority::new(), Authority::new());
        let (_server, addr) = secure_server(&other, &["127.0.0.1"]).await;
        let client = Dialler::to(addr, authority.client(&authority.issue(&["h7"]))).await;
        client.fails("TLS: the server's certificate is signed by no CA that this node trusts").await;
        logged("TLS: the client refused this node's certificate: it is signed by no CA that the peer trusts").await;
    });
}

#[test]
fn a_server_with_another_name_is_refused_and_both_ends_report_why() {
    run(async {
        let authority = Authority::new();
        let (_server, addr) = secure_server(&authority, &["server.example.org", "192.0.2.1"]).await;
        let client = Dialler::to(addr, authority.client(&authority.issue(&["h7"]))).await;
        client.fails("TLS: the server's certificate is not for 127.0.0.1, but for").await;
        logged("TLS: the client refused this node's certificate: it is not valid, or not for the name").await;
    });
}

#[test]
fn a_server_has_to_prove_the_name_by_which_it_is_dialled() {
    run(async {
        let authority = Authority::new();
        let (_server, addr) = secure_server(&authority, &["localhost"]).await;
        let config = authority.client(&authority.issue(&["h7"]));
        let by_name: Endpoint = format!("localhost:{}", addr.port()).parse().unwrap();
        Dialler::to(by_name, Arc::clone(&config)).await.is_established().await;
        Dialler::to(addr, config).await.fails("not for 127.0.0.1").await;
    });
}

#[test]
fn a_revoked_client_keeps_its_session_and_cannot_open_a_new_one() {
    run(async {
        let authority = Authority::new();
        let (server, addr) = secure_server(&authority, &["127.0.0.1"]).await;
        let (revoked, other) = (authority.issue(&["revoked.example"]), authority.issue(&["other.example"]));
        let client = Dialler::to(addr, authority.client(&revoked)).await;
        client.is_established().await;

        let config = authority.server_without(&authority.issue(&["127.0.0.1"]), &[&revoked]);
        server.set_tls(TlsConfig { server: Some(config), client: None }).await.unwrap();
        // The session is still open after a handshake with the new configuration.
        let other = Dialler::to(addr, authority.client(&other)).await;
        other.is_established().await;
        client.node.announce_route(route(1, 1)).await.unwrap();
        until("its route", || async { server.route_table().routes(route(1, 1).vni).await.unwrap().len() == 1 }).await;

        client.node.reset_peer(client.peer).await.unwrap();
        client.fails("the server refused this node's certificate: it has been revoked").await;
        logged("TLS: the client's certificate has been revoked").await;
    });
}

/// There may be many clients with the same address; names distinguish them.
#[test]
fn only_a_client_with_the_same_names_takes_over_the_routes_of_a_departed_client() {
    run(async {
        let authority = Authority::new();
        let (server, addr) = secure_server(&authority, &["127.0.0.1"]).await;
        let [h7, h8, third] = ["h7.example.org", "h8.example.org", "third"].map(|name| authority.issue(&[name]));
        let (third, changes) = Dialler::with(config(), addr, authority.client(&third)).await;
        third.node.subscribe(route(1, 1).vni).await.unwrap();
        let mut table = Table::new(changes);
        let announces = |restart_time, identity| {
            let restart_time = Duration::from_secs(restart_time);
            let client = Dialler::with(Config { restart_time, ..config() }, addr, authority.client(identity));
            async {
                let (client, _) = client.await;
                client.node.announce_route(route(1, 1)).await.unwrap();
                client
            }
        };
        let client = announces(30, &h7).await;
        table.becomes(&[route(1, 1)].into()).await;
        client.node.shutdown().await;
        is_announced_by(&server, |all| all == [Announcer::Departed]).await;

        let other = announces(30, &h8).await;
        is_announced_by(&server, |all| all.iter().any(|announcer| *announcer != Announcer::Departed)).await;
        other.node.withdraw_route(route(1, 1)).await.unwrap();
        other.node.announce_route(route(2, 1)).await.unwrap();
        table.becomes(&[route(1, 1), route(2, 1)].into()).await;
        is_announced_by(&server, |all| all == [Announcer::Departed]).await;

        let again = announces(1, &h7).await;
        is_announced_by(&server, |all| matches!(all, [Announcer::Conn(_)])).await;
        again.node.announce_route(route(3, 1)).await.unwrap();
        table.becomes(&[route(1, 1), route(2, 1), route(3, 1)].into()).await;
        assert_eq!((table.additions, table.removals), (3, 0), "a takeover is no change");

        let before = Instant::now();
        again.node.shutdown().await;
        is_announced_by(&server, |all| all == [Announcer::Departed]).await;
        other.node.announce_route(route(1, 1)).await.unwrap();
        is_announced_by(&server, |all| all.len() == 2).await;
        other.node.withdraw_route(route(1, 1)).await.unwrap();
        table.becomes(&[route(2, 1)].into()).await;
        assert!(before.elapsed() >= Duration::from_secs(1), "{:?}", before.elapsed());
    });
}

/// Waits until the announcers of `route(1, 1)` are as `expected`.
async fn is_announced_by(server: &MetalBond, expected: impl Fn(&[Announcer]) -> bool) {
    until("these announcers", || async {
        let all = server.route_table().announcers(route(1, 1)).await.unwrap();
        expected(&all)
    })
    .await;
}

#[test]
fn a_client_without_tls_and_a_server_with_tls_both_report_the_mismatch() {
    run(async {
        let (_server, addr) = server().await;
        let (node, _) = start(config()).unwrap();
        let client = Dialler { peer: node.add_peer(addr.into()).await.unwrap(), node };
        client.fails("the far end speaks TLS, and plain MetalBond was spoken to it").await;
        logged("TLS: plain MetalBond, where TLS is spoken").await;
    });
}

#[test]
fn a_client_with_tls_and_a_server_without_tls_both_report_the_mismatch() {
    run(async {
        let (server, _) = start(config()).unwrap();
        let addr = server.listen(ANY.parse().unwrap()).await.unwrap();
        let client = Client::of(addr).await;
        let client = Dialler { node: client.node, peer: client.peer };
        client.fails("TLS: the server ended the connection during the handshake: it may speak plain MetalBond").await;
        logged("reason=TLS, where plain MetalBond is spoken").await;
    });
}

#[test]
fn a_connection_that_is_neither_tls_nor_metalbond_is_closed() {
    run(async {
        let (server, addr) = server().await;
        let mut other = RawPeer::silent(addr).await.unwrap();
        other.send(b"GET / HTTP/1.1\r\n\r\n").await;
        // The server sent an alert.
        assert_eq!(other.end().await, 7);
        logged("TLS: something else than TLS came, where TLS is spoken").await;
        until("no peer is left", || async { server.peers().await.unwrap().is_empty() }).await;
    });
}

#[test]
fn a_client_that_does_not_complete_a_handshake_is_disconnected_in_time() {
    run(async {
        let hasty = Config { handshake_timeout: Duration::from_millis(300), ..config() };
        let (server, addr) = server_with(hasty).await;
        let mut silent = RawPeer::silent(addr).await.unwrap();
        let mut halting = RawPeer::silent(addr).await.unwrap();
        // The first bytes of a record of 512 bytes. The connection stays open.
        halting.send(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).await;
        until("two", || async { server.peers().await.unwrap().len() == 2 }).await;
        silent.end().await;
        halting.end().await;
        logged("handshake timed out in CONNECTING").await;
        until("no peer is left", || async { server.peers().await.unwrap().is_empty() }).await;
    });
}

#[test]
fn a_client_that_sends_too_much_before_the_end_of_the_handshake_is_disconnected() {
    run(async {
        let (server, addr) = server().await;
        let mut peer = RawPeer::silent(addr).await.unwrap();
        // A handshake message of 16 MiB, in records of 4 KiB. The server closes before everything is written.
        let record = [&[0x16, 3, 1, 0x10, 0][..], &[1, 0xff, 0xff, 0xff], &[0; 4092]].concat();
        let more = [&[0x16, 3, 1, 0x10, 0][..], &[0; 4096]].concat();
        let _ = peer.stream.write_all(&record).await;
        for _ in 0..1000 {
            let _ = peer.stream.write_all(&more).await;
        }
        peer.end().await;
        until("no peer is left", || async { server.peers().await.unwrap().is_empty() }).await;
    });
}

#[test]
fn hundreds_of_idle_handshakes_delay_no_route() {
    run(async {
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        let mut idle = Vec::new();
        for n in 0..400 {
            let mut peer = RawPeer::silent(addr).await.unwrap();
            if n % 2 == 0 {
                peer.send(&[0x16, 3, 1, 2, 0]).await;
            }
            idle.push(peer);
        }
        until("all of them", || async { server.peers().await.unwrap().len() == 402 }).await;
        for n in 0..50 {
            announcer.node.announce_route(route(n, 1)).await.unwrap();
            subscriber.table.becomes(&routes(n + 1, 1)).await;
        }
        assert_eq!(server.peers().await.unwrap().len(), 402, "they were there all the time");
    });
}

#[test]
fn hundreds_of_handshakes_are_completed_and_delay_no_route() {
    run(async {
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        // The clients run on a thread of their own, so that they do not compete with the nodes for an executor's only thread.
        let executor = smol::Executor::new();
        let clients: Vec<_> = (0..300).map(|_| executor.spawn(established(addr))).collect();
        let (end, ended) = smol::channel::bounded::<()>(1);
        let thread = std::thread::spawn(move || smol::block_on(executor.run(ended.recv())));
        let mut n = 0;
        while clients.iter().any(|peer| !peer.is_finished()) {
            n += 1;
            announcer.node.announce_route(route(n, 1)).await.unwrap();
            let wanted = (1..=n).map(|n| route(n, 1)).collect();
            subscriber.table.becomes(&wanted).await;
        }
        let mut peers = Vec::new();
        for peer in clients {
            peers.push(peer.await);
        }
        until("all of them", || async { server.peers().await.unwrap().len() == 302 }).await;
        // An iteration does about four of the handshakes' 600 steps. If all were done first, hardly any route would pass.
        assert!(n > 10, "{n} routes passed meanwhile");
        drop(end);
        assert!(thread.join().unwrap().is_err(), "it ran to the end");
    });
}

#[test]
fn large_tables_pass_in_both_directions() {
    run(async {
        let (_server, addr) = server().await;
        let mut one = Client::subscribed(addr).await;
        let mut other = Client::subscribed(addr).await;
        one.node.announce_routes(routes(50_000, 1)).await.unwrap();
        other.node.announce_routes(routes(50_000, 2)).await.unwrap();
        one.table.becomes(&routes(50_000, 2)).await;
        other.table.becomes(&routes(50_000, 1)).await;
    });
}

#[test]
fn keys_may_be_updated_during_a_session() {
    run(async {
        let (_server, addr) = server().await;
        let mut peer = established(addr).await;
        for _ in 0..10 {
            peer.stream.tls().refresh_traffic_keys().unwrap();
            peer.send(KEEPALIVE).await;
            assert_eq!(peer.frame().await, KEEPALIVE);
        }
    });
}

#[test]
fn a_peer_that_closes_its_tls_stream_is_disconnected_with_a_close_alert() {
    run(async {
        let (server, addr) = server().await;
        let mut peer = established(addr).await;
        peer.stream.tls().send_close_notify();
        // The peer keeps its connection open.
        peer.stream.flush().await.unwrap();
        assert_eq!(peer.stream.read(&mut [0; 100]).await.unwrap(), 0, "the server's own close_notify");
        until("no peer is left", || async { server.peers().await.unwrap().is_empty() }).await;
    });
}

#[test]
fn a_tls_stream_that_ends_without_a_close_alert_is_closed_by_the_peer() {
    run(async {
        let (server, addr) = server().await;
        let peer = established(addr).await;
        until("a session", || async { server.peers().await.unwrap().len() == 1 }).await;
        drop(peer);
        until("no peer is left", || async { server.peers().await.unwrap().is_empty() }).await;
        logged("reason=closed by the peer").await;
    });
}

#[test]
fn one_node_may_listen_with_and_without_tls() {
    run(async {
        let (server, secure) = server().await;
        let plain = server.listen(ANY.parse().unwrap()).await.unwrap();
        let announcer = Client::of(secure).await;
        let (node, changes) = start(config()).unwrap();
        node.add_peer(plain.into()).await.unwrap();
        node.subscribe(route(1, 1).vni).await.unwrap();
        announcer.node.announce_route(route(1, 1)).await.unwrap();
        Table::new(changes).becomes(&[route(1, 1)].into()).await;
        let names = |peer: &crate::driver::Peer| peer.session().unwrap().names.is_some();
        assert_eq!(server.peers().await.unwrap().iter().map(names).filter(|has_names| *has_names).count(), 1);
    });
}

#[test]
fn a_node_started_with_tls_never_dials_without_it() {
    run(async {
        let listener = smol::net::TcpListener::bind(ANY).await.unwrap();
        let (node, _) = start_with(config(), options()).unwrap();
        node.add_peer(listener.local_addr().unwrap().into()).await.unwrap();
        for _ in 0..5 {
            let (mut stream, _) = within("a dial", listener.accept()).await.unwrap();
            let mut first = [0; 2];
            within("its first bytes", stream.read_exact(&mut first)).await.unwrap();
            assert_eq!(first, [0x16, 3], "a record of TLS with a handshake message");
        }
    });
}

#[test]
fn tls_can_be_replaced_while_a_node_runs_but_neither_added_nor_removed() {
    run(async {
        let tls = support::tls();
        let server = TlsConfig { client: None, ..tls.clone() };
        let client = TlsConfig { server: None, ..tls.clone() };
        let halves = [TlsConfig::default(), server, client, tls];
        for (at_start, first) in halves.iter().enumerate() {
            let options = StartOptions::default().tls(first.clone());
            let (node, _) = start_with(config(), options).unwrap();
            for (later, other) in halves.iter().enumerate() {
                let expected = if later == at_start { Ok(()) } else { Err(SetTlsError::FixedAtStart) };
                assert_eq!(node.set_tls(other.clone()).await, expected, "{at_start} {later}");
            }
        }
        // The refused changes have no effect: the node still dials and listens without TLS.
        let (server, _) = start(config()).unwrap();
        let (client, _) = start(config()).unwrap();
        for node in [&server, &client] {
            node.set_tls(support::tls()).await.unwrap_err();
        }
        let addr = server.listen(ANY.parse().unwrap()).await.unwrap();
        let client = Dialler { peer: client.add_peer(addr.into()).await.unwrap(), node: client };
        client.is_established().await;
    });
}

#[test]
fn a_node_without_a_certificate_does_not_listen_for_tls() {
    run(async {
        let (node, _) = start(config()).unwrap();
        assert!(matches!(node.listen_tls(ANY.parse().unwrap()).await, Err(ListenError::NoTls)));
        let listener = std::net::TcpListener::bind(ANY).unwrap();
        assert!(matches!(node.listen_tls_on(listener).await, Err(ListenError::NoTls)));
    });
}

#[test]
fn a_server_whose_tls_could_not_be_removed_accepts_no_client_without_it() {
    run(async {
        let (server, addr) = server().await;
        assert_eq!(server.set_tls(TlsConfig::default()).await, Err(SetTlsError::FixedAtStart));
        let mut peer = RawPeer::silent(addr).await.unwrap();
        let _ = peer.stream.write_all(HELLO).await;
        // The server sent an alert.
        assert_eq!(peer.end().await, 7);
        logged("TLS: plain MetalBond, where TLS is spoken").await;
        established(addr).await;
    });
}

/// Starts a server with a certificate for these names.
async fn secure_server(authority: &Authority, names: &[&str]) -> (MetalBond, SocketAddr) {
    let tls = TlsConfig { server: Some(authority.server(&authority.issue(names))), client: None };
    let (server, _) = start_with(config(), StartOptions::default().tls(tls)).unwrap();
    let addr = server.listen_tls(ANY.parse().unwrap()).await.unwrap();
    (server, addr)
}

/// A client of one server.
struct Dialler {
    node: MetalBond,
    peer: PeerId,
}

impl Dialler {
    async fn to(server: impl Into<Endpoint>, config: Arc<ClientConfig>) -> Self {
        Self::with(self::config(), server, config).await.0
    }

    /// Starts a client with these settings. Returns it with its stream of changes.
    async fn with(config: Config, server: impl Into<Endpoint>, tls: Arc<ClientConfig>) -> (Self, Changes) {
        let tls = TlsConfig { server: None, client: Some(tls) };
        let (node, changes) = start_with(config, StartOptions::default().tls(tls)).unwrap();
        let peer = node.add_peer(server.into()).await.unwrap();
        (Self { node, peer }, changes)
    }

    async fn is_established(&self) {
        until("a session", || async { self.node.peer_state(self.peer).await == Ok(SessionState::Established) }).await;
    }

    /// Waits until a dial has failed for this reason, and checks that no session opened.
    async fn fails(&self, why: &str) {
        until(why, || async {
            let peers = self.node.peers().await.unwrap();
            let peer = peers[0].configured().unwrap();
            peer.last_close.as_ref().is_some_and(|reason| reason.to_string().contains(why))
        })
        .await;
        assert_ne!(self.node.peer_state(self.peer).await, Ok(SessionState::Established));
    }
}

fn said(names: &[PeerName]) -> Vec<String> {
    let mut names: Vec<_> = names.iter().map(PeerName::to_string).collect();
    names.sort();
    names
}

/// The log of this process. It has the lines of all nodes, because they run on other threads than the tests.
static LOG: LazyLock<Arc<File>> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("metalbond-tls-{}.log", std::process::id()));
    let file = Arc::new(File::options().read(true).append(true).create_new(true).open(&path).unwrap());
    std::fs::remove_file(path).unwrap();
    tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::clone(&file)).init();
    file
});

/// Waits for a line of the log with this text.
async fn logged(words: &str) {
    until(words, || async {
        let mut log = vec![0; LOG.metadata().unwrap().len() as usize];
        LOG.read_exact_at(&mut log, 0).unwrap();
        String::from_utf8_lossy(&log).contains(words)
    })
    .await;
}
