//! Certificates that are made while a test runs, and rustls configurations with them, for mutual authentication with TLS 1.3.

use std::sync::Arc;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A certificate authority. Peers with a certificate of it trust each other.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    serial: SerialNumber,
}

impl Authority {
    /// Makes a new authority, which no peer trusts yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("there are no names to be wrong");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Each authority has a name of its own.
        let key = key();
        params.distinguished_name.push(DnType::CommonName, format!("authority {:x?}", &key.public_key_raw()[1..9]));
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate can be made"))
    }

    /// Issues a certificate with these names: DNS names, addresses, and URIs.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.sign(params(names))
    }

    /// Issues a certificate that has expired.
    pub fn issue_expired(&self, names: &[&str]) -> Identity {
        let mut params = params(names);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Identity {
        let key = key();
        let serial = SerialNumber::from_slice(&key.public_key_raw()[1..17]);
        params.serial_number = Some(serial.clone());
        let certificate = params.signed_by(&key, &self.0).expect("a certificate can be made");
        let chain = vec![certificate.der().clone()];
        Identity { chain, key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(), serial }
    }

    /// Returns the configuration of a server that has this certificate, and requires one of this authority from its clients.
    pub fn server(&self, identity: &Identity) -> Arc<ServerConfig> {
        self.server_without(identity, &[])
    }

    /// Returns the same as [`server`](Self::server), with some certificates revoked.
    pub fn server_without(&self, identity: &Identity, revoked: &[&Identity]) -> Arc<ServerConfig> {
        let clients = WebPkiClientVerifier::builder_with_provider(self.trusted(), provider())
            .with_crls([self.revocations(revoked)])
            .build()
            .expect("there is an authority");
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has it")
            .with_client_cert_verifier(clients)
            .with_single_cert(identity.chain.clone(), identity.key.clone_key())
            .expect("the key is the certificate's");
        Arc::new(config)
    }

    /// Returns the configuration of a client that has this certificate, and requires one of this authority from its servers.
    pub fn client(&self, identity: &Identity) -> Arc<ClientConfig> {
        self.client_of(self, identity)
    }

    /// Returns the configuration of a client that has this certificate, and requires one of the authority `servers` from its servers.
    pub fn client_of(&self, servers: &Self, identity: &Identity) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has it")
            .with_root_certificates(servers.trusted())
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .expect("the key is the certificate's");
        Arc::new(config)
    }

    /// Returns the configuration of a client without a certificate.
    pub fn client_without_certificate(&self) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has it")
            .with_root_certificates(self.trusted())
            .with_no_client_auth();
        Arc::new(config)
    }

    fn trusted(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("it is an authority's");
        Arc::new(roots)
    }

    fn revocations(&self, revoked: &[&Identity]) -> CertificateRevocationListDer<'static> {
        let revoked = revoked.iter().map(|identity| RevokedCertParams {
            serial_number: identity.serial.clone(),
            revocation_time: date_time_ymd(2001, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2001, 1, 1),
            next_update: date_time_ymd(4001, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).expect("a list can be made").der().clone()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let (uris, names): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains("://"));
    let mut params = CertificateParams::new(names.into_iter().map(str::to_owned).collect::<Vec<_>>())
        .expect("names are written as names are");
    let uris = uris.into_iter().map(|uri| SanType::URI(Ia5String::try_from(uri).expect("URIs are ASCII")));
    params.subject_alt_names.extend(uris);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the system has randomness")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
