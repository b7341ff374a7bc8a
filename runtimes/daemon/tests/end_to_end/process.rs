//! `metalbond` as a child process whose output lines can be awaited with a deadline.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::iter;
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use rustix::process::Signal;

/// Maximum duration of any wait before a test fails, far longer than needed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A running `metalbond`. Killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
}

/// A process that has ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Process {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_with(args, Stdio::piped(), Stdio::piped())
    }

    /// Starts a process with other outputs than the pipes whose lines can be awaited.
    pub(crate) fn start_with(args: &[&str], stdout: Stdio, stderr: Stdio) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
        command.args(args);
        Self::spawn(command, stdout, stderr)
    }

    /// Starts a command, without the variables of this environment that `metalbond` reads.
    pub(crate) fn spawn(command: Command, stdout: Stdio, stderr: Stdio) -> Self {
        Self::spawn_reading(command, Stdio::piped(), stdout, stderr)
    }

    /// Starts a command with another standard input as well.
    pub(crate) fn spawn_reading(mut command: Command, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Self {
        let own: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        for (name, _) in std::env::vars_os() {
            let is_meant = name == "RUST_LOG" || name.to_string_lossy().starts_with("METALBOND_");
            if is_meant && !own.contains(&name) {
                command.env_remove(name);
            }
        }
        command.env("RUST_BACKTRACE", "0");
        let mut child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map_or_else(Lines::none, Lines::of);
        let stderr = child.stderr.take().map_or_else(Lines::none, Lines::of);
        Self { child, stdin, stdout, stderr }
    }

    /// Starts a client of these servers.
    pub(crate) fn client(servers: &[SocketAddr], args: &[&str]) -> Self {
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        let mut all = vec!["client"];
        for server in &servers {
            all.extend(["--server", server]);
        }
        all.extend(args);
        Self::start(&all)
    }

    /// Returns the next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        match self.stdout.next() {
            Some(line) => line,
            None => panic!("no line within {DEADLINE:?}, but logs:\n{}", self.stderr.now().join("\n")),
        }
    }

    /// Returns the next line of standard error that contains a text.
    pub(crate) fn log(&mut self, text: &str) -> String {
        let mut others = Vec::new();
        while let Some(line) = self.stderr.next() {
            if line.contains(text) {
                return line;
            }
            others.push(line);
        }
        panic!("no {text:?} in the log:\n{}", others.join("\n"));
    }

    /// Returns a line of standard error for each of these texts, in the order of the texts. The lines may come in any order.
    pub(crate) fn log_each(&mut self, texts: &[String]) -> Vec<String> {
        let mut found = vec![None; texts.len()];
        let mut lines = Vec::new();
        while found.contains(&None) {
            let Some(line) = self.stderr.next() else {
                let missing: Vec<_> = texts.iter().zip(&found).filter(|(_, line)| line.is_none()).collect();
                panic!("no {missing:?} in the log:\n{}", lines.join("\n"));
            };
            let place = texts.iter().zip(&mut found).find(|(text, place)| place.is_none() && line.contains(*text));
            if let Some((_, place)) = place {
                *place = Some(line.clone());
            }
            lines.push(line);
        }
        found.into_iter().flatten().collect()
    }

    /// Returns the lines of standard error up to the first that contains a text, which is the last.
    pub(crate) fn log_until(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.stderr.next() {
            let is_last = line.contains(text);
            lines.push(line);
            if is_last {
                return lines;
            }
        }
        panic!("no {text:?} in the log:\n{}", lines.join("\n"));
    }

    /// Writes to standard input.
    pub(crate) fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process with SIGKILL and waits for its end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the process's end. Also returns how long that took.
    pub(crate) fn end(mut self) -> (Ended, Duration) {
        let start = Instant::now();
        // Both streams end with the process.
        let (stdout, stderr) = (self.stdout.rest(), self.stderr.rest());
        let took = start.elapsed();
        assert!(took < DEADLINE, "still running after {took:?}, with logs:\n{}", stderr.join("\n"));
        let code = self.child.wait().unwrap().code();
        (Ended { code, stdout, stderr }, took)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `metalbond` to its end.
pub(crate) fn run(args: &[&str]) -> Ended {
    let mut process = Process::start(args);
    process.close_stdin();
    process.end().0
}

/// A server and its addresses.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) addrs: Vec<SocketAddr>,
}

impl Server {
    /// Starts a server on these addresses, on free ports unless they name one.
    pub(crate) fn start(listen: &[&str], args: &[&str]) -> Self {
        let mut all = vec!["server"];
        for addr in listen {
            all.extend(["--listen", addr]);
        }
        all.extend(args);
        let mut process = Process::start(&all);
        let addrs = listen.iter().map(|_| bound(&process.log("listening on "))).collect();
        Self { process, addrs }
    }
}

/// Returns the address in a log line `... listening on ADDR`.
pub(crate) fn bound(line: &str) -> SocketAddr {
    line.rsplit_once("listening on ").unwrap().1.parse().unwrap()
}

/// The lines of a stream, which a thread reads.
struct Lines {
    receiver: Receiver<String>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { receiver }
    }

    /// Returns an empty stream, for one that this process does not read.
    fn none() -> Self {
        Self { receiver: channel().1 }
    }

    /// Returns the next line, or `None` at the end of the stream or the deadline.
    fn next(&self) -> Option<String> {
        self.receiver.recv_timeout(DEADLINE).ok()
    }

    /// Returns the lines that have arrived.
    fn now(&self) -> Vec<String> {
        self.receiver.try_iter().collect()
    }

    /// Returns all lines up to the end of the stream or the deadline.
    fn rest(&self) -> Vec<String> {
        let start = Instant::now();
        let left = || DEADLINE.saturating_sub(start.elapsed());
        iter::from_fn(|| self.receiver.recv_timeout(left()).ok()).collect()
    }
}
