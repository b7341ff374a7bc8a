//! A headless Chromium, controlled with the W3C WebDriver protocol by Debian's chromedriver.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use metalbond_conformance::has_program;
use serde_json::{Value, json};

/// Maximum duration of any wait before a test fails, far longer than needed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A browser window. Closed when dropped.
pub(crate) struct Browser {
    driver: Child,
    session: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// Opens a window of this size. Returns `None` if there is no browser (Debian's package chromium-driver).
    pub(crate) fn open(width: u32, height: u32, is_dark: bool) -> Option<Self> {
        if !has_program("chromedriver") {
            return None;
        }
        let mut command = Command::new("chromedriver");
        let driver = command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut driver = driver.expect("it was there just now");
        let mut lines = BufReader::new(driver.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("chromedriver says its port");
        // Reads the remaining output and discards it, so that the pipe does not fill up.
        std::thread::spawn(move || lines.for_each(drop));
        let scheme =
            if is_dark { "--blink-settings=preferredColorScheme=0" } else { "--blink-settings=preferredColorScheme=1" };
        let size = format!("--window-size={width},{height}");
        let args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", scheme, &size];
        let mut options = json!({ "args": args });
        if width < 500 {
            // Emulates a telephone: a desktop window would be wider than requested.
            let metrics = json!({ "width": width, "height": height, "pixelRatio": 2.0, "touch": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let base = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { driver, session: base.clone() };
        let opened = post(&base, json!({ "capabilities": { "alwaysMatch": wanted } }));
        browser.session = format!("{base}/{}", opened["sessionId"].as_str().expect("a session"));
        Some(browser)
    }

    pub(crate) fn go(&self, url: &str) {
        post(&format!("{}/url", self.session), json!({ "url": url }));
    }

    /// Returns the result of a script.
    pub(crate) fn run(&self, script: &str) -> Value {
        post(&format!("{}/execute/sync", self.session), json!({ "script": script, "args": [] }))
    }

    /// Evaluates an expression repeatedly until it has the wanted value.
    pub(crate) fn until(&self, expression: &str, wanted: &Value) {
        let start = Instant::now();
        loop {
            let value = self.run(&format!("return {expression}"));
            if value == *wanted {
                return;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "{expression} is still {value}, not {wanted}; {:#?}",
                self.complaints()
            );
        }
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(crate) fn press(&self, keys: &str) {
        let strokes: Vec<_> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|what| json!({ "type": what, "value": key.to_string() })))
            .collect();
        let actions = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] });
        post(&format!("{}/actions", self.session), actions);
    }

    /// Returns the browser's new error messages: errors of scripts, and violations of the page's policy.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = post(&format!("{}/se/log", self.session), json!({ "type": "browser" }));
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Takes a screenshot as PNG, if METALBOND_SCREENSHOTS names a directory.
    pub(crate) fn picture(&self, name: &str) {
        let Some(dir) = std::env::var_os("METALBOND_SCREENSHOTS") else { return };
        let shot = get(&format!("{}/screenshot", self.session));
        use base64::Engine as _;
        let png = base64::prelude::BASE64_STANDARD.decode(shot.as_str().expect("a picture")).expect("in base64");
        std::fs::write(std::path::Path::new(&dir).join(format!("{name}.png")), png).expect("it can be written");
    }
}

fn post(url: &str, body: Value) -> Value {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
    let answer = ureq::Agent::new_with_config(config).post(url).content_type("application/json").send(body.to_string());
    value(answer)
}

fn get(url: &str) -> Value {
    value(ureq::get(url).call())
}

fn value(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
    let mut answer = answer.expect("chromedriver answers");
    let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().expect("a text");
    let mut body: Value = serde_json::from_str(&text).expect("JSON");
    assert!(answer.status().is_success(), "{body:#}");
    body["value"].take()
}
