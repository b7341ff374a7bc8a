//! The same measurements with and without TLS, with the same peers: the cost of a delivery and of opening sessions.

use std::path::PathBuf;
use std::time::Instant;

use metalbond::wire::{Hello, encode_subscription, keepalive};
use metalbond_conformance::Authority;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::figure::Figure;
use crate::frames::Frames;
use crate::peer::{PATIENCE, dial};
use crate::process::{Process, Subject};
use crate::routes::{VNI, adds};
use crate::scale::Scale;

/// Number of subscribers.
const SUBSCRIBERS: usize = 10;

/// A connection with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// An open session.
struct Peer {
    stream: Box<dyn Stream>,
    frames: Frames,
}

pub(crate) async fn measure(subject: &Subject, scale: &Scale) -> Vec<Figure> {
    let files = Files::new();
    let mut figures = Vec::new();
    for (name, tls) in [("plain", None), ("TLS", Some(&files))] {
        figures.extend(fan_out(subject, scale, name, tls).await);
    }
    for (name, tls) in [("plain", None), ("TLS", Some(&files))] {
        figures.extend(handshakes(subject, scale, name, tls).await);
    }
    figures
}

async fn fan_out(subject: &Subject, scale: &Scale, name: &str, tls: Option<&Files>) -> Vec<Figure> {
    let process = start(subject, tls);
    let connector = tls.map(|files| &files.connector);
    let mut announcer = Peer::connect(&process, connector, 0).await;
    let mut peers = Vec::new();
    for n in 1..=SUBSCRIBERS {
        let mut peer = Peer::connect(&process, connector, n).await;
        let mut bytes = bytes::BytesMut::new();
        encode_subscription(&mut bytes, true, VNI);
        peer.send(&bytes).await;
        peers.push(peer);
    }
    let bytes = adds(scale.routes);
    let before = process.rest();
    let begin = Instant::now();
    let sending = spawn_local(async move {
        announcer.send(&bytes).await;
        announcer
    });
    let readers: Vec<JoinHandle<Peer>> = peers.into_iter().map(|peer| spawn_local(peer.all(scale.routes))).collect();
    let mut open = Vec::new();
    for reader in readers {
        open.push(reader.await.expect("the peer has read all"));
    }
    let wall = begin.elapsed();
    open.push(sending.await.expect("all is sent"));
    let cpu = process.rest() - before;
    let each = cpu.as_nanos() as f64 / SUBSCRIBERS as f64 / f64::from(scale.routes);
    vec![
        Figure::new(format!("{name}: CPU per delivered update, {SUBSCRIBERS} subscribers"), each, "ns"),
        Figure::new(format!("{name}: wall time, {SUBSCRIBERS} subscribers"), wall.as_secs_f64() * 1e3, "ms"),
    ]
}

async fn handshakes(subject: &Subject, scale: &Scale, name: &str, tls: Option<&Files>) -> Vec<Figure> {
    let process = start(subject, tls);
    let before = process.rest();
    let begin = Instant::now();
    let count = scale.hypervisors;
    let addr = process.addr;
    let opening = (0..count).map(|n| {
        let connector = tls.map(|files| files.connector.clone());
        spawn_local(async move { Peer::open(dial(addr, n).await, connector.as_ref()).await })
    });
    let mut open = Vec::new();
    for peer in opening.collect::<Vec<_>>() {
        open.push(peer.await.expect("the session opens"));
    }
    let wall = begin.elapsed();
    let cpu = process.rest() - before;
    let each = cpu.as_secs_f64() * 1e6 / count as f64;
    vec![
        Figure::new(format!("{name}: {count} sessions at once, CPU for each"), each, "\u{b5}s"),
        Figure::new(format!("{name}: {count} sessions at once, wall time of all"), wall.as_secs_f64() * 1e3, "ms"),
    ]
}

fn start(subject: &Subject, tls: Option<&Files>) -> Process {
    match tls {
        None => subject.start(),
        Some(files) => subject.with(&files.args).start(),
    }
}

impl Peer {
    async fn connect(process: &Process, connector: Option<&TlsConnector>, n: usize) -> Self {
        Self::open(dial(process.addr, n).await, connector).await
    }

    async fn open(tcp: tokio::net::TcpStream, connector: Option<&TlsConnector>) -> Self {
        let stream: Box<dyn Stream> = match connector {
            None => Box::new(tcp),
            Some(connector) => {
                let name = ServerName::try_from("127.0.0.1").expect("an address");
                Box::new(connector.connect(name, tcp).await.expect("a handshake"))
            }
        };
        let mut peer = Self { stream, frames: Frames::default() };
        let hello = Hello { keepalive: 60, is_server: false, ordered: true, converging: false, restart_time: 0 };
        peer.send(&[&hello.encode()[..], &keepalive()].concat()).await;
        peer.until(|frames| frames.hellos > 0 && frames.keepalives > 0).await;
        peer
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server takes what is sent");
        self.stream.flush().await.expect("the server takes what is sent");
    }

    async fn all(mut self, updates: u32) -> Self {
        self.until(|frames| frames.updates >= updates.into()).await;
        self
    }

    async fn until(&mut self, is_done: impl Fn(&Frames) -> bool) {
        let all = async {
            let mut buffer = vec![0; 64 * 1024];
            while !is_done(&self.frames) {
                let len = self.stream.read(&mut buffer).await.expect("the connection is open");
                assert_ne!(len, 0, "the server closed the connection");
                self.frames.take(&buffer[..len]);
            }
        };
        timeout(PATIENCE, all).await.expect("all comes in time");
    }
}

/// The files of the server, and the clients' configuration.
struct Files {
    dir: PathBuf,
    args: Vec<String>,
    connector: TlsConnector,
}

impl Files {
    fn new() -> Self {
        let ca = Authority::new();
        let (server, client) = (ca.issue(&["127.0.0.1"]), ca.issue(&["127.0.0.1"]));
        let dir = std::env::temp_dir().join(format!("metalbond-bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let put = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::write(&path, text).expect("room for a file");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&path, mode).expect("a file of our own");
            path.display().to_string()
        };
        let args = [
            ("--tls-cert", put("server.pem", &server.cert())),
            ("--tls-key", put("server.key", &server.key())),
            ("--tls-ca", put("ca.pem", &ca.cert())),
        ];
        let args = args.into_iter().flat_map(|(flag, path)| [flag.to_owned(), path]).collect();
        Self { dir, args, connector: ca.client(&client).into() }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
