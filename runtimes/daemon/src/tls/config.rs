//! Configurations of rustls.

use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use super::own::Own;
use super::provider;
use super::trust::Trust;

/// Returns the configuration of a server's listeners. With `is_anonymous`, clients without a certificate are accepted.
///
/// # Errors
///
/// Returns in words what is wrong with the revocation lists.
pub(super) fn server(own: &Own, trust: &Trust, is_anonymous: bool) -> Result<Arc<ServerConfig>, String> {
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&trust.roots), provider())
        .with_crls(trust.revoked.iter().cloned());
    let clients = if is_anonymous { clients.allow_unauthenticated() } else { clients };
    let clients = clients.build().map_err(words)?;
    let mut config = tls13_server().with_client_cert_verifier(clients).with_cert_resolver(Arc::new(single(own)));
    // No session resumption: a resumed session would skip the check of the certificate, and sessions are long anyway.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// Returns the configuration of a client's dials. The client may have no certificate.
///
/// # Errors
///
/// Returns in words what is wrong with the revocation lists.
pub(super) fn client(own: Option<&Own>, trust: &Trust) -> Result<Arc<ClientConfig>, String> {
    let servers = WebPkiServerVerifier::builder_with_provider(Arc::clone(&trust.roots), provider())
        .with_crls(trust.revoked.iter().cloned());
    let servers = servers.build().map_err(words)?;
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
    let config = config.expect("ring has what TLS 1.3 takes").with_webpki_verifier(servers);
    let mut config = match own {
        Some(own) => config.with_client_cert_resolver(Arc::new(single(own))),
        None => config.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Returns the configuration of HTTP, whose readers need no certificate.
pub(super) fn web(own: &Own) -> Arc<ServerConfig> {
    let mut config = tls13_server().with_no_client_auth().with_cert_resolver(Arc::new(single(own)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

fn tls13_server() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
    config.expect("ring has what TLS 1.3 takes")
}

fn single(own: &Own) -> SingleCertAndKey {
    own.key.clone().into()
}

fn words(error: VerifierBuilderError) -> String {
    match error {
        VerifierBuilderError::InvalidCrl(error) => format!("a revocation list is of no use: {error:?}"),
        other => other.to_string(),
    }
}
