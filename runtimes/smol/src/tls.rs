//! TLS, as the embedder sets it.

use std::net::{SocketAddr, TcpListener};

use metalbond::ApiMisuse;
use metalbond_driver::{ListenError, Message as CommonMessage, TlsConfig, Transport};

use crate::MetalBond;

impl MetalBond {
    /// Replaces the configuration of TLS that the node was [started with](crate::StartOptions::tls), when certificates were renewed
    /// or revoked: new connections are by the new configuration, and those that are open stay. TLS belongs to the start, because
    /// a server that is dialled before it is there is dialled in plain text.
    ///
    /// [`listen_tls`](Self::listen_tls) listens by the half for a server; if there is one for a client, every dial is by it.
    ///
    /// Who the far ends are, by their certificates, is in [`SessionInfo::names`](crate::SessionInfo::names). Why a handshake fails is
    /// logged at both ends, in words; the node's own [`handshake_timeout`](crate::Config::handshake_timeout) and limits hold for them.
    ///
    /// # Errors
    /// [`ApiMisuse::FixedAtStart`] if a half would come or go: the node stays as it is; [`ApiMisuse::Closed`].
    ///
    /// ```no_run
    /// use std::sync::Arc;
    ///
    /// use metalbond_smol::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    /// use metalbond_smol::rustls::server::WebPkiClientVerifier;
    /// use metalbond_smol::rustls::version::TLS13;
    /// use metalbond_smol::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::CryptoProvider};
    /// use metalbond_smol::{Config, MetalBond, StartOptions, TlsConfig};
    ///
    /// /// `provider`: of aws-lc-rs or of ring, say. The others as they are in the files that a CA has written.
    /// fn secure(
    ///     provider: Arc<CryptoProvider>,
    ///     trusted: Arc<RootCertStore>,
    ///     chain: Vec<CertificateDer<'static>>,
    ///     key: PrivateKeyDer<'static>,
    /// ) -> Result<TlsConfig, Box<dyn std::error::Error>> {
    ///     let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&trusted), Arc::clone(&provider)).build()?;
    ///     let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
    ///         .with_protocol_versions(&[&TLS13])?
    ///         .with_client_cert_verifier(clients)
    ///         .with_single_cert(chain.clone(), key.clone_key())?;
    ///     let client = ClientConfig::builder_with_provider(provider)
    ///         .with_protocol_versions(&[&TLS13])?
    ///         .with_root_certificates(trusted)
    ///         .with_client_auth_cert(chain, key)?;
    ///     Ok(TlsConfig { server: Some(Arc::new(server)), client: Some(Arc::new(client)) })
    /// }
    ///
    /// # async fn run(read: impl Fn() -> Result<TlsConfig, Box<dyn std::error::Error>>) -> Result<(), Box<dyn std::error::Error>> {
    /// let (node, _) = MetalBond::start_with(Config::default(), StartOptions::default().tls(read()?))?;
    /// node.listen_tls("[::]:4711".parse()?).await?;
    /// node.add_peer("other-server.example:4711".parse()?).await?;
    /// // Later, when the files have changed:
    /// node.set_tls(read()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_tls(&self, config: TlsConfig) -> Result<(), ApiMisuse> {
        self.ask(|answer| CommonMessage::SetTls { config, answer }).await?
    }

    /// Listens for clients that speak TLS; else like [`listen`](Self::listen). A node may have listeners of both kinds.
    ///
    /// # Errors
    /// [`ListenError::NoTls`] if the node was started without a configuration for a server; those of `listen`.
    pub async fn listen_tls(&self, addr: SocketAddr) -> Result<SocketAddr, ListenError> {
        let transport = Transport::Tls;
        self.ask(|answer| CommonMessage::Listen { addr, transport, answer }).await.unwrap_or(Err(ListenError::Closed))
    }

    /// Listens for clients that speak TLS on a TCP socket that somebody else has bound: see [`listen_on`](Self::listen_on).
    ///
    /// # Errors
    /// [`ListenError::NoTls`] if the node was started without a configuration for a server; those of `listen_on`.
    pub async fn listen_tls_on(&self, listener: TcpListener) -> Result<SocketAddr, ListenError> {
        let transport = Transport::Tls;
        self.ask(|answer| CommonMessage::ListenOn { listener, transport, answer })
            .await
            .unwrap_or(Err(ListenError::Closed))
    }
}
