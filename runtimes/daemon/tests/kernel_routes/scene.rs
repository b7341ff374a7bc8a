//! The usual set-up of a test: a server, a client that announces, and a watch on the kernel.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::namespace::Namespace;
use crate::picture::{self, Object, Table, table};
use crate::process::{DEADLINE, Process, Server, Signal};
use crate::watch::Watch;

/// The routing table of VNI 23.
pub(crate) const TABLE: u32 = 1000;
/// Prefix of the destinations of markers: routes that only mark a point in time.
pub(crate) const MARKER_DESTINATIONS: &str = "10.255.";
/// Prefix of the markers' next hops.
pub(crate) const MARKER_HOPS: u16 = 0xfdff;
/// One destination of each family.
pub(crate) const BOTH: [&str; 2] = ["10.1.0.0/24", "fd10:1::/64"];

/// The log line of a client that removes adopted routes because of an End-of-RIB.
pub(crate) const HAS_SENT_ALL: &str =
    "a server has sent all its routes: adopted kernel routes that no server announces are removed";
/// The log line of a client that removes them because their stale time is over.
pub(crate) const NOT_IN_TIME: &str =
    "no server has announced them in time: adopted kernel routes that no server announces are removed";

/// The server's address. Its port is free, because each test has its own namespace.
pub(crate) const SERVER: &str = "127.0.0.1:4711";

/// The set-up in a namespace.
pub(crate) struct Scene<'a> {
    pub(crate) namespace: &'a Namespace,
    server: Option<Process>,
    server_args: Vec<String>,
    /// Announces the routes in its standard input.
    pub(crate) feeder: Process,
    pub(crate) watch: Watch,
    markers: u8,
}

impl<'a> Scene<'a> {
    /// Starts a server that sends an End-of-RIB as soon as it has sent its table.
    pub(crate) fn new(namespace: &'a Namespace) -> Self {
        Self::with_server(namespace, &["--convergence-time", "0"])
    }

    pub(crate) fn with_server(namespace: &'a Namespace, args: &[&str]) -> Self {
        let server = Some(Server::start(&[SERVER], args).process);
        let server_args = args.iter().map(ToString::to_string).collect();
        let watch = Watch::new();
        Self { namespace, server, server_args, feeder: announcer(&[]), watch, markers: 0 }
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill_server(&mut self) {
        self.server.take().unwrap().kill();
    }

    pub(crate) fn restart_server(&mut self) {
        let args: Vec<&str> = self.server_args.iter().map(String::as_str).collect();
        self.server = Some(Server::start(&[SERVER], &args).process);
    }

    pub(crate) fn restart_server_with(&mut self, args: &[&str]) {
        self.server_args = args.iter().map(ToString::to_string).collect();
        self.restart_server();
    }

    pub(crate) fn signal_server(&self, signal: Signal) {
        self.server.as_ref().unwrap().signal(signal);
    }

    /// Announces routes by the feeder. Each SPEC lacks the VNI: `PREFIX#NEXTHOP` and so on.
    pub(crate) fn announce<S: AsRef<str>>(&mut self, specs: impl IntoIterator<Item = S>) {
        feed(&mut self.feeder, "", specs);
    }

    pub(crate) fn withdraw<S: AsRef<str>>(&mut self, specs: impl IntoIterator<Item = S>) {
        feed(&mut self.feeder, "-", specs);
    }

    /// Starts the client under test, and waits until it has a session.
    pub(crate) fn client(&self, args: &[&str]) -> Process {
        let mut client = installer(args);
        client.log("ESTABLISHED");
        client
    }

    /// Starts the client under test, and waits until it has removed adopted routes that are not announced.
    pub(crate) fn synced_client(&self, args: &[&str]) -> Process {
        let mut client = installer(args);
        client.log(HAS_SENT_ALL);
        client
    }

    pub(crate) fn routes(&self) -> Table {
        picture::routes(self.namespace)
    }

    /// Returns all objects except those of markers.
    pub(crate) fn objects(&self) -> Vec<Object> {
        let mut objects = picture::objects(self.namespace);
        let prefix = format!("{MARKER_HOPS:x}:");
        objects.retain(|_, object| !object.legs.starts_with(&prefix));
        objects.into_values().collect()
    }

    /// Returns the next hops of the objects, sorted.
    pub(crate) fn legs(&self) -> Vec<String> {
        let mut legs: Vec<String> = self.objects().into_iter().map(|object| object.legs).collect();
        legs.sort();
        legs
    }

    /// Waits until the table has exactly these routes.
    pub(crate) fn until<D: ToString, L: ToString>(&mut self, routes: impl IntoIterator<Item = (D, L)>) {
        let wanted = table(routes);
        self.until_equal(&wanted, |scene| scene.routes());
    }

    /// Waits until there are exactly the objects with these next hops.
    pub(crate) fn until_legs(&mut self, legs: &[&str]) {
        let mut wanted: Vec<String> = legs.iter().map(ToString::to_string).collect();
        wanted.sort();
        self.until_equal(&wanted, |scene| scene.legs());
    }

    /// Reads the state again after each event. (The last step of a change always causes an event.)
    pub(crate) fn until_equal<T: PartialEq + std::fmt::Debug>(&mut self, wanted: &T, look: impl Fn(&Self) -> T) {
        let end = Instant::now() + DEADLINE;
        loop {
            self.watch.drain();
            let there = look(self);
            if there == *wanted {
                return;
            }
            assert!(self.watch.wait(end), "missing: {:#?}\ntoo much: {:#?}", but(wanted, &there), but(&there, wanted));
        }
    }

    /// Waits until the client has processed everything before, including the consequences. Returns the events.
    pub(crate) fn settle(&mut self) -> Vec<String> {
        // Objects are added before routes and removed after them. At the second marker, everything is done that was
        // pending at the first.
        for _ in 0..2 {
            self.markers += 1;
            let n = self.markers;
            let destination = format!("{MARKER_DESTINATIONS}{n}.0/24");
            self.announce([format!("{destination}#{MARKER_HOPS:x}::{n:x}")]);
            self.watch.until(&format!("+ {destination}"));
        }
        self.watch.take()
    }
}

/// Returns the lines of `one` that are not in `other`.
fn but<T: std::fmt::Debug>(one: &T, other: &T) -> Vec<String> {
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    one.lines().filter(|line| !other.lines().any(|other| other == *line)).map(str::to_owned).collect()
}

/// Starts another client that announces the routes in its standard input, and waits for its session.
pub(crate) fn announcer(args: &[&str]) -> Process {
    let mut feeder = Process::client(&[server()], &[&["--announce-file", "-"], args].concat());
    feeder.log("ESTABLISHED");
    feeder
}

/// Starts the client under test.
pub(crate) fn installer(args: &[&str]) -> Process {
    Process::client(&[server()], &[&INSTALL, args].concat())
}

/// The arguments of the client under test.
pub(crate) const INSTALL: [&str; 6] = ["--subscribe", "23", "--install-routes", "23#1000", "--tun", "t0"];

/// Announces routes by a client's standard input, or withdraws them if `sign` is `-`.
pub(crate) fn feed<S: AsRef<str>>(client: &mut Process, sign: &str, specs: impl IntoIterator<Item = S>) {
    let lines: String = specs.into_iter().map(|spec| format!("{sign}23#{}\n", spec.as_ref())).collect();
    client.write(&lines);
}

/// Returns a route with this next hop to the destination of each family.
pub(crate) fn both(hop: &str) -> [String; 2] {
    BOTH.map(|destination| format!("{destination}#{hop}"))
}

/// Ends a client with SIGTERM. Returns the unread lines of its log.
pub(crate) fn end(client: Process) -> Vec<String> {
    client.signal(Signal::TERM);
    let ended = client.end().0;
    assert_eq!(ended.code, Some(0), "{:#?}", ended.stderr);
    ended.stderr
}

fn server() -> SocketAddr {
    SERVER.parse().unwrap()
}

/// Returns the answer to a GET, headers included.
pub(crate) fn get(addr: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.replace('\r', "")
}
