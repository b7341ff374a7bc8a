//! A process without free file descriptors. This test has a program of its own, because the limit is that of the whole process.

use std::io;

use metalbond_conformance::{RawPeer, until, within};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smol::channel::{self, Receiver, Sender};

use crate::driver::{Config, SessionState, start};
use crate::run;

#[test]
fn a_listener_survives_a_lack_of_descriptors_and_logs_it_once() {
    run(async {
        let log = log();
        let (server, _) = start(Config::default()).unwrap();
        let addr = server.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(40), maximum: limit.maximum }).unwrap();

        // Each connection takes one descriptor here and one at the server.
        let mut hoard = Vec::new();
        while let Ok(peer) = RawPeer::silent(addr).await {
            hoard.push(peer);
        }
        // This frees a descriptor for one more connection, for which the server then has none.
        hoard.pop();
        hoard.push(RawPeer::silent(addr).await.unwrap());
        line_with(&log, "cannot accept connections").await;
        hoard.clear();
        let again = line_with(&log, "accepting connections again").await;
        assert!(!again.contains("cannot"));

        let (client, _) = start(Config::default()).unwrap();
        let peer = client.add_peer(addr.into()).await.unwrap();
        until("a session", || async { client.peer_state(peer).await == Ok(SessionState::Established) }).await;
    });
}

/// Returns the log up to the line with this text.
async fn line_with(log: &Receiver<String>, text: &str) -> String {
    let mut seen = String::new();
    within(text, async {
        while !seen.contains(text) {
            seen += &log.recv().await.unwrap();
        }
    })
    .await;
    seen
}

/// Returns the log of this process.
fn log() -> Receiver<String> {
    let (sender, receiver) = channel::unbounded();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || Lines(sender.clone())).init();
    receiver
}

struct Lines(Sender<String>);

impl io::Write for Lines {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(String::from_utf8_lossy(buf).into_owned());
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
