//! A process that runs out of file descriptors. Alone in its file, because the limit is the whole process's.
#![cfg(target_os = "linux")]

use std::io;
use std::time::Duration;

use metalbond_tokio::{Config, MetalBond, SessionState};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn a_listener_survives_the_lack_of_descriptors_and_says_so_once() {
    let mut log = log();
    let (server, _) = MetalBond::start(Config::default()).unwrap();
    let addr = server.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(40), maximum: limit.maximum }).unwrap();

    // Each takes one descriptor here and one at the server.
    let mut hoard = Vec::new();
    while let Ok(stream) = TcpStream::connect(addr).await {
        hoard.push(stream);
    }
    // A last one for a connection that the server then has none for.
    hoard.pop();
    hoard.push(TcpStream::connect(addr).await.unwrap());
    line_with(&mut log, "cannot accept connections").await;
    hoard.clear();
    let again = line_with(&mut log, "accepting connections again").await;
    assert!(!again.contains("cannot"));

    let (client, _) = MetalBond::start(Config::default()).unwrap();
    let peer = client.add_peer(addr.into()).await.unwrap();
    timeout(Duration::from_secs(30), async {
        while client.peer_state(peer).await != Ok(SessionState::Established) {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the server accepts again");
}

/// Everything up to the line that has this text.
async fn line_with(log: &mut mpsc::UnboundedReceiver<String>, text: &str) -> String {
    let mut seen = String::new();
    timeout(Duration::from_secs(30), async {
        while !seen.contains(text) {
            seen += &log.recv().await.unwrap();
        }
    })
    .await
    .unwrap_or_else(|_| panic!("no line with {text:?} in {seen}"));
    seen
}

/// What this process logs.
fn log() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || Lines(sender.clone())).init();
    receiver
}

struct Lines(mpsc::UnboundedSender<String>);

impl io::Write for Lines {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(buf).into_owned());
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
