//! The connections of the HTTP side. Their number is limited, and an idle connection is closed, so that readers that
//! stay connected or stop reading can't use up the process's descriptors. Connections in a TLS handshake have a limit
//! and a shorter timeout of their own.

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
use crate::tls::Secrets;

/// Maximum number of connections. More of them wait in the system's backlog until one ends.
const MAX: usize = 256;
/// Idle timeout of a connection. Longer than the time between two heartbeats of an event stream or between two scrapes.
const QUIET: Duration = Duration::from_secs(75);
/// Maximum number of connections in a TLS handshake.
const HANDSHAKES_MAX: usize = 64;
/// Timeout of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long the listener waits after a failure to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// A listener with a maximum number of connections.
#[derive(Debug)]
pub(super) struct Connections {
    listener: TcpListener,
    room: Arc<Semaphore>,
    secrets: watch::Receiver<Secrets>,
    /// `None` as a result means that the handshake failed.
    handshakes: JoinSet<Option<Stream>>,
    /// True if the last attempt to accept a connection failed, which has been logged.
    has_failed: bool,
}

impl Connections {
    pub(super) fn of(listener: TcpListener, secrets: watch::Receiver<Secrets>) -> Self {
        let (room, handshakes) = (Arc::new(Semaphore::new(MAX)), JoinSet::new());
        Self { listener, room, secrets, handshakes, has_failed: false }
    }

    /// Returns the next connection that is ready for HTTP. Can be cancelled.
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
                    // The current certificate, which may have been renewed since the last connection.
                    let Some(tls) = self.secrets.borrow().web() else { break Stream::Plain(stream) };
                    self.handshakes.spawn(shake(TlsAcceptor::from(tls), stream));
                }
            }
        };
        Connection { stream, quiet: Box::pin(sleep(QUIET)), _permit: permit }
    }
}

/// Accepts a connection. Tries again after errors such as a lack of descriptors, and logs the first error of a series.
async fn take(listener: &TcpListener, has_failed: &mut bool) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if std::mem::take(has_failed) {
                    info!("HTTP: accepting connections again");
                }
                return stream;
            }
            // The error concerns only that connection.
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

/// A connection that fails with a timeout after [`QUIET`] without activity.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    quiet: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Restarts the idle timer if `done` is ready; otherwise returns a timeout error once the timer has expired.
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
            // TLS buffers what the socket doesn't accept, so a pending flush counts as waiting.
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
    use crate::tls::{Files, SecretStore, TlsArgs};

    async fn listen() -> Connections {
        let (_, secrets) = watch::channel(Secrets::default());
        Connections::of(TcpListener::bind("127.0.0.1:0").await.unwrap(), secrets)
    }

    async fn pair(connections: &mut Connections) -> (TcpStream, Connection) {
        let far = TcpStream::connect(connections.listener.local_addr().unwrap()).await.unwrap();
        (far, connections.accept().await)
    }

    #[tokio::test]
    async fn connections_over_the_maximum_wait_until_one_ends() {
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
        let mut received = [0; 7];
        far.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"at last");
    }

    #[tokio::test]
    async fn an_idle_connection_ends_and_an_active_one_stays() {
        let mut connections = listen().await;
        let (mut far, mut near) = pair(&mut connections).await;
        // From here on the test advances time by itself; before, sockets need real time.
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
    async fn slow_handshakes_delay_other_connections_only_briefly() {
        let dir = std::env::temp_dir().join(format!("metalbond-connections-{}", std::process::id()));
        let (secrets, client) = tls(&dir).await;
        let mut connections = Connections::of(TcpListener::bind("127.0.0.1:0").await.unwrap(), secrets);
        let addr = connections.listener.local_addr().unwrap();
        let mut silent = Vec::new();
        for _ in 0..HANDSHAKES_MAX {
            silent.push(TcpStream::connect(addr).await.unwrap());
        }
        let good = tokio::spawn(async move {
            let name = "localhost".try_into().unwrap();
            client.connect(name, TcpStream::connect(addr).await.unwrap()).await.unwrap()
        });
        // The other handshakes time out one after the other.
        while connections.handshakes.len() < HANDSHAKES_MAX {
            assert!(timeout(Duration::from_millis(20), connections.accept()).await.is_err());
        }
        assert_eq!(connections.room.available_permits(), MAX);
        let mut near = connections.accept().await;
        near.write_all(b"at last").await.unwrap();
        near.flush().await.unwrap();
        let mut received = [0; 7];
        good.await.unwrap().read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"at last");
        drop(silent);
        std::fs::remove_dir_all(dir).unwrap();
    }

    /// Returns a certificate for `localhost`, and a connector that trusts it.
    async fn tls(dir: &std::path::Path) -> (watch::Receiver<Secrets>, tokio_rustls::TlsConnector) {
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
        (SecretStore::read(files, &mut Reading::default()).await.unwrap().watch(), Arc::new(client).into())
    }

    impl Connection {
        /// Waits in real time until data can be read.
        async fn readable(&self) {
            let Stream::Plain(stream) = &self.stream else { panic!("it is plain") };
            stream.readable().await.unwrap();
        }
    }
}
