//! The HTTP token. A request that contains it may read everything.

use std::fmt;
use std::path::Path;

use axum::http::HeaderValue;
use subtle::ConstantTimeEq as _;

use crate::reading::Reading;
use crate::secret::{self, BadFile};

/// Minimum length: 96 bits, if the token is random and in base64.
const LEN_MIN: usize = 16;
/// Maximum length, to detect a file of another kind.
const LEN_MAX: usize = 1024;

/// A token. Its text is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(Box<str>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// Reads a file that contains a token on a single line.
    pub(crate) fn read(path: &Path, reading: &mut Reading) -> Result<Self, BadFile> {
        Self::parse(&secret::read_secret(path, reading)?).map_err(|why| BadFile::new(path, why))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let token = bytes.trim_ascii();
        match str::from_utf8(token) {
            Ok(text) if token.iter().all(u8::is_ascii_graphic) => match text.len() {
                LEN_MIN..=LEN_MAX => Ok(Self(text.into())),
                len => Err(format!("a token of {len} characters; it must have {LEN_MIN} to {LEN_MAX}")),
            },
            _ => Err("not a token: it must be one word of visible ASCII characters".to_owned()),
        }
    }

    /// Returns true if an `Authorization` header contains the token. The time that this takes depends only on the
    /// token's length.
    pub(crate) fn is_shown_by(&self, authorization: &[u8]) -> bool {
        let Some((scheme, token)) = authorization.split_at_checked("Bearer ".len()) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(token.trim_ascii().ct_eq(self.0.as_bytes()))
    }

    /// Returns the `Authorization` header that contains the token.
    pub(crate) fn authorization(&self) -> HeaderValue {
        // A token consists of visible ASCII characters.
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).expect("a token fits into a header");
        value.set_sensitive(true);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_not_short() {
        let token = Token::parse(b" 0123456789abcdef\r\n").unwrap();
        assert!(token.is_shown_by(b"Bearer 0123456789abcdef"));
        assert_eq!(token.authorization(), "Bearer 0123456789abcdef");
        for text in [&b""[..], b"0123456789abcde", b"0123456789 abcdef", b"0123456789abcd\xff\xfe", &[b'x'; 1025]] {
            let why = Token::parse(text).unwrap_err();
            assert!(why.contains("token") && !why.contains("0123"), "{why}");
        }
    }

    #[test]
    fn only_the_whole_token_is_accepted() {
        let token = Token::parse(b"0123456789abcdef").unwrap();
        assert!(token.is_shown_by(b"bearer  0123456789abcdef"));
        for other in ["", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0", "0123456789abcdef"]
        {
            assert!(!token.is_shown_by(other.as_bytes()), "{other}");
        }
        assert!(!token.is_shown_by(b"Basic  0123456789abcdef"));
    }

    #[test]
    fn a_token_is_not_in_the_debug_output() {
        let token = Token::parse(b"0123456789abcdef").unwrap();
        assert_eq!(format!("{token:?} {:?}", token.authorization()), "Token(..) Sensitive");
    }
}
