//! Access over HTTP: which requests are answered, and what answers permit browsers to do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use metalbond_conformance::{Authority, block_until};

use super::{Answer, Web};
use crate::config::Dir;
use crate::process::{DEADLINE, Process, Server, run};

const TOKEN: &str = "0123456789abcdef-+/.~";

/// Every path, and one that does not exist.
const ALL: [&str; 13] = [
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/routes.json",
    "/routes.yaml",
    "/api/v1/openapi.json",
    "/api/v1/status",
    "/api/v1/peers",
    "/api/v1/vnis",
    "/api/v1/routes",
    "/api/v1/routes?limit=%3Cscript%3E",
    "/nowhere/%3Cscript%3E",
];

/// Sends exactly this text, and reads to the end.
fn say(http: SocketAddr, text: &str) -> Answer {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // A request that is refused early is not read to its end, so writing may fail.
    let _ = stream.write_all(text.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

fn asked(http: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    say(http, &format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n"))
}

#[test]
fn no_answer_permits_another_site_to_use_it() {
    let web = Web::start(&[]);
    for path in ALL {
        let answer = asked(web.http, "GET", path, "host: localhost\r\n");
        for header in [
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "cache-control: no-store",
        ] {
            let count = answer.head.lines().filter(|line| *line == header).count();
            assert_eq!(count, 1, "{path}: {header} in\n{}", answer.head);
        }
        let policy = answer.head.lines().find(|line| line.starts_with("content-security-policy: ")).unwrap();
        assert!(policy.contains("default-src 'none';") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!answer.head.contains("access-control"), "{}", answer.head);
        if answer.status != 200 {
            assert!(answer.head.contains("\ncontent-type: application/json"), "{path}: {}", answer.head);
            assert!(answer.body.starts_with("{\"error\":"), "{path}: {}", answer.body);
        }
    }
}

#[test]
fn other_sites_are_refused_even_if_their_name_resolves_to_the_daemon() {
    let web = Web::start(&[]);
    let status = |headers: &str| asked(web.http, "GET", "/api/v1/routes", headers).status;
    for host in ["localhost", "LOCALHOST:4712", "127.0.0.1:4712", "[::1]:4712"] {
        assert_eq!(status(&format!("host: {host}\r\n")), 200, "{host}");
    }
    for host in ["evil.example", "evil.example:4712", "localhost.evil.example", ""] {
        assert_eq!(status(&format!("host: {host}\r\n")), 421, "{host}");
    }
    assert_eq!(status("host: localhost\r\nhost: evil.example\r\n"), 421);
    assert_eq!(status("host: localhost:4712\r\norigin: http://localhost:4712\r\n"), 200);
    for origin in ["http://evil.example", "http://localhost:4713", "null", "file://"] {
        assert_eq!(status(&format!("host: localhost:4712\r\norigin: {origin}\r\n")), 403, "{origin}");
    }
}

#[test]
fn at_every_listen_address_only_allowed_names_are_accepted() {
    let dir = Dir::new("hosts");
    let token = dir.put_secret("token", TOKEN);
    let start = |more: &[&str]| {
        let own = ["server", "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0"];
        let mut process = Process::start(&[&own[..], more].concat());
        (super::place(&mut process), process)
    };
    let get = |http, path: &str, headers: &str| asked(http, "GET", path, headers);
    let (http, _open) = start(&["--http-host", "routes.example,*.svc.example"]);
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for host in ["localhost:4712", "192.0.2.1:4712", "[2001:db8::1]", "routes.example:4712", "a.svc.example", &machine]
    {
        assert_eq!(get(http, "/metrics", &format!("host: {host}\r\n")).status, 200, "{host}");
    }
    for path in ["/", "/metrics", "/routes.json", "/api/v1/routes", "/api/v1/events"] {
        let refused = get(http, path, "host: evil.example:4712\r\n").error();
        let why = "evil.example is no name of this daemon: ask by its address, by localhost, or allow the name with --http-host evil.example";
        assert_eq!(refused, (421, why.to_owned()), "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(http, path, "host: balancer.example\r\n").status, 200, "{path}");
    }
    assert_eq!(get(http, "http://evil.example/metrics", "host: localhost\r\n").status, 421);
    assert_eq!(get(http, "http://routes.example/metrics", "host: routes.example\r\n").status, 200);
    assert_eq!(get(http, "/metrics", "").status, 400);

    // Another website's page does not have the token, so a request with the token may use any name.
    let (http, _closed) = start(&["--http-token", &token]);
    let shown = format!("host: server-a.example:4712\r\nauthorization: Bearer {TOKEN}\r\n");
    assert_eq!(get(http, "/metrics", &shown).status, 200);
    for headers in ["", "authorization: Bearer another-token-than-that\r\n"] {
        let headers = format!("host: server-a.example:4712\r\n{headers}");
        assert_eq!((get(http, "/metrics", &headers).status, get(http, "/", &headers).status), (421, 421));
    }

    let ended = run(&["server", "--http-host", "routes.example:4712"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr[0].contains("it is no name: without a port"), "{:?}", ended.stderr);
}

#[test]
fn only_get_and_head_are_permitted() {
    let web = Web::start(&[]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"] {
        for path in ["/", "/api/v1/routes", "/nowhere"] {
            let path = if method == "CONNECT" { "localhost:1" } else { path };
            let answer = asked(web.http, method, path, "host: localhost\r\ncontent-length: 0\r\n");
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.head.contains("\nallow: get, head"), "{}", answer.head);
        }
    }
    let head = asked(web.http, "HEAD", "/api/v1/status", "host: localhost\r\n");
    assert_eq!((head.status, &*head.body), (200, ""));
}

#[test]
fn the_size_of_a_request_is_limited() {
    let web = Web::start(&[]);
    let long = "x".repeat(100_000);
    assert_eq!(say(web.http, &format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n")).status, 431);
    let answer = say(web.http, &format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n"));
    assert_eq!(answer.status, 431);
    let many = "x: y\r\n".repeat(200);
    assert_eq!(say(web.http, &format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n")).status, 431);
    // An unneeded body is not waited for.
    let answer = asked(web.http, "POST", "/", "host: localhost\r\ncontent-length: 1000000000000\r\n");
    assert_eq!(answer.status, 405);
    let answer = asked(web.http, "GET", "/healthz", "host: localhost\r\ncontent-length: 1000000000000\r\n");
    assert_eq!((answer.status, &*answer.body), (200, "ok\n"));
    assert_eq!(say(web.http, "GET / HTTP/1.1\r\nhost : localhost\r\n\r\n").status, 400);
    assert_eq!(web.get("/healthz").status, 200);
}

#[test]
fn a_request_without_the_token_is_refused() {
    let dir = Dir::new("token");
    let token = dir.put_secret("token", &format!("{TOKEN}\n"));
    let web = Web::start(&["--http-token", &token, "-vv"]);
    let status =
        |path: &str, headers: &str| asked(web.http, "GET", path, &format!("host: localhost\r\n{headers}")).status;
    for path in ALL {
        let is_open = ["/", "/healthz", "/readyz"].contains(&path);
        let answer = asked(web.http, "GET", path, "host: localhost\r\n");
        assert_eq!(answer.status == 200, is_open, "{path}");
        if !is_open {
            assert_eq!(answer.error().0, 401, "{path}");
            assert!(answer.head.contains("\nwww-authenticate: bearer"), "{}", answer.head);
        }
        let with = status(path, &format!("authorization: Bearer {TOKEN}\r\n"));
        assert_eq!(
            with,
            if path.contains("limit") {
                400
            } else if path.contains("nowhere") {
                404
            } else {
                200
            },
            "{path}"
        );
    }
    for wrong in ["Bearer", "Bearer x", "Basic 0123456789abcdef-+/.~", "0123456789abcdef-+/.~"] {
        assert_eq!(status("/metrics", &format!("authorization: {wrong}\r\n")), 401, "{wrong}");
    }

    // With the commands.
    let place = web.http.to_string();
    let ended = run(&["show", "status", "--http", &place]);
    let why = format!("metalbond: http://{place}/ says: a token is to be shown (Authorization: Bearer)");
    assert_eq!((ended.code, ended.stderr), (Some(1), vec![why]));
    let ended = run(&["show", "status", "--http", &place, "--token", &token]);
    assert_eq!((ended.code, ended.stderr), (Some(0), Vec::new()));
    let ended = run(&["diff", &place, &place, "--token", &token]);
    assert_eq!((ended.code, ended.stdout), (Some(0), vec!["2 daemons hold the same routes".to_owned()]));
    let mut watch = Process::start(&["watch", "--http", &place, "--token", &token]);
    watch.log(&format!("following http://{place}/"));

    // A changed token is used at once, and no token is ever logged.
    let other = "another-token-of-which-the-daemon-hears";
    dir.put_secret("token", other);
    block_until("an answer to the new token", || {
        status("/metrics", &format!("authorization: Bearer {other}\r\n")) == 200
    });
    assert_eq!(status("/metrics", &format!("authorization: Bearer {TOKEN}\r\n")), 401);
    web.server.process.signal(crate::process::Signal::TERM);
    let log = web.server.process.end().0.stderr.join("\n");
    assert!(!log.contains(TOKEN) && !log.contains(other), "{log}");
}

#[test]
fn a_token_that_is_short_or_readable_by_others_is_refused() {
    let dir = Dir::new("bad-token");
    let open = dir.put("open", TOKEN);
    let short = dir.put_secret("short", "secret");
    for (path, why) in [
        (&open, "it holds a secret, and others may read it (mode 0644): chmod 600"),
        (&short, "a token of 6 characters; it must have 16 to 1024"),
    ] {
        let ended = run(&["server", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--http-token", path]);
        assert_eq!((ended.code, ended.stderr), (Some(1), vec![format!("metalbond: {path}: {why}")]));
        let ended = run(&["show", "status", "--http", "127.0.0.1:1", "--token", path]);
        assert_eq!((ended.code, ended.stderr), (Some(1), vec![format!("metalbond: --token: {path}: {why}")]));
    }
}

#[test]
fn over_tls_a_daemon_needs_a_certificate_for_its_name() {
    let (dir, ca) = (Dir::new("https"), Authority::named("of the tests"));
    let [cert, key] = dir.put_identity("web", &ca.issue_for(&["127.0.0.1"], 90));
    let (own, other) = (dir.put("ca.pem", &ca.cert()), dir.put("other.pem", &Authority::named("another").cert()));
    let token = dir.put_secret("token", TOKEN);
    let args = ["--http", "127.0.0.1:0", "--http-tls-cert", &cert, "--http-tls-key", &key, "--http-token", &token];
    let mut process = Process::start(&[&["server", "--listen", "127.0.0.1:0"], &args[..]].concat());
    let line = process.log("HTTP on https://");
    let place = line.rsplit_once("HTTP on ").unwrap().1.trim_end_matches('/').to_owned();
    let show = |more: &[&str]| run(&[&["show", "status", "--http", &place, "--token", &token], more].concat());
    let ended = show(&["--ca", &own]);
    assert_eq!((ended.code, ended.stderr), (Some(0), Vec::new()));
    let ended = show(&["--ca", &other]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr[0].contains("UnknownIssuer"), "{:?}", ended.stderr);
    let ended = show(&[]);
    let why = "--ca is missing, the file with the CA certificates for the daemon's certificate";
    assert_eq!((ended.code, ended.stderr), (Some(1), vec![format!("metalbond: {place}/: {why}")]));
    let by_name = place.replace("127.0.0.1", "localhost");
    let ended = run(&["show", "status", "--http", &by_name, "--ca", &own, "--token", &token]);
    assert!(ended.stderr[0].contains("not valid for name"), "{:?}", ended.stderr);
    // A client that does not speak TLS gets no answer, and does not block others.
    let http: SocketAddr = place.strip_prefix("https://").unwrap().parse().unwrap();
    let mut plain = TcpStream::connect(http).unwrap();
    plain.set_read_timeout(Some(DEADLINE)).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    let _ = plain.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");
    assert_eq!(show(&["--ca", &own]).code, Some(0));
}

#[test]
fn unprotected_access_over_the_network_is_a_warning() {
    let dir = Dir::new("warned");
    let token = dir.put_secret("token", TOKEN);
    let start = |more: &[&str]| {
        let own = ["server", "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0"];
        Process::start(&[&own[..], more].concat())
    };
    start(&[]).log("HTTP: everybody who can connect can read all routes: see --http-token");
    start(&["--http-token", &token])
        .log("HTTP: the token and all routes are sent without encryption: see --http-tls-cert");
    let [cert, key] = dir.put_identity("web", &Authority::named("of the tests").issue_for(&["127.0.0.1"], 90));
    let mut both = start(&["--http-token", &token, "--http-tls-cert", &cert, "--http-tls-key", &key]);
    both.log("listening on ");
    both.signal(crate::process::Signal::TERM);
    let log = both.end().0.stderr.join("\n");
    assert!(!log.contains("WARN"), "{log}");
    let loopback = Server::on_loopback(&["--http", "127.0.0.1:0"]);
    loopback.process.signal(crate::process::Signal::TERM);
    let log = loopback.process.end().0.stderr.join("\n");
    assert!(!log.contains("WARN"), "{log}");
}
