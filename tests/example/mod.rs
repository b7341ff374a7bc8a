//! An example as a child process. Tests wait for its lines with a deadline.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test fails. Far more than it ever takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running example. Killed when dropped.
pub(crate) struct Example {
    name: String,
    /// The process, also to send a signal to it.
    pub(crate) child: Child,
    stdout: Receiver<String>,
}

impl Example {
    /// Starts an example of this package. `cargo test` builds all examples, except if it builds one test only.
    pub(crate) fn start(name: &str, args: &[&str]) -> Self {
        let mut path = std::env::current_exe().unwrap();
        // From target/<profile>/deps/<test>.
        path.pop();
        path.pop();
        path.extend(["examples", name]);
        assert!(path.exists(), "{} is missing: build it with --examples", path.display());
        let mut child = Command::new(path).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, stdout) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { name: name.to_owned(), child, stdout }
    }

    /// Returns the next line of its standard output, or `None` at its end.
    pub(crate) fn line(&self) -> Option<String> {
        match self.stdout.recv_timeout(DEADLINE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{} says nothing for {DEADLINE:?}", self.name),
        }
    }

    /// Waits for the next line that begins with `start`. Returns the rest of the line.
    pub(crate) fn line_after(&self, start: &str) -> String {
        loop {
            let line = self.line().unwrap_or_else(|| panic!("{} has ended without '{start}'", self.name));
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    /// Waits for the end of the process. Returns its remaining lines and the exit code.
    pub(crate) fn end(mut self) -> (Vec<String>, Option<i32>) {
        let lines = std::iter::from_fn(|| self.line()).collect();
        let start = Instant::now();
        // Its standard output has ended, so the process ends soon.
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (lines, status.code());
            }
            assert!(start.elapsed() < DEADLINE, "{} does not end", self.name);
            thread::yield_now();
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Fails if the process has ended; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
