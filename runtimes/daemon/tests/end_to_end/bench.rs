//! `metalbond bench`: a server is loaded, and all routes are withdrawn at the end.

use serde_json::Value;

use crate::http::Web;
use crate::process::{Process, Server, Signal, run};

#[test]
fn a_server_is_loaded_and_has_no_routes_of_the_run_at_the_end() {
    let web = Web::start(&[]);
    // Another client's route in the same VNI does not affect the run.
    let _other = web.client(&["--announce", "9#10.0.0.0/8#2001:db8::1"]);
    web.until_routes(1);
    let server = web.server.addrs[0].to_string();
    let args =
        ["bench", "--server", &server, "--vni", "9", "--routes", "1000", "--announcers", "3", "--subscribers", "2"];
    let ended = run(&[&args[..], &["--rate", "2000", "--duration", "1", "--json"]].concat());
    assert_eq!((ended.code, ended.stderr.len()), (Some(0), 1), "{:?}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout.join("\n")).unwrap();
    assert_eq!((&report["routes"], &report["vni"]), (&1000.into(), &9.into()));
    let moves = &report["move"];
    let [delivered, overtaken, routes] = ["delivered", "overtaken", "routes"].map(|name| moves[name].as_u64().unwrap());
    assert_eq!(delivered + overtaken, 2 * routes);
    let delay = |name: &str| moves["delay_seconds"][name].as_f64().unwrap();
    assert!(0.0 < delay("p50") && delay("p50") <= delay("p99") && delay("p99") <= delay("max"), "{moves}");
    web.until_routes(1);

    let ended = run(&args);
    let columns: Vec<_> = ended.stdout.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!((ended.code, columns), (Some(0), vec!["PHASE", "connect", "announce", "withdraw"]));
}

#[test]
fn an_interrupted_run_leaves_no_routes() {
    let web = Web::start(&[]);
    let server = web.server.addrs[0].to_string();
    let bench = Process::start(&["bench", "--server", &server, "--routes", "100", "--rate", "10", "--duration", "999"]);
    web.until_routes(100);
    bench.signal(Signal::INT);
    let ended = bench.end().0;
    assert_eq!((ended.code, ended.stdout.len()), (Some(1), 0));
    assert_eq!(ended.stderr.last().unwrap(), "metalbond: SIGINT before the end; all is withdrawn");
    web.until_routes(0);
}

#[test]
fn a_missing_or_refusing_server_is_reported_in_one_line() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ended = run(&["bench", "--server", &free]);
    assert_eq!(ended.code, Some(1));
    let last = ended.stderr.last().unwrap();
    assert!(last.starts_with(&format!("metalbond: cannot load {free}: ")) && last.contains("refused"), "{last}");

    let server = Server::on_loopback(&["--max-routes-per-peer", "10"]);
    let addr = server.addrs[0].to_string();
    let ended = run(&["bench", "--server", &addr, "--routes", "100"]);
    assert_eq!((ended.code, ended.stdout.len()), (Some(1), 0));
    let last = ended.stderr.last().unwrap();
    assert!(last.starts_with(&format!("metalbond: the session of an announcer with {addr} was lost: ")), "{last}");

    for (args, why) in [
        (&["--routes", "0"][..], "--routes '0': not a number from 1 to 16777216"),
        (&["--vni", "16777216"], "--vni '16777216': VNI '16777216' is not a number from 0 to 16777215"),
        (&["--rate", "x"], "--rate 'x': not a number from 1 to 10000000"),
    ] {
        let ended = run(&[&["bench", "--server", &addr], args].concat());
        assert_eq!((ended.code, ended.stderr), (Some(2), vec![format!("metalbond: {why}")]));
    }
}
