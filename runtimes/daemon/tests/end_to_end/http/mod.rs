//! The daemon's HTTP side.

mod access;
mod api;
mod events;
mod health;
mod large;
mod metrics;
mod reference;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use serde_json::Value;

use crate::process::{DEADLINE, Process, Server};

/// A server with HTTP on a free port.
pub(crate) struct Web {
    pub(crate) server: Server,
    pub(crate) http: SocketAddr,
}

impl Web {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut all = vec!["--http", "127.0.0.1:0"];
        all.extend(args);
        // The HTTP log line comes before those of the listeners.
        let mut process = Process::start(&[&["server", "--listen", "127.0.0.1:0"], &all[..]].concat());
        let http = place(&mut process);
        let addrs = vec![crate::process::bound(&process.log("listening on "))];
        Self { server: Server { process, addrs }, http }
    }

    pub(crate) fn client(&self, args: &[&str]) -> Process {
        Process::client(&self.server.addrs, args)
    }

    fn get(&self, path: &str) -> Answer {
        get(self.http, path)
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        self.get(path).json()
    }

    /// Returns the body of an answer.
    pub(crate) fn text(&self, path: &str) -> String {
        self.get(path).body
    }

    /// Repeats a request until the answer is as expected.
    pub(crate) fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        until(self.http, path, is_so)
    }

    /// Waits until the server has this many routes.
    pub(crate) fn until_routes(&self, routes: u64) {
        self.until("/api/v1/status", |status| status["routes"] == routes);
    }
}

fn until(http: SocketAddr, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let value = get(http, path).json();
        if is_so(&value) {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "{path} still says {value:#}");
    }
}

/// Reads `/metrics` repeatedly until a sample is as expected.
pub(crate) fn until_metric(http: SocketAddr, name: &str, is_so: impl Fn(f64) -> bool) {
    let start = Instant::now();
    loop {
        let body = get(http, "/metrics").body;
        let value = body.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        if value.is_some_and(&is_so) {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{name} is still {value:?} in\n{body}");
    }
}

/// Panics if a counter, or a part of a histogram, decreased between two scrapes. Ignores samples that only one of them
/// has.
pub(crate) fn assert_no_counter_falls(before: &str, after: &str) {
    let counters = |text: &str| -> BTreeMap<String, f64> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| line.rsplit_once(' ').unwrap());
        let is_counter = |name: &str| {
            let family = name.split('{').next().unwrap();
            ["_total", "_count", "_sum", "_bucket"].iter().any(|end| family.ends_with(end))
        };
        samples
            .filter(|(name, _)| is_counter(name))
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
            .collect()
    };
    let (before, after) = (counters(before), counters(after));
    assert!(!before.is_empty() && !after.is_empty());
    for (name, was) in before {
        assert!(after.get(&name).is_none_or(|is| *is >= was), "{name} fell from {was} to {}", after[&name]);
    }
}

/// Returns the address of a process's HTTP side.
pub(crate) fn place(process: &mut Process) -> SocketAddr {
    let line = process.log("HTTP on http://");
    line.rsplit_once("http://").unwrap().1.trim_end_matches('/').parse().unwrap()
}

/// A complete answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn error(&self) -> (u16, String) {
        (self.status, self.json()["error"].as_str().unwrap().to_owned())
    }
}

/// Sends a request with HTTP/1.0, so that the answer ends with the connection.
fn get(http: SocketAddr, path: &str) -> Answer {
    let mut text = String::new();
    ask(http, path).read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

fn ask(http: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").unwrap();
    stream
}

/// A stream of server-sent events.
struct Followed(BufReader<TcpStream>);

impl Followed {
    fn at(http: SocketAddr, path: &str) -> Self {
        let mut reader = BufReader::new(ask(http, path));
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        let mut followed = Self(reader);
        assert_eq!(followed.next().unwrap().0, "following");
        followed
    }

    /// Returns the next event's name and data, or `None` at the end of the stream.
    fn next(&mut self) -> Option<(String, Value)> {
        let (mut name, mut data, start) = (String::new(), None, Instant::now());
        loop {
            assert!(start.elapsed() < DEADLINE, "nothing but heartbeats");
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("event", text)) => name = text.to_owned(),
                Some(("data", text)) => data = Some(serde_json::from_str(text).unwrap()),
                _ => {}
            }
            if line == "\n"
                && let Some(data) = data.take()
            {
                return Some((name, data));
            }
        }
    }

    /// Returns the next event of this name.
    fn next_of(&mut self, wanted: &str) -> Value {
        loop {
            let (name, data) = self.next().expect("the stream goes on");
            if name == wanted {
                return data;
            }
        }
    }
}

/// Returns the keepalive interval that a client with HTTP has negotiated with its server.
pub(crate) fn negotiated_keepalive(mut client: Process) -> u64 {
    let http = place(&mut client);
    let peers = until(http, "/api/v1/peers", |peers| peers["items"][0]["state"] == "ESTABLISHED");
    peers["items"][0]["keepalive_seconds"].as_u64().unwrap()
}
