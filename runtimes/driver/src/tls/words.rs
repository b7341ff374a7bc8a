//! Texts for the errors of rustls, which help an operator to mend their cause.

use rustls::{AlertDescription as Alert, CertificateError, Error, PeerIncompatible, Side};

/// Returns the reason why a connection failed. `first` is the first byte that was received, which shows whether the peer speaks TLS.
pub(super) fn words(error: &Error, side: Side, first: Option<u8>) -> Box<str> {
    let words = match error {
        Error::InvalidMessage(_) if first.is_some_and(|byte| !is_tls(byte)) => strange(side, first),
        Error::InvalidCertificate(error) => certificate(error, side),
        Error::NoCertificatesPresented => format!("the {} has shown no certificate", far(side)),
        Error::AlertReceived(alert) => refused(*alert, side),
        Error::PeerIncompatible(PeerIncompatible::SupportedVersionsExtensionRequired) => {
            format!("the {} does not speak TLS 1.3", far(side))
        }
        other => other.to_string(),
    };
    format!("TLS: {words}").into()
}

pub(super) fn far(side: Side) -> &'static str {
    match side {
        Side::Client => "server",
        Side::Server => "client",
    }
}

/// Returns true if a TLS record can begin with this byte: it is a content type (RFC 8446, section 5.1).
fn is_tls(byte: u8) -> bool {
    (0x14..=0x17).contains(&byte)
}

fn strange(side: Side, first: Option<u8>) -> String {
    match (side, first) {
        // Each frame begins with the protocol's version, 1.
        (Side::Server, Some(1)) => "plain MetalBond, where TLS is spoken".into(),
        (Side::Server, _) => "something else than TLS came, where TLS is spoken".into(),
        (Side::Client, _) => "the server does not speak TLS".into(),
    }
}

/// Returns the text for an error of the peer's certificate.
fn certificate(error: &CertificateError, side: Side) -> String {
    let problem = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired: it has to be renewed, if this host's clock is right".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet: is this host's clock right?".into()
        }
        CertificateError::Revoked => "has been revoked".into(),
        CertificateError::UnknownIssuer => "is signed by no CA that this node trusts".into(),
        // The authority was made again, with the same name and another key.
        CertificateError::BadSignature => "is signed with another key than that of the authority of this name".into(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented = if presented.is_empty() { "no name".into() } else { presented.join(", ") };
            format!("is not for {}, but for {presented}", expected.to_str())
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("is not meant for a {} (extended key usage)", far(side))
        }
        CertificateError::UnknownRevocationStatus => {
            "may be revoked or not: no revocation list of its issuer is known here".into()
        }
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            "may be revoked or not: the revocation list is out of date".into()
        }
        other => format!("is not valid: {other}"),
    };
    format!("the {}'s certificate {problem}", far(side))
}

/// Returns the text for an alert that the peer sent.
fn refused(alert: Alert, side: Side) -> String {
    let far = far(side);
    let problem = match alert {
        Alert::UnknownCA => "it is signed by no CA that the peer trusts",
        Alert::DecryptError => "its signature is wrong; the authority that is trusted there may have another key",
        Alert::CertificateExpired => "it has expired, or the clock there is wrong",
        Alert::CertificateRevoked => "it has been revoked",
        Alert::CertificateRequired => "none was shown, and one is required",
        Alert::BadCertificate => "it is not valid, or not for the name that was asked for",
        Alert::UnsupportedCertificate => "it is of a kind that is not taken there",
        Alert::CertificateUnknown | Alert::AccessDenied => "it is not accepted there",
        Alert::ProtocolVersion => return format!("the {far} does not speak TLS 1.3"),
        Alert::DecodeError => return format!("the {far} does not understand: it may not speak TLS here"),
        other => return format!("the {far} ended it: {other:?}"),
    };
    format!("the {far} refused this node's certificate: {problem}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_each_side_names_the_other() {
        let words = |error: &Error, side| words(error, side, Some(0x16));
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(
            &*words(&unknown, Side::Client),
            "TLS: the server's certificate is signed by no CA that this node trusts"
        );
        let revoked = Error::AlertReceived(Alert::CertificateRevoked);
        assert_eq!(
            &*words(&revoked, Side::Client),
            "TLS: the server refused this node's certificate: it has been revoked"
        );
        assert_eq!(&*words(&Error::NoCertificatesPresented, Side::Server), "TLS: the client has shown no certificate");
    }

    #[test]
    fn only_a_server_recognises_plain_metalbond() {
        let garbage = Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert_eq!(&*words(&garbage, Side::Server, Some(1)), "TLS: plain MetalBond, where TLS is spoken");
        assert_eq!(&*words(&garbage, Side::Client, Some(1)), "TLS: the server does not speak TLS");
        // The first byte is that of TLS.
        assert!(words(&garbage, Side::Server, Some(0x16)).contains("corrupt"));
    }
}
