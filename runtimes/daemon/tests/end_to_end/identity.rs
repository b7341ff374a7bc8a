//! Certificates in files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use metalbond_conformance::Identity;

use crate::config::Dir;

impl Dir {
    /// Writes a file that only its owner may read.
    pub(crate) fn put_secret(&self, name: &str, text: &str) -> String {
        let (path, new) = (self.path(name), self.path("new secret"));
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }

    /// Writes the files `NAME.crt` and `NAME.key`.
    pub(crate) fn put_identity(&self, name: &str, identity: &Identity) -> [String; 2] {
        [self.put(&format!("{name}.crt"), &identity.cert()), self.put_secret(&format!("{name}.key"), &identity.key())]
    }
}
