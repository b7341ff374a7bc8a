//! Reads PEM files.

use std::path::Path;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{Error, PemObject};

use crate::reading::Reading;
use crate::secret::{self, BadFile};

/// Returns all items of a kind in a file; it is an error if there is none. `what` names the kind in errors.
pub(super) fn items<T: PemObject>(path: &Path, reading: &mut Reading, what: &str) -> Result<Vec<T>, BadFile> {
    let bytes = secret::read(path, reading)?;
    let items = T::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>().map_err(|error| bad(path, error))?;
    if items.is_empty() {
        return Err(BadFile::new(path, format!("there is no {what} in it, in PEM")));
    }
    Ok(items)
}

/// Returns the first private key of a file: PKCS#8, SEC1 or PKCS#1.
pub(super) fn key(path: &Path, reading: &mut Reading) -> Result<PrivateKeyDer<'static>, BadFile> {
    let bytes = secret::read_secret(path, reading)?;
    let is_encrypted = || bytes.windows(9).any(|window| window == b"ENCRYPTED");
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        Error::NoItemsFound if is_encrypted() => {
            BadFile::new(path, "its private key is encrypted, which is not supported")
        }
        Error::NoItemsFound => BadFile::new(path, "there is no private key in it, in PEM"),
        error => bad(path, error),
    })
}

/// Converts an error to text that contains no part of the file.
fn bad(path: &Path, error: Error) -> BadFile {
    let why = match error {
        Error::MissingSectionEnd { .. } => "a section has no end",
        Error::IllegalSectionStart { .. } => "a section has no good beginning",
        Error::Base64Decode(_) => "what is in a section is no base64",
        _ => "it can't be read",
    };
    BadFile::new(path, format!("no good PEM: {why}"))
}
