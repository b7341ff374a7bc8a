//! The contents of the certificate and token files. They are read at the start and when the files change. The
//! [`SecretStore`] owns them and sends updates to the other tasks. An invalid file changes nothing.

use std::path::Path;
use std::sync::Arc;

use metalbond_tokio::TlsConfig;
use rustls::ServerConfig;
use tokio::sync::watch;

use super::TlsArgs;
use super::config;
use super::expiry::Expiry;
use super::own::Own;
use super::trust::Trust;
use crate::api::Role;
use crate::http::HttpArgs;
use crate::reading::Reading;
use crate::reload::Round;
use crate::secret::BadFile;
use crate::token::Token;

/// The files to read.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) role: Role,
    pub(crate) tls: TlsArgs,
    /// True if clients without a certificate are accepted.
    pub(crate) is_anonymous: bool,
    pub(crate) http: HttpArgs,
}

/// The contents of the files that are configured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    peers: Option<Peers>,
    web: Option<Web>,
    pub(crate) token: Option<Arc<Token>>,
}

/// TLS of the protocol.
#[derive(Clone, Debug)]
struct Peers {
    config: TlsConfig,
    own: Option<Expiry>,
    revocation: Option<Expiry>,
}

/// TLS of HTTP.
#[derive(Clone, Debug)]
struct Web {
    config: Arc<ServerConfig>,
    own: Expiry,
}

impl Secrets {
    /// Returns the TLS configuration of the node.
    pub(crate) fn peers(&self) -> Option<TlsConfig> {
        self.peers.as_ref().map(|peers| peers.config.clone())
    }

    /// Returns the TLS configuration of HTTP, if it uses TLS.
    pub(crate) fn web(&self) -> Option<Arc<ServerConfig>> {
        self.web.as_ref().map(|web| Arc::clone(&web.config))
    }

    /// Returns the daemon's own certificates, each with its purpose.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = (&'static str, &Expiry)> {
        let peers = self.peers.as_ref().and_then(|peers| peers.own.as_ref());
        let web = self.web.as_ref().map(|web| &web.own);
        peers.map(|own| ("peers", own)).into_iter().chain(web.map(|own| ("http", own)))
    }

    pub(super) fn revocation(&self) -> Option<&Expiry> {
        self.peers.as_ref()?.revocation.as_ref()
    }
}

impl Files {
    /// Returns true if any file is configured.
    fn are_there(&self) -> bool {
        self.tls.is_on() || self.http.http_tls_cert.is_some() || self.http.http_token.is_some()
    }

    fn peers(&self, reading: &mut Reading) -> Result<Option<Peers>, BadFile> {
        let TlsArgs { tls_cert, tls_key, tls_ca: Some(ca), tls_crl } = &self.tls else { return Ok(None) };
        let own = tls_cert.as_deref().zip(tls_key.as_deref()).map(|(cert, key)| Own::read(cert, key, reading));
        let own = own.transpose()?;
        let trust = Trust::read(ca, tls_crl.as_deref(), reading)?;
        let of_lists = |why: String| BadFile::new(tls_crl.as_deref().unwrap_or(ca), why);
        let config = match (self.role, &own) {
            (Role::Server, Some(own)) => {
                let server = config::server(own, &trust, self.is_anonymous).map_err(of_lists)?;
                TlsConfig { server: Some(server), client: None }
            }
            (Role::Server, None) => TlsConfig::default(),
            (Role::Client, own) => {
                let client = config::client(own.as_ref(), &trust).map_err(of_lists)?;
                TlsConfig { server: None, client: Some(client) }
            }
        };
        Ok(Some(Peers { config, own: own.map(|own| own.expiry), revocation: trust.expiry }))
    }

    fn web(&self, reading: &mut Reading) -> Result<Option<Web>, BadFile> {
        let Some((cert, key)) = self.http.http_tls_cert.as_deref().zip(self.http.http_tls_key.as_deref()) else {
            return Ok(None);
        };
        let own = Own::read(cert, key, reading)?;
        Ok(Some(Web { config: config::web(&own), own: own.expiry }))
    }

    fn token(&self, reading: &mut Reading) -> Result<Option<Arc<Token>>, BadFile> {
        self.http.http_token.as_deref().map(|path: &Path| Token::read(path, reading).map(Arc::new)).transpose()
    }

    fn read(&self, reading: &mut Reading) -> Result<Secrets, BadFile> {
        Ok(Secrets { peers: self.peers(reading)?, web: self.web(reading)?, token: self.token(reading)? })
    }

    /// Reads the files again. Returns the new contents, in which invalid files are replaced by their old contents, and
    /// the errors.
    fn read_over(&self, mut secrets: Secrets, reading: &mut Reading) -> (Secrets, Vec<BadFile>) {
        let mut errors = Vec::new();
        keep(&mut secrets.peers, self.peers(reading), &mut errors);
        keep(&mut secrets.web, self.web(reading), &mut errors);
        keep(&mut secrets.token, self.token(reading), &mut errors);
        (secrets, errors)
    }
}

fn keep<T>(old: &mut T, new: Result<T, BadFile>, errors: &mut Vec<BadFile>) {
    match new {
        Ok(new) => *old = new,
        Err(error) => errors.push(error),
    }
}

/// Owns the contents of the files.
#[derive(Debug)]
pub(crate) struct SecretStore {
    files: Files,
    secrets: watch::Sender<Secrets>,
}

impl SecretStore {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// The first invalid file.
    pub(crate) async fn read(files: Files, reading: &mut Reading) -> Result<Self, BadFile> {
        let read = files.clone();
        // Files are read on another thread than the one of the sessions, because a file system may be slow. Without
        // files no thread is needed.
        let secrets = match files.are_there() {
            true => reading.on_a_thread(move |reading| read.read(reading)).await?,
            false => Secrets::default(),
        };
        Ok(Self { files, secrets: watch::Sender::new(secrets) })
    }

    /// Reads the files again. Invalid files keep their old contents. Returns the node's new TLS configuration.
    pub(crate) async fn read_again(&self, round: &mut Round) -> Option<TlsConfig> {
        if !self.files.are_there() {
            return None;
        }
        let (files, secrets) = (self.files.clone(), self.secrets.borrow().clone());
        let (secrets, errors) = round.reading.on_a_thread(move |reading| files.read_over(secrets, reading)).await;
        for error in errors {
            round.fail(format_args!("what was read before stays in use: {error}"));
        }
        let peers = secrets.peers();
        self.secrets.send_replace(secrets);
        peers
    }

    /// Returns the current contents.
    pub(crate) fn current(&self) -> Secrets {
        self.secrets.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Secrets> {
        self.secrets.subscribe()
    }
}
