//! The names in a certificate.

use std::net::IpAddr;
use std::sync::Arc;

use metalbond::PeerName;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// Returns the subject alternative names that count: DNS names, in lower case, URIs and addresses. A certificate that cannot be parsed has
/// none, but rustls has verified the certificate before.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Arc<[PeerName]> {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return Arc::new([]) };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Arc::new([]) };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<PeerName> {
    match name {
        GeneralName::DNSName(name) => Some(PeerName::Dns(name.to_ascii_lowercase().into())),
        GeneralName::URI(uri) => Some(PeerName::Uri((*uri).into())),
        GeneralName::IPAddress(bytes) => address(bytes).map(PeerName::Ip),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4().or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
