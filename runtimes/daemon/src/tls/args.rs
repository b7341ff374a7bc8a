//! The arguments for TLS: the files with certificates and keys.

use std::path::PathBuf;

use clap::Args;

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsArgs {
    /// A PEM file with the certificate to present to peers, followed by the intermediate certificates. A server that has one
    /// accepts only TLS, except at --listen-plain. All TLS files are read again when they change
    #[arg(long, value_name = "FILE", env = "METALBOND_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// A PEM file with the certificate's private key, readable by its owner only
    #[arg(long, value_name = "FILE", env = "METALBOND_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A PEM file with CA certificates. Peers must have a certificate that one of these CAs has signed. A client that has
    /// this file uses TLS with all its servers, whose certificates must be for the HOST that was given
    #[arg(long, value_name = "FILE", env = "METALBOND_TLS_CA")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// A PEM file with the certificate revocation list of each of these CAs
    #[arg(long, value_name = "FILE", env = "METALBOND_TLS_CRL")]
    pub(crate) tls_crl: Option<PathBuf>,
}

impl TlsArgs {
    /// Checks that the arguments are complete.
    pub(crate) fn check(&self) -> Result<(), String> {
        together(("--tls-cert", &self.tls_cert), ("--tls-key", &self.tls_key))?;
        needs(("--tls-cert", &self.tls_cert), ("--tls-ca", &self.tls_ca))?;
        needs(("--tls-crl", &self.tls_crl), ("--tls-ca", &self.tls_ca))
    }

    /// Checks the same for a server, which always needs a certificate.
    pub(crate) fn check_server(&self) -> Result<(), String> {
        needs(("--tls-ca", &self.tls_ca), ("--tls-cert", &self.tls_cert))?;
        self.check()
    }

    /// Returns true if TLS is used.
    pub(crate) fn is_on(&self) -> bool {
        self.tls_ca.is_some()
    }
}

type Given<'a> = (&'a str, &'a Option<PathBuf>);

/// Checks that both arguments are given or neither.
pub(crate) fn together(one: Given<'_>, other: Given<'_>) -> Result<(), String> {
    needs(one, other)?;
    needs(other, one)
}

fn needs((name, given): Given<'_>, (other, needed): Given<'_>) -> Result<(), String> {
    match (given, needed) {
        (Some(_), None) => Err(format!("{name}: {other} is missing, and it has no effect without it")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(names: &str) -> TlsArgs {
        let file = |name: &str| names.split(' ').any(|given| given == name).then(|| name.into());
        TlsArgs { tls_cert: file("cert"), tls_key: file("key"), tls_ca: file("ca"), tls_crl: file("crl") }
    }

    #[test]
    fn an_incomplete_set_of_files_names_the_missing_one() {
        let missing = |what: &str, other: &str| {
            Err(format!("--tls-{what}: --tls-{other} is missing, and it has no effect without it"))
        };
        for (given, of_client, of_server) in [
            ("", Ok(()), Ok(())),
            ("cert key ca", Ok(()), Ok(())),
            ("cert key ca crl", Ok(()), Ok(())),
            ("ca", Ok(()), missing("ca", "cert")),
            ("cert ca", missing("cert", "key"), missing("cert", "key")),
            ("key ca", missing("key", "cert"), missing("ca", "cert")),
            ("cert key", missing("cert", "ca"), missing("cert", "ca")),
            ("crl", missing("crl", "ca"), missing("crl", "ca")),
        ] {
            assert_eq!(args(given).check(), of_client, "{given}");
            assert_eq!(args(given).check_server(), of_server, "{given}");
        }
    }
}
