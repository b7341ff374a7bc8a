//! Policies: a server with a policy, its clients, and `metalbond check`.

use std::process::{Command, Stdio};

use metalbond_conformance::has_program;

use crate::config::Dir;
use crate::http::Web;
use crate::process::{Process, Server, Signal, run};
use crate::table::Follower;

/// Clients over IPv4 may announce routes via 192.0.2.1 in VNI 23; clients over IPv6 may subscribe.
const POLICY: &str = r#"
[[peer]]
name = "hypervisors"
who = ["from:127.0.0.0/8"]
subscribe = [23]
[[peer.announce]]
vnis = [23]
prefixes = ["10.0.0.0/8"]
next-hops = ["192.0.2.1"]

[[peer]]
name = "readers"
who = ["from:::1"]
subscribe = "all"
"#;

/// Returns the same policy with other destinations.
fn with_prefixes(prefixes: &str) -> String {
    POLICY.replace(r#"["10.0.0.0/8"]"#, prefixes)
}

#[test]
fn a_denied_route_is_not_passed_on_and_is_logged_with_peer_and_rule() {
    let dir = Dir::new("policy");
    let policy = dir.put("policy.toml", POLICY);
    let mut server = Server::start(&["127.0.0.1:0", "[::1]:0"], &["--policy", &policy]);
    let mut reader = Follower::new(Process::client(&server.addrs[1..], &["--subscribe", "23,42"]));
    let hypervisor = &server.addrs[..1];
    let forbidden = [
        "--announce=42#10.0.0.1/32#192.0.2.1",
        "--announce=23#11.0.0.1/32#192.0.2.1",
        "--announce=23#10.0.0.2/32#2001:db8::2",
        "--announce=23#10.0.0.3/32#192.0.2.1#42",
        "--announce=23#10.0.0.4/32#192.0.2.1",
    ];
    let mut client = Process::client(hypervisor, &forbidden);
    let said = server.process.log("denied by the policy: announcement of ");
    assert!(
        said.contains("WARN") && said.contains("peer=\"127.0.0.1:") && said.contains("rule 'hypervisors'"),
        "{said}"
    );
    reader.until(&["23 10.0.0.4/32 via 192.0.2.1"]);
    assert!(client.child.try_wait().unwrap().is_none());

    // A client that may only subscribe. A later route shows that this one was not accepted.
    let _reader = Process::client(&server.addrs[1..], &["--announce", "23#10.0.0.9/32#192.0.2.1"]);
    let said = server.process.log("denied by the policy: announcement of ");
    assert!(said.contains("announcement of 23 10.0.0.9/32 via 192.0.2.1: rule 'readers' permits no VNI 23"), "{said}");
    let _other = Process::client(hypervisor, &["--announce", "23#10.0.0.5/32#192.0.2.1"]);
    reader.until(&["23 10.0.0.4/32 via 192.0.2.1", "23 10.0.0.5/32 via 192.0.2.1"]);
}

#[test]
fn a_changed_policy_applies_to_open_sessions() {
    let dir = Dir::new("policy-reload");
    let policy = dir.put("policy.toml", &with_prefixes(r#"["10.0.0.0/24"]"#));
    let mut server = Server::start(&["127.0.0.1:0", "[::1]:0"], &["--policy", &policy]);
    let mut reader = Follower::new(Process::client(&server.addrs[1..], &["--subscribe", "23"]));
    let both = ["--announce", "23#10.0.0.1/32#192.0.2.1", "--announce", "23#10.1.0.1/32#192.0.2.1"];
    let mut client = Process::client(&server.addrs[..1], &both);
    reader.until(&["23 10.0.0.1/32 via 192.0.2.1"]);

    // A newly permitted route appears, and routes that stay permitted are not touched. The change is found without a
    // signal.
    dir.put("policy.toml", &with_prefixes(r#""all""#));
    server.process.log("the policy changed what this peer may do");
    client.log("ESTABLISHED");
    reader.until(&["23 10.0.0.1/32 via 192.0.2.1", "23 10.1.0.1/32 via 192.0.2.1"]);

    // A route that is no longer permitted is withdrawn.
    dir.put("policy.toml", &with_prefixes(r#"["10.1.0.0/16"]"#));
    server.process.signal(Signal::HUP);
    reader.until(&["23 10.1.0.1/32 via 192.0.2.1"]);

    // An invalid policy changes nothing.
    dir.put("policy.toml", &with_prefixes(r#"["10.1.0.0/33"]"#));
    server.process.signal(Signal::HUP);
    let said = server.process.log("the policy stays unchanged");
    assert!(said.contains("policy.toml:8:12: \"10.1.0.0/33\" is not prefixes"), "{said}");
    assert!(client.child.try_wait().unwrap().is_none());

    // A client that may do nothing any more is disconnected.
    dir.put("policy.toml", &POLICY.replace("127.0.0.0/8", "192.0.2.0/24"));
    server.process.signal(Signal::HUP);
    let said = server.process.log("the policy permits this peer nothing");
    assert!(said.contains("peer=\"127.0.0.1:"), "{said}");
    reader.until::<&str>(&[]);
}

#[test]
fn denied_messages_are_counted_per_peer_and_in_total() {
    let dir = Dir::new("policy-metrics");
    let policy = dir.put("policy.toml", POLICY);
    let web = Web::start(&["--policy", &policy]);
    let _client = web.client(&["--announce", "23#10.0.0.1/32#2001:db8::1", "--subscribe", "42,23"]);
    let peers = web.until("/api/v1/peers", |peers| peers["items"][0]["dropped"]["policy"] == 1);
    let peer = &peers["items"][0];
    assert_eq!((&peer["rule"], &peer["dropped"]["subscriptions"]), (&"hypervisors".into(), &1.into()), "{peer}");
    assert_eq!((&peer["names"], &peer["state"]), (&serde_json::Value::Null, &"ESTABLISHED".into()));
    let metrics = web.text("/metrics");
    for line in [
        "metalbond_updates_dropped_total{reason=\"policy\"} 1",
        "metalbond_subscriptions_denied_total 1",
        "metalbond_peer_updates_dropped_total{peer=\"127.0.0.1\",reason=\"policy\"} 1",
        "metalbond_peer_subscriptions_denied_total{peer=\"127.0.0.1\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}

#[test]
fn a_bad_policy_is_reported_with_its_position_and_nothing_starts() {
    let dir = Dir::new("policy-bad");
    let policy = dir.put("policy.toml", &POLICY.replace("who =", "peer ="));
    for args in [&["server", "--listen", "127.0.0.1:0", "--policy", &policy][..], &["check", "--policy", &policy]] {
        let ended = run(args);
        let expected = format!("metalbond: --policy {policy}:4:1: unknown field `peer`, expected one of");
        assert_eq!(ended.code, Some(2), "{args:?}");
        assert!(ended.stderr.last().unwrap().starts_with(&expected), "{:?}", ended.stderr);
    }
    let settings = dir.put("m.toml", &format!("[server]\npolicy = '{policy}'\n"));
    let ended = run(&["check", &settings]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.last().unwrap().contains("policy.toml:4:1: unknown field"), "{:?}", ended.stderr);
}

#[test]
fn check_explains_what_a_peer_may_do() {
    let dir = Dir::new("policy-check");
    let policy = dir.put("policy.toml", POLICY);
    let check = |args: &[&str]| {
        let ended = run(&[&["check", "--policy", &policy], args].concat());
        (ended.code, ended.stdout)
    };
    assert_eq!(check(&[]), (Some(0), vec![format!("{policy}: ok (policy: 2 rules)")]));
    let all = [
        "from 127.0.0.1: rule 'hypervisors', number 1 of 2",
        "  subscribe  23",
        "  announce   VNIs 23; destinations 10.0.0.0/8; next hops 192.0.2.1/32; types all",
    ];
    assert_eq!(check(&["--from", "127.0.0.1"]), (Some(0), all.map(str::to_owned).into()));
    let (code, said) = check(&["--from", "127.0.0.1", "--route", "23#10.0.0.1/32#192.0.2.1", "--vni", "42"]);
    let asked =
        ["subscription to 42: denied: rule 'hypervisors' permits no VNI 42", "23 10.0.0.1/32 via 192.0.2.1: permitted"];
    assert_eq!((code, &said[3..]), (Some(1), &asked.map(str::to_owned)[..]));
    // An IPv4-mapped address is the same as its IPv4 address everywhere.
    let (code, said) = check(&["--from", "::ffff:127.0.0.1", "--route", "23#10.0.0.1/32#::ffff:192.0.2.1"]);
    assert_eq!(
        (code, &said[1..3], said[3].as_str()),
        (Some(0), &all.map(str::to_owned)[1..], "23 10.0.0.1/32 via ::ffff:192.0.2.1: permitted")
    );
    let ended = run(&["check", "--policy", &policy, "--from", "127.0.0.1", "--route", "23#10.0.0.1/32#127.0.0.1"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr[0].contains("'127.0.0.1' is a loopback address"), "{:?}", ended.stderr);
    let stranger = "dns:h1.example.org from 192.0.2.1: no rule permits it anything, so it is refused";
    let asked = ["--peer", "dns:h1.example.org", "--from", "192.0.2.1"];
    assert_eq!(check(&asked), (Some(1), vec![stranger.to_owned()]));
}

#[test]
fn check_reads_names_of_peers_as_a_policy_does() {
    let dir = Dir::new("policy-spellings");
    let policy = dir.put(
        "policy.toml",
        "[[peer]]\nname = 'stolen'\nwho = ['dns:H9.Example.org.', 'from:::ffff:192.0.2.9', 'uri:SPIFFE://Example.org/*']\n\
         [[peer]]\nname = 'all'\nwho = ['any']\nsubscribe = 'all'\n[[peer.announce]]\nvnis = 'all'\n",
    );
    let check = |args: &[&str]| run(&[&["check", "--policy", &policy], args].concat());
    for stolen in [
        ["--peer", "dns:h9.example.org"],
        ["--peer", "dns:H9.example.org."],
        ["--peer", "uri:spiffe://EXAMPLE.org/h/9"],
        ["--from", "192.0.2.9"],
        ["--from", "::ffff:192.0.2.9"],
    ] {
        let ended = check(&stolen);
        assert_eq!(ended.code, Some(1), "{stolen:?}: {:?}", ended.stdout);
        assert!(ended.stdout[0].contains("no rule permits it anything"), "{stolen:?}: {:?}", ended.stdout);
    }
    let ended =
        check(&["--peer", "dns:h8.example.org", "--peer", "ip:::ffff:192.0.2.8", "--route", "7#::/0#192.0.2.8"]);
    assert_eq!((ended.code, ended.stdout.last().unwrap().as_str()), (Some(0), "7 ::/0 via 192.0.2.8: permitted"));
    for name in ["dns:h9.example.org ", "dns:h9..org", "uri:a b", "h9.example.org", "ip:fe80::1%2"] {
        let ended = check(&["--peer", name]);
        assert_eq!(ended.code, Some(2), "{name}");
        assert!(ended.stderr[0].contains(&format!("--peer '{name}'")), "{:?}", ended.stderr);
    }
}

#[test]
fn a_part_of_a_policy_without_effect_is_a_warning() {
    let dir = Dir::new("policy-warnings");
    let text = "\
        [[peer]]\nname = 'a'\nwho = ['dns:*.example.org', 'from:10.0.0.0/8']\nsubscribe = 'all'\n\
        [[peer]]\nname = 'b'\nwho = ['dns:h9.example.org.', 'dns:h9.example.com']\n\
        [[peer]]\nname = 'c'\nwho = ['any']\n[[peer.announce]]\nvnis = 'all'\nnext-hops = ['127.0.0.0/8', 'self']\n\
        [[peer.announce]]\nvnis = []\n\
        [[peer]]\nname = 'd'\nwho = ['from:::ffff:10.9.0.0/112', 'uri:x']\n";
    let policy = dir.put("policy.toml", text);
    let expected = [
        "rule 'b': 'dns:h9.example.org' has no effect: rule 'a' is before it, and is for 'dns:*.example.org'",
        "rule 'c': next hop 127.0.0.0/8 has no effect: it is a loopback address, and no route with such a next hop is taken",
        "rule 'c': its announcement table 2 permits nothing: 'vnis' is empty",
        "rule 'd': 'from:10.9.0.0/16' has no effect: rule 'a' is before it, and is for 'from:10.0.0.0/8'",
        "rule 'd': 'uri:x' has no effect: rule 'c' is before it, and is for 'any'",
    ];
    let warnings = expected.map(|warning| format!("metalbond: warning: --policy {policy}: {warning}"));
    let ended = run(&["check", "--policy", &policy]);
    assert_eq!((ended.code, &ended.stderr[..]), (Some(0), &warnings[..]));
    assert_eq!(ended.stdout, [format!("{policy}: ok (policy: 4 rules)")]);
    let settings = dir.put("m.toml", &format!("[server]\npolicy = '{policy}'\n"));
    assert_eq!(run(&["check", &settings]).stderr, warnings);
    let mut server = Process::start(&["server", "--listen", "127.0.0.1:0", "--policy", &policy]);
    let said = server.log_each(&expected.map(|warning| format!("policy: {warning}")));
    assert!(said.iter().all(|line| line.contains(" WARN ")), "{said:#?}");
}

#[test]
fn the_example_of_the_documentation_is_explained_as_it_says() {
    let text = include_str!("../../../../docs/policy.md");
    let block = |kind: &str| text.split(kind).nth(1).unwrap().split("```").next().unwrap();
    let dir = Dir::new("policy-doc");
    let policy = dir.put("policy.toml", block("```toml\n"));
    let (command, said) = block("```console\n").split_once("'\n").unwrap();
    let command = command.replace("\\\n", "").replace('\'', "").replace("policy.toml", &policy);
    let args: Vec<&str> = command.split_whitespace().skip(2).collect();
    let ended = run(&args);
    assert_eq!((ended.code, ended.stdout), (Some(1), said.lines().map(str::to_owned).collect()));
}

/// Runs the documented commands that set up an authority for a cluster.
#[test]
fn the_ten_commands_of_the_documentation_lead_to_a_session() {
    if !has_program("openssl") {
        return;
    }
    let text = include_str!("../../../../docs/security.md");
    let commands: Vec<&str> = text.split("```sh\n").nth(1).unwrap().split("```").next().unwrap().lines().collect();
    let [prepare @ .., server, client] = &commands[..] else { panic!("{commands:?}") };
    assert_eq!(prepare.len() + 2, 10);
    let dir = Dir::new("ten-commands");
    let program = env!("CARGO_BIN_EXE_metalbond");
    let shell = |script: &str| {
        let mut shell = Command::new("sh");
        let script = script.replace("metalbond check", &format!("{program} check"));
        shell.args(["-ec", &script]).current_dir(dir.path("."));
        shell
    };
    let prepared = shell(&prepare.join("\n")).output().unwrap();
    assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));
    assert!(String::from_utf8_lossy(&prepared.stdout).ends_with("2001:db8::1: permitted\n"));

    let start = |command: &str| {
        let command = command.trim_end_matches(" &").replacen("metalbond", program, 1);
        Process::spawn(shell(&format!("exec {command}")), Stdio::piped(), Stdio::piped())
    };
    let mut server = start(&server.replace("[::]:4711", "127.0.0.1:0"));
    let addr = crate::process::bound(&server.log("listening on "));
    let mut client = start(&client.replace("localhost:4711", &format!("localhost:{}", addr.port())));
    client.log("new=ESTABLISHED");
    let said = server.log("new=ESTABLISHED");
    assert!(said.contains("dns:h1.hypervisors.example.org ip:2001:db8::1"), "{said}");
}
