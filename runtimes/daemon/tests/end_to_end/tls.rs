//! Servers and clients that authenticate each other with certificates.

use std::net::{SocketAddr, TcpListener};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use metalbond_conformance::{Authority, Identity};

use crate::config::Dir;
use crate::http::{place, until_metric};
use crate::process::{Process, Server, Signal, bound, run};
use crate::systemd::hand_over;

const ROUTE: &str = "23#10.0.0.1/32#2001:db8::1";

/// A CA, a server's certificate, and a directory.
struct World {
    dir: Dir,
    ca: Authority,
}

impl World {
    fn new(test: &str) -> Self {
        let (dir, ca) = (Dir::new(&format!("tls-{test}")), Authority::named(test));
        dir.put("ca.pem", &ca.cert());
        Self { dir, ca }
    }

    /// Returns the arguments for a peer with this certificate.
    fn args(&self, name: &str, identity: &Identity) -> Vec<String> {
        let [cert, key] = self.dir.put_identity(name, identity);
        ["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &self.dir.path("ca.pem")].map(str::to_owned).into()
    }

    fn server(&self, more: &[&str]) -> Server {
        self.server_as(&self.ca.issue_for(&["127.0.0.1"], 90), more)
    }

    fn server_as(&self, identity: &Identity, more: &[&str]) -> Server {
        let args = self.args("server", identity);
        let args: Vec<_> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Server::on_loopback(&args)
    }

    fn client(&self, name: &str, server: SocketAddr, more: &[&str]) -> Process {
        self.client_as(name, &self.ca.issue_for(&[name], 90), server, more)
    }

    fn client_as(&self, name: &str, identity: &Identity, server: SocketAddr, more: &[&str]) -> Process {
        let args = self.args(name, identity);
        let args: Vec<_> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Process::client(&[server], &args)
    }
}

#[test]
fn only_a_client_with_a_valid_certificate_is_accepted() {
    let world = World::new("who");
    let mut server = world.server(&[]);
    let addr = server.addrs[0];
    let mut good = world.client("good.example", addr, &["--subscribe", "23"]);
    good.log("ESTABLISHED");
    let ca = world.dir.path("ca.pem");
    let of_other = Authority::named("of others").issue_for(&["other.example"], 90);
    for (mut client, at_server, at_client) in [
        (
            Process::client(&[addr], &["--tls-ca", &ca]),
            "TLS: the client has shown no certificate",
            "TLS: the server refused this node's certificate: none was shown, and one is required",
        ),
        (
            world.client_as("other.example", &of_other, addr, &[]),
            "TLS: the client's certificate is signed by no CA that this node trusts",
            "TLS: the server refused this node's certificate: it is signed by no CA that the peer trusts",
        ),
        (
            world.client_as("old.example", &world.ca.issue_for(&["old.example"], -1), addr, &[]),
            "TLS: the client's certificate has expired",
            "TLS: the server refused this node's certificate: it has expired",
        ),
    ] {
        client.log(at_client);
        server.process.log(at_server);
    }
    let _announcer = world.client("another.example", addr, &["--announce", ROUTE]);
    assert_eq!(good.line(), "+ 23 10.0.0.1/32 via 2001:db8::1");
}

#[test]
fn a_server_is_loaded_over_tls_too() {
    let world = World::new("bench");
    let server = world.server(&[]);
    let addr = server.addrs[0].to_string();
    let args = world.args("bench.example", &world.ca.issue_for(&["bench.example"], 90));
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let ended = run(&[&["bench", "--server", &addr, "--routes", "10", "--subscribers", "1"], &args[..]].concat());
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
}

#[test]
fn a_server_needs_a_certificate_for_the_name_that_was_dialled() {
    let world = World::new("name");
    let server = world.server_as(&world.ca.issue_for(&["other.example"], 90), &[]);
    let mut client = world.client("a.example", server.addrs[0], &[]);
    client.log("TLS: the server's certificate is not for 127.0.0.1, but for DnsName(\"other.example\")");

    let of_other = World::new("name-of-other");
    let server = of_other.server(&[]);
    let mut client = world.client("a.example", server.addrs[0], &[]);
    client.log("TLS: the server's certificate is signed by no CA that this node trusts");

    let server = world.server_as(&world.ca.issue_for(&["127.0.0.1"], -1), &[]);
    let mut client = world.client("a.example", server.addrs[0], &[]);
    client.log("TLS: the server's certificate has expired");

    let server = world.server_as(&world.ca.issue_for(&["localhost"], 90), &[]);
    let args = world.args("a.example", &world.ca.issue_for(&["a.example"], 90));
    let by_name = format!("localhost:{}", server.addrs[0].port());
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut client = Process::start(&[&["client", "--server", &by_name], &args[..]].concat());
    client.log("ESTABLISHED");
}

#[test]
fn if_one_end_does_not_speak_tls_both_log_it() {
    let world = World::new("plain");
    let mut of_tls = world.server(&[]);
    let mut plain = Process::client(&of_tls.addrs, &[]);
    of_tls.process.log("TLS: plain MetalBond, where TLS is spoken");
    plain.log("the far end speaks TLS, and plain MetalBond was spoken to it");

    let mut of_plain = Server::on_loopback(&[]);
    let mut client = world.client("a.example", of_plain.addrs[0], &[]);
    of_plain.process.log("TLS, where plain MetalBond is spoken");
    client.log("TLS: the server");
}

#[test]
fn clients_without_tls_can_use_a_plain_listener() {
    let world = World::new("migration");
    let mut server = world.server(&["--listen-plain", "127.0.0.1:0"]);
    let plain = bound(&server.process.log("listening on "));
    let mut old = Process::client(&[plain], &["--subscribe", "23"]);
    old.log("ESTABLISHED");
    let _new = world.client("new.example", server.addrs[0], &["--announce", ROUTE]);
    assert_eq!(old.line(), "+ 23 10.0.0.1/32 via 2001:db8::1");
}

#[test]
fn a_server_may_accept_no_certificate_but_never_an_invalid_one() {
    let world = World::new("anonymous");
    let mut server = world.server(&["--tls-anonymous"]);
    let addr = server.addrs[0];
    let mut without = Process::client(&[addr], &["--tls-ca", &world.dir.path("ca.pem")]);
    without.log("ESTABLISHED");
    let _old = world.client_as("old.example", &world.ca.issue_for(&["old.example"], -1), addr, &[]);
    server.process.log("TLS: the client's certificate has expired");
}

#[test]
fn a_socket_that_is_handed_over_uses_tls() {
    let world = World::new("socket");
    let args = world.args("server", &world.ca.issue_for(&["127.0.0.1"], 90));
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap();
    let mut server = hand_over(listener, "metalbond", &[&["server"], &args[..]].concat());
    assert_eq!(bound(&server.log("TLS: listening on ")), own);
    world.client("a.example", own, &[]).log("ESTABLISHED");
}

#[test]
fn an_expired_certificate_is_logged_as_an_error_and_the_server_starts() {
    let world = World::new("expired");
    let args = world.args("server", &world.ca.issue_for(&["127.0.0.1"], -1));
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut server = Process::start(&[&["server", "--listen", "127.0.0.1:0"], &args[..]].concat());
    let line = server.log("server.crt: has expired, at ");
    assert!(line.contains(" ERROR "), "{line}");
    server.log("TLS: listening on ");
}

#[test]
fn a_renewed_certificate_is_used_and_no_session_is_closed() {
    const NAME: &str = "metalbond_tls_certificate_not_after_seconds{use=\"peers\"}";
    let world = World::new("renewed");
    let mut process = {
        let args = world.args("server", &world.ca.issue_for(&["127.0.0.1"], 10));
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let own = ["server", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        Process::start(&[&own[..], &args].concat())
    };
    process.log("server.crt: expires in ");
    let http = place(&mut process);
    let addr = bound(&process.log("listening on "));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let is_in = |days: u32| move |end: f64| (end - (now + f64::from(days * 86400))).abs() < 3600.0;
    until_metric(http, NAME, is_in(10));
    let mut subscriber = world.client("a.example", addr, &["--subscribe", "23"]);
    subscriber.log("ESTABLISHED");

    // The files are replaced one after the other, as tools that renew certificates do. The change is found without a
    // signal.
    world.args("server", &world.ca.issue_for(&["127.0.0.1"], 90));
    until_metric(http, NAME, is_in(90));
    process.log("server.crt: valid until ");
    let mut next = world.client("b.example", addr, &["--announce", ROUTE]);
    next.log("ESTABLISHED");
    assert_eq!(subscriber.line(), "+ 23 10.0.0.1/32 via 2001:db8::1");

    // A client's certificate is renewed as well: its session stays, and was opened with the old one.
    world.args("b.example", &world.ca.issue_for(&["b.example"], 50));
    next.signal(Signal::HUP);
    next.log("b.example.crt: valid until ");
    until_metric(http, "metalbond_peers{state=\"ESTABLISHED\"}", |count| count == 2.0);
    until_metric(http, "metalbond_messages_received_total{type=\"hello\"}", |count| count == 2.0);
}

#[test]
fn a_revoked_client_cannot_reconnect() {
    let world = World::new("revoked");
    let crl = world.dir.put("crl.pem", &world.ca.revoke(&[]));
    let mut server = world.server(&["--tls-crl", &crl]);
    let addr = server.addrs[0];
    let identity = world.ca.issue_for(&["a.example"], 90);
    let mut client = world.client_as("a.example", &identity, addr, &[]);
    client.log("ESTABLISHED");
    client.signal(Signal::TERM);
    client.end();

    world.dir.put("crl.pem", &world.ca.revoke(&[&identity]));
    server.process.signal(Signal::HUP);
    server.process.log("valid until ");
    let mut client = world.client_as("a.example", &identity, addr, &[]);
    client.log("TLS: the server refused this node's certificate: it has been revoked");
    server.process.log("TLS: the client's certificate has been revoked");
    world.client("b.example", addr, &[]).log("ESTABLISHED");
}

#[test]
fn a_revocation_during_a_reload_is_found() {
    let world = World::new("meanwhile");
    let crl = world.dir.put("crl.pem", &world.ca.revoke(&[]));
    // After the list, the policy is read, which takes a while.
    let mut policy = "[[peer]]\nname = 'all'\nwho = ['any']\n".to_owned();
    for n in 0..5000 {
        policy += &format!("[[peer]]\nname = 'none-{n}'\nwho = ['ip:192.0.2.1']\n");
    }
    let policy = world.dir.put("policy.toml", &policy);
    let mut server = world.server(&["--tls-crl", &crl, "--policy", &policy]);
    let identity = world.ca.issue_for(&["a.example"], 90);
    server.process.signal(Signal::HUP);
    server.process.log("SIGHUP");
    // The certificate and the list have been read again.
    server.process.log("server.crt: valid until ");
    world.dir.put("crl.pem", &world.ca.revoke(&[&identity]));
    server.process.log("a file has changed");
    server.process.log("server.crt: valid until ");
    let mut client = world.client_as("a.example", &identity, server.addrs[0], &[]);
    client.log("TLS: the server refused this node's certificate: it has been revoked");
}

#[test]
fn a_broken_file_changes_nothing_and_the_next_valid_one_is_used() {
    let world = World::new("broken");
    let mut server = world.server(&[]);
    let path = world.dir.put("server.crt", "nothing");
    server.process.signal(Signal::HUP);
    server.process.log(&format!("what was read before stays in use: {path}: there is no certificate in it, in PEM"));
    world.client("a.example", server.addrs[0], &[]).log("ESTABLISHED");
    // The change is found without a signal, once the certificate and the key match.
    let renewed = world.ca.issue_for(&["127.0.0.1"], 60);
    world.dir.put("server.crt", &renewed.cert());
    server.process.log("server.key: its private key is not that of the certificate in ");
    world.dir.put_secret("server.key", &renewed.key());
    server.process.log("server.crt: valid until ");
}

#[test]
fn an_error_in_a_file_is_reported_with_its_name() {
    let world = World::new("wrong");
    let [cert, key] = world.dir.put_identity("good", &world.ca.issue_for(&["127.0.0.1"], 90));
    let [_, of_other] = world.dir.put_identity("other", &world.ca.issue_for(&["127.0.0.1"], 90));
    let open = world.dir.put("open.key", &std::fs::read_to_string(&key).unwrap());
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = world.dir.put_secret("encrypted.key", encrypted);
    let strange = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let strange = world.dir.put("strange.pem", strange);
    let torn = world.dir.put_secret("torn.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n");
    let ca = world.dir.path("ca.pem");
    let none = world.dir.path("none");
    for (cert, key, ca, why) in [
        (&none, &key, &ca, format!("{none}: No such file or directory (os error 2)")),
        (&key, &key, &ca, format!("{key}: there is no certificate in it, in PEM")),
        (&strange, &key, &ca, format!("{strange}: its certificate 1 is no good X.509")),
        (&cert, &cert, &ca, format!("{cert}: it holds a secret, and others may read it (mode 0644): chmod 600")),
        (&cert, &open, &ca, format!("{open}: it holds a secret, and others may read it (mode 0644): chmod 600")),
        (&cert, &of_other, &ca, format!("{of_other}: its private key is not that of the certificate in {cert}")),
        (&cert, &encrypted, &ca, format!("{encrypted}: its private key is encrypted, which is not supported")),
        (&cert, &torn, &ca, format!("{torn}: no good PEM: a section has no end")),
        (&cert, &key, &key, format!("{key}: there is no certificate in it, in PEM")),
        (&cert, &key, &strange, format!("{strange}: its certificate 1 is no good X.509")),
    ] {
        let args = ["server", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--tls-ca", ca];
        let ended = run(&args);
        assert_eq!((ended.code, ended.stderr), (Some(1), vec![format!("metalbond: {why}")]));
    }

    // In the version that openssl writes by default.
    let first = world.dir.put("first.crl", include_str!("keys/v1.crl"));
    for (crl, why) in [
        (&first, "its revocation list 1 is of version 1, where 2 is needed: it has no extensions"),
        (&ca, "there is no revocation list in it, in PEM"),
    ] {
        let ended = run(&["client", "--server", "127.0.0.1:1", "--tls-ca", &ca, "--tls-crl", crl]);
        assert_eq!((ended.code, ended.stderr), (Some(1), vec![format!("metalbond: {crl}: {why}")]));
    }
}

#[test]
fn keys_of_all_kinds_are_accepted() {
    let world = World::new("kinds");
    let identity = world.ca.issue_for(&["127.0.0.1"], 90);
    let (cert, key) = (identity.cert(), identity.key());
    let sec1 = sec1(&key);
    // This certificate is not used by any peer.
    let (rsa_cert, pkcs1) = (include_str!("keys/rsa.crt"), include_str!("keys/rsa.key"));
    for (cert, key, kind) in [
        (&*cert, &*key, "BEGIN PRIVATE KEY"),
        (&cert, &sec1, "BEGIN EC PRIVATE KEY"),
        (rsa_cert, pkcs1, "BEGIN RSA PRIVATE KEY"),
    ] {
        assert!(key.contains(kind));
        let (cert, key) = (world.dir.put("a.crt", cert), world.dir.put_secret("a.key", key));
        Server::on_loopback(&["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &world.dir.path("ca.pem")]);
    }
}

/// Returns the SEC1 key inside a PKCS#8 key of P-256: its last 109 bytes.
fn sec1(pkcs8: &str) -> String {
    let lines: String = pkcs8.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(lines).unwrap();
    let at = der.windows(2).position(|start| start == [0x04, 109]).unwrap() + 2;
    let inner = BASE64_STANDARD.encode(&der[at..]);
    format!("-----BEGIN EC PRIVATE KEY-----\n{inner}\n-----END EC PRIVATE KEY-----\n")
}

#[test]
fn an_incomplete_set_of_files_is_reported_before_anything_starts() {
    let dir = Dir::new("tls-incomplete");
    let missing = |what: &str, other: &str| format!("{what}: {other} is missing, and it has no effect without it");
    for (args, why) in [
        (&["server", "--tls-cert", "x"][..], missing("--tls-cert", "--tls-key")),
        (&["server", "--tls-ca", "x"], missing("--tls-ca", "--tls-cert")),
        (&["server", "--tls-anonymous"], missing("--tls-anonymous", "--tls-cert")),
        (
            &["server", "--listen-plain", ":0"],
            "--listen-plain '[::]:0': without --tls-cert, --listen has no TLS either".to_owned(),
        ),
        (&["server", "--http-tls-key", "x"], missing("--http-tls-key", "--http-tls-cert")),
        (&["client", "--server", "[::1]:1", "--tls-crl", "x"], missing("--tls-crl", "--tls-ca")),
    ] {
        let ended = run(args);
        assert_eq!((ended.code, ended.stderr), (Some(2), vec![format!("metalbond: {why}")]), "{args:?}");
    }
    let file = dir.put("m.toml", "[server]\nlisten = ':0'\ntls-cert = 'x'\n");
    let ended = run(&["server", "--config", &file]);
    let why = missing("--tls-cert", "--tls-key");
    assert_eq!((ended.code, ended.stderr), (Some(2), vec![format!("metalbond: {file}:3:1: {why}")]));
}
