//! `/api/v1`: lists, filters, pages, and errors of bad requests.

use serde_json::{Value, json};

use super::Web;

const ROUTES: &str = "23#10.0.23.0/24#2001:db8::1,23#10.0.23.128/25#2001:db8::2#NAT#1024#2047,\
    23#2001:db8:1::/48#2001:db8::3#LB,24#10.0.23.0/24#2001:db8::1#STD,7#0.0.0.0/0#192.0.2.1#99";

fn web() -> (Web, [crate::process::Process; 2]) {
    let web = Web::start(&[]);
    let one = web.client(&["--announce", ROUTES, "--subscribe", "7"]);
    web.until_routes(5);
    let other = web.client(&["--announce", "23#10.0.23.0/24#2001:db8::9,23#10.0.23.0/24#2001:db8::1"]);
    web.until_routes(6);
    web.until("/api/v1/peers?peer=a1", |peers| peers["items"][0]["routes"] == 2);
    (web, [one, other])
}

/// Returns `vni prefix` of each item.
fn found(page: &Value) -> Vec<String> {
    let mut found: Vec<_> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| format!("{} {}", item["vni"], item["prefix"].as_str().unwrap()))
        .collect();
    found.sort();
    found
}

#[test]
fn routes_are_found_by_their_properties_and_their_announcer() {
    let (web, _clients) = web();
    let all = ["23 10.0.23.0/24", "23 10.0.23.128/25", "23 2001:db8:1::/48", "24 10.0.23.0/24", "7 0.0.0.0/0"];
    let cases: [(&str, &[usize]); 10] = [
        ("", &[0, 1, 2, 3, 4]),
        ("vni=23", &[0, 1, 2]),
        ("vni=99", &[]),
        ("prefix=10.0.23.0/24", &[0, 1, 3]),
        ("prefix=10.0.23.0/24&vni=24", &[3]),
        ("addr=10.0.23.200", &[0, 1, 3, 4]),
        ("next_hop=2001:db8::1", &[0, 3]),
        ("peer=a1", &[0]),
        ("peer=a7", &[]),
        ("peer=local", &[]),
    ];
    for (query, expected) in cases {
        let page = web.json(&format!("/api/v1/routes?{query}"));
        assert_eq!(found(&page), expected.iter().map(|n| all[*n]).collect::<Vec<_>>(), "{query}");
        assert_eq!(page["next"], Value::Null);
    }
    let page = web.json("/api/v1/routes?vni=23&addr=10.0.23.200");
    let nat = page["items"].as_array().unwrap().iter().find(|item| item["prefix"] == "10.0.23.128/25").unwrap();
    let kind = json!({ "NAT": { "from": 1024, "to": 2047 } });
    let hop = json!({ "addr": "2001:db8::2", "target_vni": 0, "kind": kind, "announcers": ["a0"] });
    assert_eq!(nat["next_hops"], json!([hop]));
    let hops = &web.json("/api/v1/routes?peer=a1")["items"][0]["next_hops"];
    let first = hops.as_array().unwrap().iter().find(|hop| hop["addr"] == "2001:db8::1").unwrap();
    assert_eq!(first["announcers"], json!(["a0", "a1"]));
}

#[test]
fn pages_put_together_are_the_list() {
    let (web, _clients) = web();
    for list in ["routes", "vnis", "peers"] {
        let whole = web.json(&format!("/api/v1/{list}"))["items"].clone();
        for limit in 1..=5 {
            let (mut items, mut query) = (Vec::new(), format!("limit={limit}"));
            loop {
                let mut page = web.json(&format!("/api/v1/{list}?{query}"));
                let Value::Array(some) = page["items"].take() else { panic!("{page}") };
                assert!(some.len() <= limit);
                items.extend(some);
                let Some(next) = page["next"].as_str() else { break };
                query = format!("limit={limit}&after={next}");
            }
            let what = |items: &[Value]| -> Vec<_> {
                items.iter().map(|item| (item["vni"].clone(), item["prefix"].clone(), item["name"].clone())).collect()
            };
            assert_eq!(what(&items), what(whole.as_array().unwrap()), "{list} by {limit}");
        }
    }
}

#[test]
fn tables_have_counts_and_equal_ones_have_equal_digests() {
    let (web, _clients) = web();
    let other = Web::start(&[]);
    let more = "--announce=23#10.0.23.0/24#2001:db8::9";
    let _client = other.client(&["--announce", ROUTES, more]);
    other.until_routes(6);
    let vnis = web.json("/api/v1/vnis");
    let shown: Vec<_> = vnis["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| (&table["vni"], &table["destinations"], &table["routes"], &table["subscribers"]))
        .map(|(vni, destinations, routes, subscribers)| json!([vni, destinations, routes, subscribers]))
        .collect();
    assert_eq!(shown, [json!([7, 1, 1, 1]), json!([23, 3, 4, 0]), json!([24, 1, 1, 0])]);
    let digests = |web: &Web| -> Vec<_> {
        let vnis = web.json("/api/v1/vnis");
        vnis["items"].as_array().unwrap().iter().map(|table| table["digest"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(digests(&web), digests(&other));
    assert!(digests(&web).iter().all(|digest| digest.len() == 16));
    let _more = other.client(&["--announce", "24#10.0.23.1/32#2001:db8::1"]);
    other.until_routes(7);
    let (a, b) = (digests(&web), digests(&other));
    assert_eq!((&a[..2], a[2] == b[2]), (&b[..2], false));
}

#[test]
fn peers_and_status_show_the_present_state() {
    let (web, _clients) = web();
    let status = web.json("/api/v1/status");
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"), "role": "server", "ready": true, "waiting_for": [],
        "listening": [web.server.addrs[0].to_string()], "converging": true, "peers": { "ESTABLISHED": 2 }, "vnis": 3,
        "routes": 6, "announced": 0, "subscriptions": 0, "kernel": null
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&status[key], value, "{key}");
    }
    let peers = web.json("/api/v1/peers");
    let peer = &peers["items"][0];
    let expected = json!({
        "name": "a0", "direction": "accepted", "state": "ESTABLISHED", "endpoint": null, "ordered": true,
        "is_server": false, "synced": null, "routes": 5, "stale": 0, "subscriptions": 1, "lag": 0,
        "keepalive_seconds": 5, "restart_time_seconds": 10, "dials": null, "last_close": null, "dropped": { "impossible": 0, "unasked": 0, "policy": 0, "subscriptions": 0 }, "names": null, "rule": null
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&peer[key], value, "{key}");
    }
    assert!(peer["remote"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(peer["messages_in"]["update"], 5);
    assert!(peer["bytes_in"].as_u64().unwrap() > 5 * 36);
    assert!(peer["state_seconds"].as_f64().unwrap() >= peer["last_received_seconds"].as_f64().unwrap());
}

#[test]
fn a_bad_request_is_answered_with_the_reason() {
    let web = Web::start(&[]);
    let error = |path: &str| web.get(path).error();
    let bad = |why: &str| (400, why.to_owned());
    assert_eq!(error("/api/v1/routes?limit=0"), bad("limit: 0 is not from 1 to 10000"));
    assert_eq!(error("/api/v1/peers?limit=10001"), bad("limit: 10001 is not from 1 to 10000"));
    assert_eq!(
        error("/api/v1/routes?prefix=10.0.0.0/33"),
        bad("prefix: \"10.0.0.0/33\" is not a prefix like 10.0.0.0/8: prefix length 33 is over 32")
    );
    assert_eq!(error("/api/v1/routes?addr=x"), bad("addr: invalid IP address syntax"));
    assert_eq!(error("/api/v1/routes?after=x"), bad("after: not what a page said as its next"));
    assert_eq!(error("/api/v1/peers?after=x"), bad("after: not what a page said as its next"));
    assert_eq!(error("/api/v1/routes?peer=x"), bad("peer: 'x' is not a name like a7, p0, local or departed"));
    assert_eq!(error("/api/v1/events?vni=-1").0, 400);
    assert_eq!(error("/api/v1/vnis?nvi=1"), bad("nvi: unknown field `nvi`, expected one of `vni`, `limit`, `after`"));
    assert_eq!(error("/nowhere").0, 404);
}

/// Every described path exists, and its answers have the described properties.
#[test]
fn the_description_matches_the_answers() {
    let (web, _clients) = web();
    let description = web.json("/api/v1/openapi.json");
    assert_eq!(description["openapi"].as_str().unwrap().split('.').next(), Some("3"));
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 5);
    let schemas = &description["components"]["schemas"];
    for (list, schema) in [("peers", "Peer"), ("vnis", "Vni"), ("routes", "Destination")] {
        let item = web.json(&format!("/api/v1/{list}"))["items"][0].clone();
        let described: Vec<_> = schemas[schema]["properties"].as_object().unwrap().keys().cloned().collect();
        let mut described = described;
        described.sort();
        let mut there: Vec<_> = item.as_object().unwrap().keys().cloned().collect();
        there.sort();
        assert_eq!(there, described, "{schema}");
    }
    for (path, methods) in paths {
        if path != "/api/v1/events" {
            for parameter in methods["get"]["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                let answer = web.get(&format!("{path}?{name}=%20"));
                assert!(!answer.body.contains("unknown field"), "{path}?{name}");
            }
        }
    }
}
