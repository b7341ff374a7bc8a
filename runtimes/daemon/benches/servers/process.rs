//! A server, the relay or a client as a child process, and its resource usage.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Maximum time for a process to listen, or to become idle.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program to measure.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// The program and its arguments. `{addr}` and `{port}` stand for the listen address and port.
    command: Vec<String>,
    pub(crate) is_relay: bool,
}

impl Subject {
    /// Returns the relay, which copies bytes from one announcer to all subscribers: the baseline.
    pub(crate) fn relay() -> Self {
        let program = std::env::current_exe().expect("a running program has a path");
        let command = vec![program.display().to_string(), "--relay".into(), "{addr}".into()];
        Self { name: "relay".into(), command, is_relay: true }
    }

    /// Returns the server of this package. Its limits per address are raised, because the benchmark's peers all share a
    /// few addresses.
    pub(crate) fn metalbond() -> Self {
        const ARGS: &str = "server --listen {addr} --keepalive 60 --convergence-time 0 --max-connections-per-address 60000 \
            --max-connections-per-second 60000 --log-format text";
        let mut command = vec![env!("CARGO_BIN_EXE_metalbond").to_owned()];
        command.extend(ARGS.split_whitespace().map(str::to_owned));
        Self { name: "metalbond".into(), command, is_relay: false }
    }

    /// Returns another server.
    pub(crate) fn other(command: &str) -> Self {
        let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let name = command[0].rsplit('/').next().unwrap_or("other").to_owned();
        Self { name, command, is_relay: false }
    }

    /// Returns the same program with more arguments.
    pub(crate) fn with(&self, args: &[String]) -> Self {
        let command = [&self.command[..], args].concat();
        Self { command, ..self.clone() }
    }

    /// Starts the program and waits until it listens.
    pub(crate) fn start(&self) -> Process {
        // Finds a free port. The system does not assign it again unless a program asks for it by number.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let addr = listener.local_addr().expect("a listener has an address");
        drop(listener);
        let place = |arg: &String| arg.replace("{addr}", &addr.to_string()).replace("{port}", &addr.port().to_string());
        let process = Process::start(&self.command.iter().map(place).collect::<Vec<_>>(), addr);
        let start = Instant::now();
        while TcpStream::connect(addr).is_err() {
            assert!(start.elapsed() < PATIENCE, "{} does not listen on {addr}", self.name);
            sleep(Duration::from_millis(5));
        }
        process.rest();
        process
    }
}

/// A running process. Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) addr: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts `command`, which listens on or connects to `addr`. Its output is discarded.
    fn start(command: &[String], addr: SocketAddr) -> Self {
        let mut process = Command::new(&command[0]);
        process.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = process.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", command[0]));
        Self::of(child, addr)
    }

    /// Wraps a process that was started by other code.
    pub(crate) fn of(child: Child, addr: SocketAddr) -> Self {
        Self { child, addr }
    }

    /// Returns the CPU time of its threads so far, in user and kernel mode.
    pub(crate) fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the process runs");
        let nanos = tasks.flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Returns its resident memory in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.status("VmRSS:")
    }

    /// Returns its peak resident memory in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kB") * 1024
    }

    /// Waits until the process is idle. Returns its CPU time until then.
    pub(crate) fn rest(&self) -> Duration {
        let (start, mut cpu) = (Instant::now(), self.cpu());
        let mut since = start;
        while since.elapsed() < Duration::from_millis(60) {
            sleep(Duration::from_millis(10));
            let now = self.cpu();
            if now > cpu + Duration::from_micros(500) {
                since = Instant::now();
            }
            cpu = now;
            assert!(start.elapsed() < PATIENCE, "the process does not come to rest");
        }
        cpu
    }
}
