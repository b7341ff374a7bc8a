//! Many routes: sent in pieces, completely, and without delaying a session.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::Web;

const ROUTES: u32 = 50_000;

/// Writes a file with many routes in two VNIs.
fn file() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("metalbond-large-{}.routes", std::process::id()));
    let mut text = String::new();
    for n in 0..ROUTES {
        writeln!(text, "{}#{}/32#2001:db8::{:x}", 23 + n % 2, std::net::Ipv4Addr::from(n), n % 100 + 1).unwrap();
    }
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_large_table_is_sent_completely_while_it_changes() {
    let file = file();
    let web = Web::start(&[]);
    let _client = web.client(&["--announce-file", file.to_str().unwrap()]);
    web.until_routes(ROUTES.into());
    std::fs::remove_file(file).unwrap();

    // Other routes are added and removed meanwhile.
    let mut churn = web.client(&["--announce-file", "-"]);
    for n in 0..2_000 {
        churn.write(&format!("23#10.1.{}.{}/32#2001:db8::77\n", n / 250, n % 250));
    }
    let whole = web.json("/routes.json");
    let stable = |vni: &str| -> BTreeSet<String> {
        let table = whole["vnet"][vni].as_object().unwrap();
        table.keys().filter(|key| !key.contains("\"10.1.")).cloned().collect()
    };
    assert_eq!((stable("23").len(), stable("24").len()), (ROUTES as usize / 2, ROUTES as usize / 2));

    let (mut seen, mut query) = (BTreeSet::new(), "limit=10000".to_owned());
    loop {
        let page = web.json(&format!("/api/v1/routes?{query}"));
        for item in page["items"].as_array().unwrap() {
            let prefix = item["prefix"].as_str().unwrap();
            assert!(seen.insert((item["vni"].as_u64(), prefix.to_owned())), "{prefix} twice");
        }
        let Value::String(next) = &page["next"] else { break };
        query = format!("limit=10000&after={next}");
    }
    assert!(seen.len() >= ROUTES as usize, "{}", seen.len());
    // The last route in a table is found quickly, and only that route.
    let last = std::net::Ipv4Addr::from(ROUTES - 1);
    let page = web.json(&format!("/api/v1/routes?addr={last}"));
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_reader_that_stops_reading_does_not_delay_sessions() {
    let file = std::env::temp_dir().join(format!("metalbond-slow-{}.routes", std::process::id()));
    std::fs::write(
        &file,
        (0..ROUTES).map(|n| format!("23#{}/32#2001:db8::1\n", std::net::Ipv4Addr::from(n))).collect::<String>(),
    )
    .unwrap();
    let web = Web::start(&["--keepalive", "1"]);
    let mut client = web.client(&["--announce-file", file.to_str().unwrap(), "--keepalive", "1"]);
    client.log("ESTABLISHED");
    web.until_routes(ROUTES.into());
    std::fs::remove_file(file).unwrap();
    let stalled: Vec<_> = (0..20).map(|_| super::ask(web.http, "/routes.json")).collect();
    let followed: Vec<_> = (0..20).map(|_| super::ask(web.http, "/api/v1/events")).collect();
    let mut watcher = web.client(&["--subscribe", "7", "--keepalive", "1"]);
    watcher.log("ESTABLISHED");
    let _one = web.client(&["--announce", "7#10.0.0.0/8#2001:db8::7"]);
    assert_eq!(watcher.line(), "+ 7 10.0.0.0/8 via 2001:db8::7");
    assert_eq!(web.json("/api/v1/status")["peers"]["ESTABLISHED"], 3);
    drop((stalled, followed));
}
