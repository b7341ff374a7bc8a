//! The CAs that a daemon trusts, and their revocation lists.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::parse_x509_crl;
use x509_parser::x509::X509Version;

use super::expiry::Expiry;
use super::pem;
use crate::reading::Reading;
use crate::secret::BadFile;

/// The trust anchors and revocation lists for one kind of peer.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    pub(super) roots: Arc<RootCertStore>,
    pub(super) revoked: Vec<CertificateRevocationListDer<'static>>,
    /// The time until which the revocation lists are up to date.
    pub(super) expiry: Option<Expiry>,
}

impl Trust {
    pub(super) fn read(ca: &Path, crl: Option<&Path>, reading: &mut Reading) -> Result<Self, BadFile> {
        let mut roots = RootCertStore::empty();
        for (n, cert) in cas(ca, reading)?.into_iter().enumerate() {
            roots.add(cert).map_err(|_| BadFile::new(ca, format!("its certificate {} is no good X.509", n + 1)))?;
        }
        let (mut revoked, mut expiry) = (Vec::new(), None);
        if let Some(crl) = crl {
            revoked = pem::items(crl, reading, "revocation list")?;
            expiry = next_update(crl, &revoked)?.map(|not_after| Expiry { path: crl.to_owned(), not_after });
        }
        Ok(Self { roots: Arc::new(roots), revoked, expiry })
    }
}

/// Reads the certificates of a file with CAs.
pub(crate) fn cas(path: &Path, reading: &mut Reading) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    pem::items(path, reading, "certificate")
}

/// Returns the time at which the first of the lists is out of date, in seconds since 1970.
fn next_update(path: &Path, lists: &[CertificateRevocationListDer<'_>]) -> Result<Option<i64>, BadFile> {
    let mut first: Option<i64> = None;
    for (n, list) in lists.iter().enumerate() {
        let (_, parsed) = parse_x509_crl(list)
            .map_err(|_| BadFile::new(path, format!("its revocation list {} is no good X.509", n + 1)))?;
        if parsed.version() != Some(X509Version::V2) {
            let why = format!("its revocation list {} is of version 1, where 2 is needed: it has no extensions", n + 1);
            return Err(BadFile::new(path, why));
        }
        let next = parsed.next_update().map(|time| time.timestamp());
        first = first.into_iter().chain(next).min();
    }
    Ok(first)
}
