//! Notifications to a service manager, and the sockets that it hands over.

use std::fs::File;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use metalbond_conformance::{block_until, has_program};

use crate::process::{DEADLINE, Process, Signal, bound};

/// The receiving end of NOTIFY_SOCKET.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Manager {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("metalbond-notify-{}-{test}", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, path }
    }

    /// Starts a service with a watchdog interval in microseconds.
    fn start(&self, args: &[&str], watchdog: &str) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
        command.args(args).env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", watchdog);
        Process::spawn(command, Stdio::piped(), Stdio::piped())
    }

    /// Waits for a notification with a line that starts with `what`.
    fn notified(&self, what: &str) -> String {
        let start = Instant::now();
        let mut others = Vec::new();
        while start.elapsed() < DEADLINE {
            let mut bytes = [0; 1024];
            let n = self.socket.recv(&mut bytes).unwrap();
            let text = String::from_utf8(bytes[..n].to_vec()).unwrap();
            if text.lines().any(|line| line.starts_with(what)) {
                return text;
            }
            others.push(text);
        }
        panic!("{what} was not notified, but {others:#?}");
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[test]
fn a_server_notifies_readiness_status_and_its_end() {
    let manager = Manager::new("server");
    let mut server = manager.start(&["server", "--listen", "127.0.0.1:0"], "100000");
    let addr = bound(&server.log("listening on "));
    manager.notified("READY=1");
    let _client = Process::client(&[addr], &["--announce", "23#10.0.0.1/32#2001:db8::1"]);
    let status = "STATUS=1 of 1 peers established, 1 routes in 1 VNIs";
    block_until(status, || manager.notified("STATUS=").contains(status));
    manager.notified("WATCHDOG=1");
    manager.notified("WATCHDOG=1");
    server.signal(Signal::HUP);
    assert!(manager.notified("RELOADING=1").contains("\nMONOTONIC_USEC="));
    manager.notified("READY=1");
    server.signal(Signal::TERM);
    manager.notified("STOPPING=1");
    assert_eq!(server.end().0.code, Some(0));
}

#[test]
fn a_client_is_ready_without_a_server() {
    let manager = Manager::new("client");
    let client = manager.start(&["client", "--server", "127.0.0.1:1"], "10000000");
    manager.notified("READY=1");
    assert!(manager.notified("STATUS=").contains("0 of 1 peers established"));
    client.signal(Signal::TERM);
    manager.notified("STOPPING=1");
}

#[test]
fn a_service_manager_that_does_not_read_delays_nothing() {
    let manager = Manager::new("deaf");
    // Fills the socket's buffer, so that further notifications block.
    let teller = UnixDatagram::unbound().unwrap();
    teller.set_nonblocking(true).unwrap();
    while teller.send_to(b"X=1", &manager.path).is_ok() {}
    let mut server = manager.start(&["server", "--listen", "127.0.0.1:0"], "100000");
    let addr = bound(&server.log("listening on "));
    server.log("the service manager does not read notifications");
    Process::client(&[addr], &[]).log("ESTABLISHED");
    server.signal(Signal::TERM);
    assert_eq!(server.end().0.code, Some(0));
}

/// Starts a process with copies of the socket, under these names.
pub(crate) fn hand_over(socket: impl Into<OwnedFd>, names: &str, args: &[&str]) -> Process {
    let count = names.split(':').count();
    let redirect: String = (0..count).map(|i| format!(" {}<&0", 3 + i)).collect();
    let script = format!("exec{redirect}; LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES={names} exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_metalbond")]).args(args);
    Process::spawn_reading(command, Stdio::from(socket.into()), Stdio::piped(), Stdio::piped())
}

#[test]
fn a_socket_that_is_no_tcp_listener_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (local, _) = UnixStream::pair().unwrap();
    let is_none = "from the service manager is not a TCP listener: ";
    let cases: [(OwnedFd, &str, String); 5] = [
        (
            UdpSocket::bind("127.0.0.1:0").unwrap().into(),
            "one",
            format!("socket 0 'one' {is_none}fd 3 is not a valid tcp socket"),
        ),
        (local.into(), "one", format!("socket 0 'one' {is_none}fd 3 is not a valid tcp socket")),
        (File::open("/dev/null").unwrap().into(), "http", format!("socket 0 'http' {is_none}fd 3 is not a socket")),
        (connected.into(), "http", format!("socket 0 'http' {is_none}Invalid argument (os error 22)")),
        (
            listener.into(),
            "http:http",
            "socket 1 'http' from the service manager is the second with this name".to_owned(),
        ),
    ];
    for (socket, names, why) in cases {
        let ended = hand_over(socket, names, &["server"]).end().0;
        assert_eq!((ended.code, ended.stderr), (Some(1), vec![format!("metalbond: {why}")]));
    }
}

#[test]
fn a_given_address_is_used_in_addition_to_a_socket_that_is_handed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap();
    let mut server = hand_over(listener, "metalbond", &["server", "--listen", "127.0.0.1:0"]);
    assert_eq!(bound(&server.log("listening on ")), own);
    let other = bound(&server.log("listening on "));
    for addr in [own, other] {
        Process::client(&[addr], &[]).log("ESTABLISHED");
    }
}

#[test]
fn a_client_uses_a_socket_for_http_and_warns_about_other_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap();
    let mut client = hand_over(listener, "http:metalbond", &["client", "--server", "127.0.0.1:1"]);
    client.log("1 sockets from the service manager are not used");
    client.log(&format!("HTTP on http://{own}/"));
}

/// Uses systemd's own `systemd-socket-activate`.
#[test]
fn sockets_that_are_handed_over_are_used() {
    let (one, http) = (crate::ports::fixed(9), crate::ports::fixed(10));
    let mut command = Command::new("systemd-socket-activate");
    command.args(["--listen", &one.to_string(), "--listen", &http.to_string(), "--fdname", "metalbond:http"]);
    command.arg(env!("CARGO_BIN_EXE_metalbond")).args(["server"]);
    if !has_program("systemd-socket-activate") {
        return;
    }
    let mut activated = Process::spawn(command, Stdio::piped(), Stdio::piped());
    activated.log("Listening on");
    // The first connection starts the server.
    block_until("a connection", || std::net::TcpStream::connect(one).is_ok());
    let said = activated.log("HTTP on ");
    assert!(said.ends_with(&format!("http://{http}/")), "{said}");
    assert_eq!(bound(&activated.log("listening on ")), one);
    let mut client = Process::client(&[one], &[]);
    client.log("ESTABLISHED");
    activated.signal(Signal::TERM);
    assert_eq!(activated.end().0.code, Some(0));
}
