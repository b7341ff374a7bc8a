//! Certificates that are made while a test runs, in PEM for a program's files, and rustls configurations with them, for mutual
//! authentication with TLS 1.3.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationList, CertificateRevocationListParams,
    CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use time::OffsetDateTime;

/// A certificate authority. Peers with a certificate of it trust each other.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
#[derive(Debug)]
pub struct Identity {
    certificate: Certificate,
    key: KeyPair,
    serial: SerialNumber,
}

impl Identity {
    /// Returns the certificate in PEM.
    pub fn cert(&self) -> String {
        self.certificate.pem()
    }

    /// Returns the key in PEM.
    pub fn key(&self) -> String {
        self.key.serialize_pem()
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.der().clone()]
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

impl Authority {
    /// Makes a new authority with a name of its own, which no peer trusts yet.
    pub fn new() -> Self {
        let key = key();
        Self::with(&format!("authority {:x?}", &key.public_key_raw()[1..9]), key)
    }

    /// Makes a new authority with this name.
    pub fn named(name: &str) -> Self {
        Self::with(name, key())
    }

    fn with(name: &str, key: KeyPair) -> Self {
        let mut params = CertificateParams::new([]).expect("there are no names to be wrong");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate can be made"))
    }

    /// Returns the authority's own certificate in PEM.
    pub fn cert(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate with these names: DNS names, addresses, and URIs.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.sign(params(names))
    }

    /// Issues a certificate that is valid for this number of days. If the number is negative, the certificate has expired.
    pub fn issue_for(&self, names: &[&str], days: i64) -> Identity {
        let mut params = params(names);
        params.not_after = in_days(days);
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Identity {
        let key = key();
        let serial = SerialNumber::from_slice(&key.public_key_raw()[1..17]);
        params.serial_number = Some(serial.clone());
        let certificate = params.signed_by(&key, &self.0).expect("a certificate can be made");
        Identity { certificate, key, serial }
    }

    /// Returns the configuration of a server that has this certificate, and requires one of this authority from its clients.
    pub fn server(&self, identity: &Identity) -> Arc<ServerConfig> {
        self.server_without(identity, &[])
    }

    /// Returns the same as [`server`](Self::server), with some certificates revoked.
    pub fn server_without(&self, identity: &Identity, revoked: &[&Identity]) -> Arc<ServerConfig> {
        let clients = WebPkiClientVerifier::builder_with_provider(self.trusted(), provider())
            .with_crls([self.list(revoked).der().clone()])
            .build()
            .expect("there is an authority");
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has it")
            .with_client_cert_verifier(clients)
            .with_single_cert(identity.chain(), identity.key_der())
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
            .with_client_auth_cert(identity.chain(), identity.key_der())
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

    /// Returns a list of revoked certificates in PEM.
    pub fn revoke(&self, revoked: &[&Identity]) -> String {
        self.list(revoked).pem().expect("a list can be written")
    }

    fn list(&self, revoked: &[&Identity]) -> CertificateRevocationList {
        let revoked = revoked.iter().map(|identity| RevokedCertParams {
            serial_number: identity.serial.clone(),
            revocation_time: date_time_ymd(2001, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2001, 1, 1),
            next_update: in_days(1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).expect("a list can be made")
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

fn in_days(days: i64) -> OffsetDateTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let secs = i64::try_from(since.as_secs()).expect("it is not that late") + days * 24 * 60 * 60;
    OffsetDateTime::from_unix_timestamp(secs).expect("it is a few days from now")
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the system has randomness")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
