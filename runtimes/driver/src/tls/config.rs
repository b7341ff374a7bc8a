//! The configuration of TLS: complete configurations of rustls, and the connections that use them.

#[cfg(feature = "tls")]
use std::net::SocketAddr;
#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(feature = "tls")]
use rustls::pki_types::ServerName;
#[cfg(feature = "tls")]
use rustls::{ClientConfig, ServerConfig};

use super::Channel;
#[cfg(feature = "tls")]
use crate::tls::engine::Tls;

/// The protocol that clients of a listener speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    /// MetalBond over TCP.
    Plain,
    /// MetalBond over TLS.
    Tls,
}

/// The configuration of TLS of a node: complete configurations of rustls, with the certificates, the trusted authorities and the provider
/// of cryptography. [`MetalBond::set_tls`](crate::MetalBond::set_tls) has an example.
///
/// Configure mutual authentication (`with_client_cert_verifier`, `with_client_auth_cert`), so that each end knows the other, and TLS 1.3
/// only (`with_protocol_versions(&[&rustls::version::TLS13])`, unless rustls is built without 1.2). The node does not check this.
///
/// A client that comes back may resume its TLS session, and rustls then does not verify its certificate again: the `ServerConfig` remembers
/// the client. If the trusted authorities change, make a new `ServerConfig`, not a changed clone. With `send_tls13_tickets = 0` it
/// remembers no client.
#[cfg(feature = "tls")]
#[derive(Clone, Debug, Default)]
pub struct TlsConfig {
    /// The configuration for [`listen_tls`](crate::MetalBond::listen_tls).
    pub server: Option<Arc<ServerConfig>>,
    /// The configuration for dials. If there is one, every dial is over TLS, and the server has to prove the host in its endpoint.
    pub client: Option<Arc<ClientConfig>>,
}

/// Why [`MetalBond::set_tls`](crate::MetalBond::set_tls) failed. Nothing is changed then.
#[cfg(feature = "tls")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetTlsError {
    /// The configuration for a server or for a client would be added or removed. Only the start can set or omit each of them.
    #[error("TLS can be replaced, but neither added nor removed while the node runs")]
    FixedAtStart,
    /// The node is shut down, or about to be.
    #[error("the node is shut down")]
    Closed,
}

/// The configuration of TLS without the feature `tls`: there is none.
#[cfg(not(feature = "tls"))]
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsConfig;

#[cfg(feature = "tls")]
impl TlsConfig {
    /// Replaces the configuration that the node was started with.
    ///
    /// # Errors
    /// [`SetTlsError::FixedAtStart`] if one half of the configuration would be added or removed: a half that is added later would change
    /// dials from plain to TLS unnoticed, and one that is removed would change them back. Nothing is changed then.
    pub(crate) fn replace(&mut self, new: Self) -> Result<(), SetTlsError> {
        if (self.server.is_some(), self.client.is_some()) != (new.server.is_some(), new.client.is_some()) {
            return Err(SetTlsError::FixedAtStart);
        }
        *self = new;
        Ok(())
    }

    /// Returns true if there is a configuration for a listener.
    pub(crate) fn is_server(&self) -> bool {
        self.server.is_some()
    }

    /// Returns the channel of a connection that was accepted.
    ///
    /// # Errors
    /// If it should be TLS and there is no configuration, or if rustls refuses the configuration.
    pub(crate) fn accept(&self, transport: Transport) -> Result<Channel, Box<str>> {
        match (transport, &self.server) {
            (Transport::Plain, _) => Ok(Channel::plain()),
            (Transport::Tls, Some(config)) => Tls::server(Arc::clone(config)).map(Channel::tls),
            // Not reached: the node listens for TLS only with a configuration, which cannot be removed.
            (Transport::Tls, None) => Err("TLS: this node has no certificate for its listener".into()),
        }
    }

    /// Returns the channel of a connection that was dialled: TLS if there is a configuration for a client. The server has to prove the name
    /// or the address in `endpoint`, which is `host:port`.
    ///
    /// # Errors
    /// If no certificate can have that name, or if rustls refuses the configuration.
    pub(crate) fn connect(&self, endpoint: &str) -> Result<Channel, Box<str>> {
        let Some(config) = &self.client else { return Ok(Channel::plain()) };
        let name = server_name(endpoint).ok_or_else(|| format!("TLS: no certificate can be for {endpoint}"))?;
        Tls::client(Arc::clone(config), name).map(Channel::tls)
    }
}

#[cfg(not(feature = "tls"))]
impl TlsConfig {
    /// Returns true if there is a configuration for a listener: never without the feature `tls`.
    pub(crate) const fn is_server(&self) -> bool {
        false
    }

    /// Returns the channel of a connection that was accepted.
    ///
    /// # Errors
    /// If it should be TLS.
    pub(crate) fn accept(&self, transport: Transport) -> Result<Channel, Box<str>> {
        match transport {
            Transport::Plain => Ok(Channel::plain()),
            Transport::Tls => Err("TLS: this program is built without it".into()),
        }
    }

    /// Returns the channel of a connection that was dialled.
    ///
    /// # Errors
    /// None without the feature `tls`.
    pub(crate) fn connect(&self, _endpoint: &str) -> Result<Channel, Box<str>> {
        Ok(Channel::plain())
    }
}

#[cfg(feature = "tls")]
fn server_name(endpoint: &str) -> Option<ServerName<'static>> {
    if let Ok(addr) = endpoint.parse::<SocketAddr>() {
        return Some(ServerName::IpAddress(addr.ip().into()));
    }
    let (host, _port) = endpoint.rsplit_once(':')?;
    ServerName::try_from(host.to_owned()).ok()
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_server_has_to_prove_the_host_of_its_endpoint() {
        let name = |endpoint| server_name(endpoint).unwrap();
        let addr = |addr: &str| ServerName::IpAddress(addr.parse::<IpAddr>().unwrap().into());
        assert_eq!(name("server.example:4711"), ServerName::try_from("server.example").unwrap());
        assert_eq!(name("10.0.0.1:4711"), addr("10.0.0.1"));
        assert_eq!(name("[2001:db8::1]:4711"), addr("2001:db8::1"));
        assert_eq!(name("[fe80::1%2]:4711"), addr("fe80::1"));
        assert_eq!(server_name(&format!("{}:4711", "a".repeat(64))), None);
    }
}
