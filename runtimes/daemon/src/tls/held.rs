//! What a daemon holds of its files: read at the start, and again when they change. One has it, and sends the others what is new;
//! a file that is no good changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use metalbond_tokio::TlsConfig;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::error;

use super::TlsArgs;
use super::config;
use super::expiry::Expiry;
use super::own::Own;
use super::trust::Trust;
use crate::api::Role;
use crate::http::HttpArgs;
use crate::secret::BadFile;
use crate::token::Token;

/// Which files there are.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) role: Role,
    pub(crate) tls: TlsArgs,
    /// Clients that show no certificate are let in.
    pub(crate) is_anonymous: bool,
    pub(crate) http: HttpArgs,
}

/// What they say, as far as there are any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    peers: Option<Peers>,
    web: Option<Web>,
    pub(crate) token: Option<Arc<Token>>,
}

/// For the protocol.
#[derive(Clone, Debug)]
struct Peers {
    config: TlsConfig,
    own: Option<Expiry>,
    revocation: Option<Expiry>,
}

/// For HTTP.
#[derive(Clone, Debug)]
struct Web {
    config: Arc<ServerConfig>,
    own: Expiry,
}

impl Held {
    /// What the node is to be told.
    pub(crate) fn peers(&self) -> Option<TlsConfig> {
        self.peers.as_ref().map(|peers| peers.config.clone())
    }

    /// How HTTP speaks TLS, if it does.
    pub(crate) fn web(&self) -> Option<Arc<ServerConfig>> {
        self.web.as_ref().map(|web| Arc::clone(&web.config))
    }

    /// The own certificates, by what they are used for.
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
    /// Those whose changes count.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let Self { tls, http, .. } = self;
        let all = [&tls.tls_cert, &tls.tls_key, &tls.tls_ca, &tls.tls_crl];
        let all = all.into_iter().chain([&http.http_tls_cert, &http.http_tls_key, &http.http_token]);
        all.flatten().cloned().collect()
    }

    fn peers(&self) -> Result<Option<Peers>, BadFile> {
        let TlsArgs { tls_cert, tls_key, tls_ca: Some(ca), tls_crl } = &self.tls else { return Ok(None) };
        let own = tls_cert.as_deref().zip(tls_key.as_deref()).map(|(cert, key)| Own::read(cert, key)).transpose()?;
        let trust = Trust::read(ca, tls_crl.as_deref())?;
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

    fn web(&self) -> Result<Option<Web>, BadFile> {
        let Some((cert, key)) = self.http.http_tls_cert.as_deref().zip(self.http.http_tls_key.as_deref()) else {
            return Ok(None);
        };
        let own = Own::read(cert, key)?;
        Ok(Some(Web { config: config::web(&own), own: own.expiry }))
    }

    fn token(&self) -> Result<Option<Arc<Token>>, BadFile> {
        self.http.http_token.as_deref().map(|path: &Path| Token::read(path).map(Arc::new)).transpose()
    }

    fn read(&self) -> Result<Held, BadFile> {
        Ok(Held { peers: self.peers()?, web: self.web()?, token: self.token()? })
    }

    /// What is good of it is new, the rest as before; and what is wrong.
    fn read_over(&self, mut held: Held) -> (Held, Vec<BadFile>) {
        let mut errors = Vec::new();
        keep(&mut held.peers, self.peers(), &mut errors);
        keep(&mut held.web, self.web(), &mut errors);
        keep(&mut held.token, self.token(), &mut errors);
        (held, errors)
    }
}

fn keep<T>(old: &mut T, new: Result<T, BadFile>, errors: &mut Vec<BadFile>) {
    match new {
        Ok(new) => *old = new,
        Err(error) => errors.push(error),
    }
}

/// Who has it.
#[derive(Debug)]
pub(crate) struct Holder {
    files: Files,
    held: watch::Sender<Held>,
}

impl Holder {
    /// Reads the files.
    ///
    /// # Errors
    /// The first that is no good.
    pub(crate) async fn read(files: Files) -> anyhow::Result<Self> {
        let read = files.clone();
        // Without files there is no need for a thread; with them, not on that of the sessions: a file may be far away.
        let held =
            if files.paths().is_empty() { Held::default() } else { spawn_blocking(move || read.read()).await?? };
        Ok(Self { files, held: watch::Sender::new(held) })
    }

    /// Reads them again. What is no good is logged. Returns what the node is to be told.
    pub(crate) async fn read_again(&self) -> Option<TlsConfig> {
        if self.files.paths().is_empty() {
            return None;
        }
        let (files, held) = (self.files.clone(), self.held.borrow().clone());
        // An error says that the runtime ends.
        let (held, errors) = spawn_blocking(move || files.read_over(held)).await.ok()?;
        for error in errors {
            error!("what was read before stays in use: {error}");
        }
        let peers = held.peers();
        self.held.send_replace(held);
        peers
    }

    /// What is held now.
    pub(crate) fn held(&self) -> Held {
        self.held.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Held> {
        self.held.subscribe()
    }
}
