//! A daemon's own certificate chain with its private key.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::parse_x509_certificate;

use super::expiry::Expiry;
use super::{pem, provider};
use crate::reading::Reading;
use crate::secret::BadFile;

/// A certificate chain and the private key that belongs to it.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) key: CertifiedKey,
    pub(super) expiry: Expiry,
}

impl Own {
    pub(super) fn read(cert: &Path, key: &Path, reading: &mut Reading) -> Result<Self, BadFile> {
        let chain: Vec<CertificateDer<'static>> = pem::items(cert, reading, "certificate")?;
        let mut not_after = i64::MAX;
        for (n, one) in chain.iter().enumerate() {
            let (_, parsed) = parse_x509_certificate(one)
                .map_err(|_| BadFile::new(cert, format!("its certificate {} is no good X.509", n + 1)))?;
            not_after = not_after.min(parsed.validity().not_after.timestamp());
        }
        let signing = provider().key_provider.load_private_key(pem::key(key, reading)?);
        let signing = signing.map_err(|_| BadFile::new(key, "its private key is of no kind that TLS 1.3 takes"))?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                let why = format!("its private key is not that of the certificate in {}", cert.display());
                return Err(BadFile::new(key, why));
            }
            Err(error) => return Err(BadFile::new(cert, error.to_string())),
        }
        Ok(Self { key: certified, expiry: Expiry { path: cert.to_owned(), not_after } })
    }
}
