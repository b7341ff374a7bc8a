//! The page in a real browser: what people see and do.

mod browser;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::process::{self, Process};
use browser::Browser;

/// Starts a server with HTTP. Returns it and its addresses.
fn server() -> (Process, SocketAddr, String) {
    server_with(&[])
}

fn server_with(args: &[&str]) -> (Process, SocketAddr, String) {
    let own = ["server", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let mut server = Process::start(&[&own[..], args].concat());
    let http = server.log("HTTP on ").rsplit_once(' ').unwrap().1.to_owned();
    let addr = process::bound(&server.log("listening on "));
    (server, addr, http)
}

const ROUTES: &str = "23#10.0.23.0/24#2001:db8::1,23#10.0.23.128/25#2001:db8::2#NAT#1024#2047,\
    23#2001:db8:1::/48#2001:db8::3#LB,24#10.0.23.0/24#2001:db8::1#STD,7#0.0.0.0/0#192.0.2.1#99";

const ROWS: &str = "document.querySelectorAll('#rows tr').length";
/// Returns all words of the list.
const TEXT: &str = "document.getElementById('rows').innerText.replace(/\\s+/g, ' ').trim()";

fn search(browser: &Browser, id: &str, text: &str) {
    browser.run(&format!(
        "const e = document.getElementById('{id}'); e.value = '{text}'; e.dispatchEvent(new Event('input'))"
    ));
}

#[test]
fn peers_networks_and_routes_are_shown_searched_and_followed() {
    let Some(browser) = Browser::open(1280, 860, false) else { return };
    let (_server, addr, http) = server();
    let _client = Process::client(&[addr], &["--announce", ROUTES, "--subscribe", "7"]);
    browser.go(&http);
    browser.until(ROWS, &json!(1));
    browser.until("document.getElementById('facts').innerText.includes('established')", &json!(true));
    let text = browser.run(&format!("return {TEXT}")).as_str().unwrap().to_owned();
    assert!(text.starts_with("a0 127.0.0.1:") && text.contains(" ESTABLISHED "), "{text}");
    assert_eq!(browser.run("return document.getElementById('ready').textContent"), "ready, converging");
    browser.picture("peers");

    browser.run("location.hash = '#vnis'");
    browser.until(ROWS, &json!(3));
    // A click on the VNI shows its routes.
    browser.run("[...document.querySelectorAll('#rows a')].find(a => a.textContent === '24').click()");
    browser.until(TEXT, &json!("24 10.0.23.0/24 2001:db8::1 a0"));
    search(&browser, "vni", "");
    browser.until(ROWS, &json!(5));
    search(&browser, "text", "10.0.23.0/24");
    browser.until(ROWS, &json!(3));
    search(&browser, "text", "10.0.23.200");
    browser.until(ROWS, &json!(4));
    browser.picture("routes");
    browser.run("const m = document.getElementById('mode'); m.value = 'next_hop'; m.onchange()");
    search(&browser, "text", "2001:db8::2");
    browser.until(TEXT, &json!("23 10.0.23.128/25 2001:db8::2 NAT 1024–2047 a0"));
    // An invalid search is reported, and shown as text.
    search(&browser, "text", "<img src=x onerror=alert(1)>");
    browser.until("document.getElementById('caption').textContent.startsWith('next_hop: ')", &json!(true));
    assert_eq!(browser.run("return document.images.length"), 0);
    // The browser logs that the daemon refused the request, and nothing else.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|what| what.contains("status of 400")), "{complaints:#?}");

    browser.run("location.hash = '#changes'");
    browser.until("document.getElementById('rows').innerText.includes('following')", &json!(true));
    let _other = Process::client(&[addr], &["--announce", "9#10.9.0.0/16#2001:db8::9"]);
    browser.until(
        "document.getElementById('rows').innerText.replace(/\\s+/g, ' ').includes('+ 9 10.9.0.0/16 2001:db8::9')",
        &json!(true),
    );
    browser.picture("changes");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_token_is_asked_for_shown_with_every_request_and_kept_nowhere() {
    const LINK: &str = "document.getElementById('link').textContent";
    const IS_ASKED: &str = "!document.getElementById('enter').hidden";
    const TOKEN: &str = "a-token-for-the-tests";
    let Some(browser) = Browser::open(1280, 860, false) else { return };
    let path = std::env::temp_dir().join(format!("metalbond-page-{}.token", std::process::id()));
    std::fs::write(&path, TOKEN).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let (_server, addr, http) = server_with(&["--http-token", path.to_str().unwrap()]);
    let _client = Process::client(&[addr], &["--announce", ROUTES]);
    let enter = |token: &str| {
        browser.run(&format!(
            "document.getElementById('token').value = '{token}'; document.querySelector('#enter button').click()"
        ));
    };
    browser.go(&http);
    browser.until(IS_ASKED, &json!(true));
    assert_eq!(browser.run(&format!("return {ROWS}")), 0);
    browser.until(LINK, &json!("waiting for its token"));
    browser.picture("token");
    enter("another-that-is-wrong");
    browser.until("document.getElementById('wrong').textContent", &json!("It is not this one."));
    browser.run("location.hash = '#changes'");
    enter(TOKEN);
    browser.until("document.getElementById('rows').innerText.includes('following')", &json!(true));
    let _other = Process::client(&[addr], &["--announce", "9#10.9.0.0/16#2001:db8::9"]);
    browser.until("document.getElementById('rows').innerText.includes('10.9.0.0/16')", &json!(true));
    browser.run("location.hash = '#vnis'");
    browser.until(ROWS, &json!(4));
    browser.until(LINK, &json!("live"));
    assert_eq!(browser.run(&format!("return {IS_ASKED}")), false);
    let kept = "return document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + location.href";
    assert!(!browser.run(kept).to_string().contains(TOKEN));
    assert_eq!(browser.run("return document.getElementById('token').value"), "");
    // The browser logs that the daemon refused the request, and nothing else.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|what| what.contains("status of 401")), "{complaints:#?}");
    std::fs::remove_file(path).unwrap();
    // A new visit asks for the token again.
    browser.go("about:blank");
    browser.go(&http);
    browser.until(IS_ASKED, &json!(true));
}

#[test]
fn the_keyboard_suffices() {
    let Some(browser) = Browser::open(1280, 860, true) else { return };
    let (_server, addr, http) = server();
    let _client = Process::client(&[addr], &["--announce", ROUTES]);
    browser.go(&http);
    browser.until(ROWS, &json!(1));
    // The first tab stop skips to the list; a digit selects the view.
    browser.press("\u{e004}");
    assert_eq!(browser.run("return document.activeElement.className"), "skip");
    browser.press("3");
    browser.until(ROWS, &json!(5));
    browser.press("/");
    assert_eq!(browser.run("return document.activeElement.id"), "text");
    browser.press("2001:db8:1::/48");
    browser.until(ROWS, &json!(1));
    browser.press("\u{e00c}");
    browser.until(ROWS, &json!(5));
    // Columns are sorted with buttons, which Tab reaches.
    browser.run("location.hash = '#vnis'");
    browser.until(ROWS, &json!(3));
    browser.run("document.querySelector('#head button').focus()");
    browser.press("\u{e007}");
    browser.press("\u{e007}");
    browser.until("document.querySelector('#rows td').textContent", &json!("24"));
    assert_eq!(browser.run("return document.querySelector('th').getAttribute('aria-sort')"), "descending");
    let dark = browser.run("return getComputedStyle(document.body).backgroundColor");
    assert_eq!(dark, "rgb(16, 22, 28)", "as the system is");
    browser.run("document.getElementById('theme').click()");
    assert_eq!(browser.run("return getComputedStyle(document.body).backgroundColor"), "rgb(246, 247, 248)");
    browser.run("document.getElementById('theme').click()");
    browser.go(&http);
    browser.until("getComputedStyle(document.body).backgroundColor", &json!("rgb(16, 22, 28)"));
    browser.picture("dark");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_telephone_shows_the_page_without_horizontal_scrolling() {
    let Some(browser) = Browser::open(360, 740, false) else { return };
    let (_server, addr, http) = server();
    let _client = Process::client(&[addr], &["--announce", ROUTES]);
    for (view, rows) in [("peers", 1), ("vnis", 3), ("routes", 5)] {
        browser.go(&format!("{http}#{view}"));
        browser.until(ROWS, &json!(rows));
        assert_eq!(browser.run("return innerWidth"), 360);
        assert_eq!(browser.run("return document.documentElement.scrollWidth"), 360, "{view}");
        browser.picture(&format!("phone-{view}"));
    }
}

#[test]
fn only_the_shown_routes_are_fetched() {
    const ROUTES: u32 = 100_000;
    let Some(browser) = Browser::open(1280, 860, false) else { return };
    let (_server, addr, http) = server();
    let path = std::env::temp_dir().join(format!("metalbond-page-{}.routes", std::process::id()));
    let mut text = String::new();
    for n in 0..ROUTES {
        writeln!(text, "23#{}/32#2001:db8::{:x}", std::net::Ipv4Addr::from(0x0a00_0000 + n), n % 500 + 1).unwrap();
    }
    std::fs::write(&path, text).unwrap();
    let _client = Process::client(&[addr], &["--announce-file", path.to_str().unwrap()]);
    browser.go(&http);
    browser.until("document.getElementById('facts').innerText.includes('100,000')", &json!(true));
    std::fs::remove_file(path).unwrap();
    browser.run("location.hash = '#routes'");
    browser.until(ROWS, &json!(200));
    browser.run("document.getElementById('more').click()");
    browser.until(ROWS, &json!(400));
    search(&browser, "text", "10.1.134.159");
    browser.until(TEXT, &json!("23 10.1.134.159/32 2001:db8::1f4 a0"));
    let fetched = "performance.getEntriesByType('resource').filter(e => e.name.includes('/routes?')).length";
    let fetched = browser.run(&format!("return {fetched}")).as_u64().unwrap();
    assert!(fetched <= 3, "{fetched} requests for two pages and a search");
    browser.picture("many");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
