//! `metalbond top` in a pseudoterminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::http::Web;
use crate::process::{DEADLINE, Process, Signal, run};

/// A program in a terminal, and its output so far.
struct Terminal {
    process: Process,
    keys: File,
    own: OwnedFd,
    bytes: Receiver<Vec<u8>>,
    written: String,
}

impl Terminal {
    fn start(args: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap();
        let own = open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        tcsetwinsize(&own, Winsize { ws_row: 20, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let end = || Stdio::from(own.try_clone().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
        command.args(args).env("TERM", "xterm").env_remove("NO_COLOR");
        let process = Process::spawn_reading(command, end(), end(), Stdio::piped());
        let mut master = File::from(master);
        let keys = master.try_clone().unwrap();
        let (sender, bytes) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = master.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { process, keys, own, bytes, written: String::new() }
    }

    /// Waits until a text is written after all texts that were waited for before.
    fn until(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            if let Some(at) = self.written.find(text) {
                self.written.drain(..at + text.len());
                return;
            }
            let left = DEADLINE.saturating_sub(start.elapsed());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.written += &String::from_utf8_lossy(&bytes),
                Err(_) => panic!("no {text:?} in {:?}", self.written),
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the program's end, and checks that the terminal's settings are restored.
    fn end(mut self) {
        self.until("\u{1b}[?1049l");
        let ended = self.process.end().0;
        assert_eq!((ended.code, ended.stderr), (Some(0), Vec::new()));
        assert!(tcgetattr(&self.own).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO));
    }
}

#[test]
fn a_daemon_is_shown_live_until_a_key_or_a_signal_ends_the_program() {
    let web = Web::start(&[]);
    let at = web.http.to_string();
    let mut top = Terminal::start(&["top", "--http", &at]);
    top.until(&format!("server at http://{at}/"));
    assert!(!tcgetattr(&top.own).unwrap().local_modes.contains(LocalModes::ICANON));
    let _client = web.client(&["--announce", "23#10.0.23.0/24#2001:db8::1"]);
    top.until("ESTABLISHED");
    top.press("v");
    let digest = web.json("/api/v1/vnis")["items"][0]["digest"].as_str().unwrap().to_owned();
    top.until(&digest);
    top.press("q");
    top.end();

    let mut top = Terminal::start(&["top", "--http", &at]);
    top.until("a0 ");
    top.process.signal(Signal::TERM);
    top.end();
}

#[test]
fn top_waits_for_a_daemon_that_goes_away() {
    let web = Web::start(&[]);
    let mut top = Terminal::start(&["top", "--http", &web.http.to_string()]);
    top.until("VNIs");
    drop(web);
    top.until("cannot");
    // Control-C, as a key.
    top.press("\u{3}");
    top.end();
}

#[test]
fn without_a_terminal_or_a_daemon_there_is_an_error_and_no_screen() {
    let ended = run(&["top"]);
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (Some(1), 0, 1));
    assert!(ended.stderr[0].contains("not a terminal"), "{:?}", ended.stderr);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let top = Terminal::start(&["top", "--http", &free]);
    let ended = top.process.end().0;
    assert_eq!((ended.code, ended.stderr.len()), (Some(1), 1));
    assert!(ended.stderr[0].contains("cannot reach"), "{:?}", ended.stderr);
    assert!(top.bytes.try_recv().is_err(), "something was drawn");
}
