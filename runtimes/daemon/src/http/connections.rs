//! Connections, so many at a time, each for as long as something happens on it: so that readers who stay, or stop, take no
//! more than their share of the process's descriptors. Those that still agree on TLS are counted apart, and have less time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::stream::Stream;
use crate::tls::Held;

/// Connections at a time; more wait in the system until one ends.
const MAX: usize = 256;
/// How long nothing may be read or written: longer than between two heartbeats of events, or two scrapes.
const QUIET: Duration = Duration::from_secs(75);
/// Connections at a time that agree on TLS, and how long that may take.
const HANDSHAKES_MAX: usize = 64;
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long the listener waits after the system could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// A listener that has so many connections at most.
#[derive(Debug)]
pub(super) struct Connections {
    listener: TcpListener,
    room: Arc<Semaphore>,
    held: watch::Receiver<Held>,
    /// `None`: it has failed.
    handshakes: JoinSet<Option<Stream>>,
    /// The last attempt to accept a connection failed, which has been logged.
    has_failed: bool,
}

impl Connections {
    pub(super) fn of(listener: TcpListener, held: watch::Receiver<Held>) -> Self {
        let (room, handshakes) = (Arc::new(Semaphore::new(MAX)), JoinSet::new());
        Self { listener, room, held, handshakes, has_failed: false }
    }

    /// The next that can be spoken with. Can be cancelled.
    pub(super) async fn accept(&mut self) -> Connection {
        let permit = self.room.clone().acquire_owned().await.expect("it is never closed");
        let stream = loop {
            let has_room = self.handshakes.len() < HANDSHAKES_MAX;
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(stream)) = done {
                        break stream;
                    }
                }
                stream = take(&self.listener, &mut self.has_failed), if has_room => {
                    // What is held now, for it may have been renewed.
                    let Some(tls) = self.held.borrow().web() else { break Stream::Plain(stream) };
                    self.handshakes.spawn(shake(TlsAcceptor::from(tls), stream));
                }
            }
        };
        Connection { stream, quiet: Box::pin(sleep(QUIET)), _permit: permit }
    }
}

/// Accepts a connection, and waits out what the system can't do: a lack of descriptors, for example. Logs the first such error of a row.
async fn take(listener: &TcpListener, has_failed: &mut bool) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if std::mem::take(has_failed) {
                    info!("HTTP: accepting connections again");
                }
                return stream;
            }
            // Only that connection is broken.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                if !std::mem::replace(has_failed, true) {
                    warn!("HTTP: cannot accept connections: {error}; tried again each second");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn shake(acceptor: TlsAcceptor, stream: TcpStream) -> Option<Stream> {
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            debug!("HTTP: no TLS with a reader: {error}");
            None
        }
        Err(_) => None,
    }
}

/// A connection that ends when nothing has happened on it for a while.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    quiet: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Something happened, or has not for too long.
    fn note<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.quiet.as_mut().reset(Instant::now() + QUIET);
            return done;
        }
        self.quiet.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.note(cx, done)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            // TLS keeps what the socket doesn't take.
            Poll::Pending => self.note(cx, Poll::Pending),
            done => done,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::api::Role;
    use crate::http::HttpArgs;
    use crate::reading::Reading;
    use crate::tls::{Files, Holder, TlsArgs};

    async fn listen() -> Connections {
        let (_, held) = watch::channel(Held::default());
        Connections::of(TcpListener::bind("127.0.0.1:0").await.unwrap(), held)
    }

    async fn pair(connections: &mut Connections) -> (TcpStream, Connection) {
        let far = TcpStream::connect(connections.listener.local_addr().unwrap()).await.unwrap();
        (far, connections.accept().await)
    }

    #[tokio::test]
    async fn more_than_there_is_room_for_wait_until_one_ends() {
        let mut connections = listen().await;
        let mut open = Vec::new();
        for _ in 0..MAX {
            open.push(pair(&mut connections).await);
        }
        let mut far = TcpStream::connect(connections.listener.local_addr().unwrap()).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(20), connections.accept()).await.is_err());
        open.pop();
        let mut near = connections.accept().await;
        near.write_all(b"at last").await.unwrap();
        let mut heard = [0; 7];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"at last");
    }

    #[tokio::test]
    async fn one_on_which_nothing_happens_ends_and_another_doesnt() {
        let mut connections = listen().await;
        let (mut far, mut near) = pair(&mut connections).await;
        // From here on time passes when the test says so: sockets would be late.
        tokio::time::pause();
        for _ in 0..3 {
            tokio::time::advance(QUIET - Duration::from_secs(1)).await;
            far.write_all(b"x").await.unwrap();
            near.readable().await;
            let mut byte = [0; 1];
            near.read_exact(&mut byte).await.unwrap();
        }
        tokio::time::advance(QUIET + Duration::from_millis(1)).await;
        let error = near.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn handshakes_that_take_their_time_hold_up_nobody_for_long() {
        let dir = std::env::temp_dir().join(format!("metalbond-connections-{}", std::process::id()));
        let (held, client) = tls(&dir).await;
        let mut connections = Connections::of(TcpListener::bind("127.0.0.1:0").await.unwrap(), held);
        let addr = connections.listener.local_addr().unwrap();
        let mut silent = Vec::new();
        for _ in 0..HANDSHAKES_MAX {
            silent.push(TcpStream::connect(addr).await.unwrap());
        }
        let good = tokio::spawn(async move {
            let name = "localhost".try_into().unwrap();
            client.connect(name, TcpStream::connect(addr).await.unwrap()).await.unwrap()
        });
        // The others have taken all places, and leave them again.
        while connections.handshakes.len() < HANDSHAKES_MAX {
            assert!(timeout(Duration::from_millis(20), connections.accept()).await.is_err());
        }
        assert_eq!(connections.room.available_permits(), MAX);
        let mut near = connections.accept().await;
        near.write_all(b"at last").await.unwrap();
        near.flush().await.unwrap();
        let mut heard = [0; 7];
        good.await.unwrap().read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"at last");
        drop(silent);
        std::fs::remove_dir_all(dir).unwrap();
    }

    /// A certificate for `localhost`, and who believes it.
    async fn tls(dir: &std::path::Path) -> (watch::Receiver<Held>, tokio_rustls::TlsConnector) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        std::fs::create_dir_all(dir).unwrap();
        let (cert_path, key_path) = (dir.join("cert"), dir.join("key"));
        std::fs::write(&cert_path, cert.pem()).unwrap();
        std::fs::write(&key_path, signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key_path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let http = HttpArgs { http_tls_cert: Some(cert_path), http_tls_key: Some(key_path), ..HttpArgs::default() };
        let files = Files { role: Role::Server, tls: TlsArgs::default(), is_anonymous: false, http };
        let mut roots = rustls::RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(crate::tls::provider());
        let client = client.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        (Holder::read(files, &mut Reading::default()).await.unwrap().watch(), Arc::new(client).into())
    }

    impl Connection {
        /// Waits until something is there to be read, in real time.
        async fn readable(&self) {
            let Stream::Plain(stream) = &self.stream else { panic!("it is plain") };
            stream.readable().await.unwrap();
        }
    }
}
