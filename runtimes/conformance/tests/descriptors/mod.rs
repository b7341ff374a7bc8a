//! A process that runs out of file descriptors. Alone in its program, because the limit is the whole process's.

use std::io;

use metalbond_conformance::{RawPeer, until, within};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smol::channel::{self, Receiver, Sender};

use crate::driver::{Config, SessionState, start};
use crate::run;

#[test]
fn a_listener_survives_the_lack_of_descriptors_and_says_so_once() {
    run(async {
        let log = log();
        let (server, _) = start(Config::default()).unwrap();
        let addr = server.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(40), maximum: limit.maximum }).unwrap();

        // Each takes one descriptor here and one at the server.
        let mut hoard = Vec::new();
        while let Ok(peer) = RawPeer::silent(addr).await {
            hoard.push(peer);
        }
        // A last one for a connection that the server then has none for.
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

/// Everything up to the line that has this text.
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

/// What this process logs.
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
