//! What a handle's methods can fail with.

use metalbond::ApiMisuse;

use crate::EndpointError;

/// Why a command did not succeed.
///
/// A caller that only wants something to be so can treat [`ApiMisuse::AlreadySubscribed`],
/// [`ApiMisuse::AlreadyAnnounced`] and their like as success.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command asks for what can't be.
    #[error("{0}")]
    Misuse(ApiMisuse),
    /// The text is not `host:port`.
    #[error("{0}")]
    Endpoint(#[from] EndpointError),
    /// The node is shutting down, or gone.
    #[error("the node is shut down")]
    Closed,
}

impl From<ApiMisuse> for Error {
    /// [`ApiMisuse::Closed`] becomes [`Error::Closed`]: that a node is closed has one name.
    fn from(misuse: ApiMisuse) -> Self {
        match misuse {
            ApiMisuse::Closed => Self::Closed,
            other => Self::Misuse(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misuses_are_told_apart_and_closed_has_one_name() {
        assert_eq!(Error::from(ApiMisuse::NoSuchRoute), Error::Misuse(ApiMisuse::NoSuchRoute));
        assert_eq!(Error::from(ApiMisuse::Closed), Error::Closed);
        assert_eq!(Error::from(ApiMisuse::AlreadySubscribed).to_string(), "already subscribed");
    }
}
