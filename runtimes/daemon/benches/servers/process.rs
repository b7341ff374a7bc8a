//! A server, the relay or a client as a process of its own, and what it costs.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a process may take to listen, or to come to rest.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// The program and its arguments; `{addr}` and `{port}` stand for where to listen.
    command: Vec<String>,
    pub(crate) is_relay: bool,
}

impl Subject {
    /// Copies bytes from one announcer to all who subscribe: the baseline.
    pub(crate) fn relay() -> Self {
        let program = std::env::current_exe().expect("a running program has a path");
        let command = vec![program.display().to_string(), "--relay".into(), "{addr}".into()];
        Self { name: "relay".into(), command, is_relay: true }
    }

    /// The server of this package. Its limits on one address are for peers, not for a bench that plays all of them.
    pub(crate) fn metalbond() -> Self {
        const ARGS: &str = "server --listen {addr} --keepalive 60 --convergence-time 0 --max-connections-per-address 60000 \
            --max-connections-per-second 60000 --log-format text";
        let mut command = vec![env!("CARGO_BIN_EXE_metalbond").to_owned()];
        command.extend(ARGS.split_whitespace().map(str::to_owned));
        Self { name: "metalbond".into(), command, is_relay: false }
    }

    /// Any other server.
    pub(crate) fn other(command: &str) -> Self {
        let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let name = command[0].rsplit('/').next().unwrap_or("other").to_owned();
        Self { name, command, is_relay: false }
    }

    /// The same with more arguments.
    pub(crate) fn with(&self, args: &[String]) -> Self {
        let command = [&self.command[..], args].concat();
        Self { command, ..self.clone() }
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start(&self) -> Process {
        // Free a moment ago; the system hands it out again to nobody who does not name it.
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

/// A running process; killed when it is dropped.
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
    /// Starts `command`, which has to do with `addr`. What it says goes nowhere.
    fn start(command: &[String], addr: SocketAddr) -> Self {
        let mut process = Command::new(&command[0]);
        process.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = process.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", command[0]));
        Self::of(child, addr)
    }

    /// One that was started otherwise.
    pub(crate) fn of(child: Child, addr: SocketAddr) -> Self {
        Self { child, addr }
    }

    /// The time that its threads have run so far, in user and in kernel mode.
    pub(crate) fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the process runs");
        let nanos = tasks.flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.status("VmRSS:")
    }

    /// The most that it ever was.
    pub(crate) fn peak_memory(&self) -> usize {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kB") * 1024
    }

    /// Waits until it has nothing to do any more. Returns the time that it has run until then.
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
