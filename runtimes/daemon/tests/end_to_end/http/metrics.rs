//! Metrics, read in the way of Prometheus.

use std::collections::BTreeMap;

use metalbond_conformance::Authority;

use super::{Web, assert_no_counter_falls, get, place, until_metric};
use crate::config::Dir;
use crate::process::Process;
use crate::raw::Raw;

/// Returns samples by name and labels.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, value)| (name, value.parse().unwrap())).collect()
}

#[test]
fn what_happened_is_counted() {
    let web = Web::start(&[]);
    let mut watcher = web.client(&["--subscribe", "23"]);
    watcher.log("ESTABLISHED");
    let client = web.client(&["--announce", "23#10.0.0.1/32#2001:db8::1,23#10.0.0.2/32#2001:db8::1"]);
    watcher.line();
    watcher.line();
    let answer = web.get("/metrics");
    assert!(answer.head.contains("content-type: application/openmetrics-text"), "{}", answer.head);
    let samples = samples(&answer.body);
    let expected = [
        (r#"metalbond_peers{state="ESTABLISHED"}"#, 2.0),
        (r#"metalbond_peers{state="RETRY"}"#, 0.0),
        ("metalbond_ready", 1.0),
        ("metalbond_routes", 2.0),
        ("metalbond_vnis", 1.0),
        (r#"metalbond_messages_received_total{type="update"}"#, 2.0),
        (r#"metalbond_messages_sent_total{type="update"}"#, 2.0),
        (r#"metalbond_messages_received_total{type="subscribe"}"#, 1.0),
        (r#"metalbond_updates_dropped_total{reason="invalid"}"#, 0.0),
        (r#"metalbond_peer_sessions_established{peer="127.0.0.1"}"#, 2.0),
        (r#"metalbond_peer_routes{peer="127.0.0.1"}"#, 2.0),
        (r#"metalbond_peer_lag_changes{peer="127.0.0.1"}"#, 0.0),
        (r#"metalbond_peer_messages_sent_total{peer="127.0.0.1",type="update"}"#, 2.0),
        (r#"metalbond_vni_routes{vni="23"}"#, 2.0),
        (r#"metalbond_vni_subscribers{vni="23"}"#, 1.0),
    ];
    for (name, value) in expected {
        assert_eq!(samples.get(name), Some(&value), "{name} in\n{}", answer.body);
    }
    let digest = &web.json("/api/v1/vnis")["items"][0]["digest"];
    let digest = u64::from_str_radix(digest.as_str().unwrap(), 16).unwrap() >> 12;
    assert_eq!(samples[r#"metalbond_vni_digest{vni="23"}"#], digest as f64);
    let iterations = samples["metalbond_iteration_seconds_count"];
    assert!(iterations > 2.0);
    assert_eq!(samples[r#"metalbond_iteration_seconds_bucket{le="+Inf"}"#], iterations);
    assert!(samples["metalbond_convergence_seconds_count"] >= 1.0);
    client.kill();
    web.until("/api/v1/peers", |peers| peers["items"].as_array().unwrap().len() == 1);
    assert_no_counter_falls(&answer.body, &web.get("/metrics").body);
}

#[test]
fn no_counter_falls_when_one_of_an_addresss_connections_ends_or_comes_back() {
    let web = Web::start(&[]);
    let mut one = Raw::connect(web.server.addrs[0]);
    let mut other = Raw::connect(web.server.addrs[0]);
    (1..100).for_each(|vni| one.subscribe(vni));
    other.subscribe(1);
    let subscribed = r#"metalbond_peer_messages_received_total{peer="127.0.0.1",type="subscribe"}"#;
    until_metric(web.http, subscribed, |count| count == 100.0);
    let both = web.get("/metrics").body;
    drop(one);
    web.until("/api/v1/peers", |peers| peers["items"].as_array().unwrap().len() == 1);
    let left = web.get("/metrics").body;
    assert_no_counter_falls(&both, &left);
    drop(other);
    web.until("/api/v1/peers", |peers| peers["items"].as_array().unwrap().is_empty());
    // Without a connection there is no series. The counter continues with the next connection.
    assert!(!web.get("/metrics").body.contains(subscribed));
    let _again = Raw::connect(web.server.addrs[0]);
    let back = web.get("/metrics").body;
    assert!(back.contains(&format!("{subscribed} 100\n")), "{back}");
    assert_no_counter_falls(&left, &back);
}

#[test]
fn no_counter_of_a_configured_server_falls_with_its_sessions() {
    let web = Web::start(&[]);
    let mut client = web.client(&["--subscribe", "23", "--http", "127.0.0.1:0"]);
    let http = place(&mut client);
    super::until(http, "/api/v1/status", |status| status["ready"] == true);
    let before = get(http, "/metrics").body;
    web.server.process.kill();
    super::until(http, "/api/v1/status", |status| status["ready"] == false);
    let after = get(http, "/metrics").body;
    let received = format!("metalbond_peer_received_bytes_total{{peer=\"{}\"}}", web.server.addrs[0]);
    assert!(samples(&after)[&*received] > 0.0, "{after}");
    assert_no_counter_falls(&before, &after);
}

#[test]
fn a_client_counts_its_servers_by_their_names() {
    let web = Web::start(&[]);
    let mut client = web.client(&["--subscribe", "23", "--http", "127.0.0.1:0", "--no-vni-metrics"]);
    let http = place(&mut client);
    client.log("ESTABLISHED");
    super::until(http, "/api/v1/status", |status| status["ready"] == true);
    let answer = get(http, "/metrics");
    let samples = samples(&answer.body);
    let server = web.server.addrs[0];
    for (name, value) in [("sessions_established", 1.0), ("dials_total", 1.0), ("sessions_total", 1.0)] {
        assert_eq!(samples[&*format!("metalbond_peer_{name}{{peer=\"{server}\"}}")], value, "{name}");
    }
    assert!(!answer.body.contains("metalbond_vni_"), "{}", answer.body);
}

#[test]
fn families_by_peer_and_by_network_can_be_left_out() {
    let web = Web::start(&["--no-peer-metrics", "--no-vni-metrics"]);
    let _client = web.client(&["--announce", "23#10.0.0.1/32#2001:db8::1"]);
    web.until_routes(1);
    let body = web.get("/metrics").body;
    assert!(!body.contains("metalbond_peer_") && !body.contains("metalbond_vni_"), "{body}");
    assert_eq!(samples(&body)["metalbond_routes"], 1.0);
}

/// docs/monitoring lists the metric families.
#[test]
fn every_family_is_described() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/monitoring/README.md");
    let described = std::fs::read_to_string(path).unwrap();
    let web = Web::start(&[]);
    let mut client = web.client(&["--announce", "23#10.0.0.1/32#2001:db8::1", "--http", "127.0.0.1:0"]);
    let of_client = get(place(&mut client), "/metrics").body;
    web.until_routes(1);
    let of_server = web.get("/metrics").body;
    let dir = Dir::new("families");
    let [cert, key] = dir.put_identity("a", &Authority::named("of the tests").issue_for(&["127.0.0.1"], 90));
    let args = ["server", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
    let of_tls = get(place(&mut Process::start(&[&args[..], &["--tls-ca", &cert]].concat())), "/metrics").body;
    assert!(of_tls.contains("metalbond_tls_certificate_not_after_seconds{use=\"peers\"} "), "{of_tls}");
    let all = of_server.lines().chain(of_client.lines()).chain(of_tls.lines());
    let kinds = all.filter_map(|line| line.strip_prefix("# TYPE metalbond_"));
    for (name, kind) in kinds.map(|line| line.split_once(' ').unwrap()) {
        let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        assert!(described.contains(&format!("`{name}`")), "{name}");
    }
}
