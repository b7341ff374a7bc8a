//! Policies that permit only next hops which are the peer's own address. The clients need addresses that other hosts
//! could send packets to, so the tests run in a network namespace.

use metalbond_conformance::{Authority, Identity};

use crate::config::Dir;
use crate::namespace::{self, Namespace};
use crate::process::{Process, Server};
use crate::table::Follower;

/// Addresses of the server.
const SERVER: [&str; 2] = ["[2001:db8::1]:4711", "192.0.2.1:4711"];
/// Addresses that its clients connect from.
const CLIENT: [&str; 2] = ["2001:db8::7", "192.0.2.7"];
/// The address in a client's certificate.
const CERTIFIED: &str = "2001:db8::77";

/// Runs a test in a namespace in which the server and its clients have their own addresses.
fn run(body: impl FnOnce(&Namespace) + Send) {
    namespace::run(|namespace| {
        for [server, client] in [["2001:db8::1", CLIENT[0]], ["192.0.2.1", CLIENT[1]]] {
            namespace.ip(&format!("address add {server} dev lo"));
            namespace.ip(&format!("address add {client} dev lo"));
            // Without this route, a connection to an address of the same host would have that address as its source.
            let family = if server.contains(':') { "-6" } else { "-4" };
            namespace.ip(&format!("{family} route delete local {server} dev lo table local"));
            namespace.ip(&format!("{family} route add local {server} dev lo table local src {client}"));
        }
        body(namespace);
    });
}

/// Writes a policy that permits every client to announce routes with these next hops in VNI 23.
fn policy(dir: &Dir, next_hops: &str) -> String {
    let text = format!(
        "[[peer]]\nname = 'all'\nwho = ['any']\nsubscribe = 'all'\n[[peer.announce]]\nvnis = [23]\nnext-hops = {next_hops}\n"
    );
    dir.put("policy.toml", &text)
}

/// Announces a route with each next hop, in order. Returns the permitted ones, as a subscriber prints them. The last
/// one must be permitted: when a subscriber has it, the server has processed all others.
fn announce(client: &mut Process, third_byte: u8, next_hops: &[(&str, bool)]) -> Vec<String> {
    client.log("ESTABLISHED");
    let routes =
        (1..).zip(next_hops).map(|(n, (hop, is_allowed))| (format!("10.0.{third_byte}.{n}/32"), hop, *is_allowed));
    let lines: String = routes.clone().map(|(prefix, hop, _)| format!("23#{prefix}#{hop}\n")).collect();
    client.write(&lines);
    routes.filter(|(.., is_allowed)| *is_allowed).map(|(prefix, hop, _)| format!("23 {prefix} via {hop}")).collect()
}

fn feeder(server: &str, args: &[&str]) -> Process {
    Process::client(&[server.parse().unwrap()], &[&["--announce-file", "-"], args].concat())
}

#[test]
fn self_is_the_address_that_a_client_without_a_certificate_comes_from() {
    run(|_| {
        let dir = Dir::new("own-self");
        let mut server = Server::start(&SERVER, &["--policy", &policy(&dir, "['self']")]);
        let mut reader = Follower::new(Process::client(&server.addrs[..1], &["--subscribe", "23"]));
        let mut v6 = feeder(SERVER[0], &[]);
        let hops = [("2001:db8::1", false), ("192.0.2.7", false), ("::ffff:192.0.2.7", false), (CLIENT[0], true)];
        let mut allowed = announce(&mut v6, 6, &hops);
        reader.until(&allowed);
        let said = server.process.log("denied by the policy: announcement of ");
        let denied = "rule 'all' permits no next hop 2001:db8::1";
        assert!(said.contains(denied) && said.contains("peer=\"[2001:db8::7]:"), "{said}");

        // Both notations of an IPv4 address are the client's own, and each is passed on unchanged.
        let mut v4 = feeder(SERVER[1], &[]);
        let hops = [
            ("2001:db8::7", false),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.7", true),
            (CLIENT[1], true),
        ];
        allowed.extend(announce(&mut v4, 4, &hops));
        reader.until(&allowed);
    });
}

#[test]
fn an_ipv4_client_of_an_ipv6_socket_has_its_ipv4_address() {
    run(|_| {
        let dir = Dir::new("own-dual");
        let _server = Server::start(&["[::]:4711"], &["--policy", &policy(&dir, "['self']")]);
        let mut reader = Follower::new(Process::client(&[SERVER[0].parse().unwrap()], &["--subscribe", "23"]));
        let mut v4 = feeder(SERVER[1], &[]);
        let hops = [("192.0.2.1", false), ("::ffff:192.0.2.7", true), (CLIENT[1], true)];
        reader.until(&announce(&mut v4, 4, &hops));
    });
}

/// With a certificate, `self` and `source` are different addresses.
#[test]
fn source_is_the_address_that_a_client_comes_from_whatever_its_certificate_says() {
    run(|_| {
        let dir = Dir::new("own-source");
        let ca = Authority::named("own-source");
        dir.put("ca.pem", &ca.cert());
        let args = |name: &str, identity: &Identity| {
            let [cert, key] = dir.put_identity(name, identity);
            ["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &dir.path("ca.pem")].map(str::to_owned)
        };
        let servers = [args("v6", &ca.issue_for(&["2001:db8::1"], 90)), args("v4", &ca.issue_for(&["192.0.2.1"], 90))];
        let client = args("client", &ca.issue_for(&[CERTIFIED], 90));
        let client: Vec<&str> = client.iter().map(String::as_str).collect();
        let check = |family: usize, next_hops: &str, hops: &[(&str, bool)]| {
            let policy = policy(&dir, next_hops);
            let tls: Vec<&str> = servers[family].iter().map(String::as_str).chain(["--policy", &policy]).collect();
            let server = Server::start(&SERVER[family..=family], &tls);
            let subscribe = [&["--subscribe", "23"], &client[..]].concat();
            let mut reader = Follower::new(Process::client(&server.addrs, &subscribe));
            let mut announcer = feeder(SERVER[family], &client);
            reader.until(&announce(&mut announcer, 0, hops));
        };
        check(0, "['source']", &[(CERTIFIED, false), ("2001:db8::1", false), (CLIENT[0], true)]);
        check(0, "['self']", &[(CLIENT[0], false), ("2001:db8::1", false), (CERTIFIED, true)]);
        let v4 = [(CERTIFIED, false), ("::ffff:192.0.2.1", false), ("::ffff:192.0.2.7", true), (CLIENT[1], true)];
        check(1, "['source']", &v4);
    });
}
