//! Tables in the format of the reference implementation, compared with its own output. Differences: the date, the
//! version and white space (JSON), and quotes (YAML).

use serde_json::json;

use super::Web;

const ROUTES: &str = "24#10.0.24.0/24#2001:db8::9,23#10.0.23.0/24#2001:db8::3#LB,23#10.0.23.0/24#2001:db8::1,\
    7#0.0.0.0/0#2001:db8::3#99,24#2001:db8:1::/48#2001:db8::2#NAT#1024#2047";

#[test]
fn json_keys_contain_json() {
    let web = Web::start(&[]);
    let _client = web.client(&["--announce", ROUTES]);
    web.until_routes(5);
    let mut all = web.json("/routes.json");
    let date = all["date"].take();
    let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
    assert_eq!(date.as_str().unwrap().chars().map(digits).collect::<String>(), "0000-00-00 00:00:00");
    let hop = |addr: &str, vni: u32, kind: u32, from: u32, to: u32| {
        json!({
            "TargetAddress": addr, "TargetVNI": vni, "Type": kind, "NATPortRangeFrom": from, "NATPortRangeTo": to
        })
    };
    let expected = json!({
        "date": null,
        "vnet": {
            "7": { r#"{"IPVersion":4,"Prefix":"0.0.0.0/0"}"#: [hop("2001:db8::3", 99, 0, 0, 0)] },
            "23": {
                r#"{"IPVersion":4,"Prefix":"10.0.23.0/24"}"#:
                    [hop("2001:db8::1", 0, 0, 0, 0), hop("2001:db8::3", 0, 2, 0, 0)]
            },
            "24": {
                r#"{"IPVersion":4,"Prefix":"10.0.24.0/24"}"#: [hop("2001:db8::9", 0, 0, 0, 0)],
                r#"{"IPVersion":6,"Prefix":"2001:db8:1::/48"}"#: [hop("2001:db8::2", 0, 1, 1024, 2047)]
            }
        },
        "metalbondVersion": env!("CARGO_PKG_VERSION")
    });
    assert_eq!(all, expected);
}

#[test]
fn yaml_has_the_same_with_lower_case_names() {
    let web = Web::start(&[]);
    let _client = web.client(&["--announce", "7#0.0.0.0/0#2001:db8::3#99,7#0.0.0.0/0#192.0.2.1#LB"]);
    web.until_routes(2);
    let answer = web.get("/routes.yaml");
    assert!(answer.head.contains("content-type: text/yaml"), "{}", answer.head);
    let (date, rest) = answer.body.split_once('\n').unwrap();
    assert!(date.starts_with("date: \"20"), "{date}");
    let hop = |addr: &str, vni: u32, kind: u32| {
        format!(
            "    - targetaddress: \"{addr}\"\n      targetvni: {vni}\n      type: {kind}\n      natportrangefrom: 0\n      \
             natportrangeto: 0\n"
        )
    };
    let expected = format!(
        "vnet:\n  7:\n    '{{\"IPVersion\":4,\"Prefix\":\"0.0.0.0/0\"}}':\n{}{}metalbondversion: \"{}\"\n",
        hop("192.0.2.1", 0, 2),
        hop("2001:db8::3", 99, 0),
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(rest, expected);
}

#[test]
fn without_routes_there_is_an_empty_object() {
    let web = Web::start(&[]);
    assert_eq!(web.json("/routes.json")["vnet"], json!({}));
    assert!(web.get("/routes.yaml").body.contains("\nvnet: {}\nmetalbondversion"));
}
