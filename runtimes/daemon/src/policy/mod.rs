//! The policy file: what the peers of a server may do.

mod explain;
mod warnings;

use std::path::{Path, PathBuf};

use clap::Args;
use metalbond::Policy;
use tracing::{info, warn};

use crate::position::Position;
use crate::reading::Reading;
use crate::reload::Round;
use crate::secret;

pub(crate) use explain::{Question, explain};
pub(crate) use warnings::warnings;

/// Why a policy file is invalid: the file, the line and column if there is one, and the reason.
#[derive(PartialEq, Eq, Debug, thiserror::Error)]
#[error("--policy {0}")]
pub(crate) struct BadPolicy(String);

#[derive(Args, Clone, Debug)]
pub(crate) struct PolicyArgs {
    /// A TOML file with rules on what peers may do. A peer that no rule permits anything is refused. Without a policy, every
    /// peer may do everything. The file is read again on SIGHUP and when it changes
    #[arg(long, value_name = "FILE", env = "METALBOND_POLICY", help_heading = "Policy")]
    pub(crate) policy: Option<PathBuf>,
}

/// Reads a policy.
///
/// # Errors
///
/// All that is wrong.
pub(crate) fn read(path: &Path, reading: &mut Reading) -> Result<Policy, BadPolicy> {
    let bad = |text: String| BadPolicy(text);
    let bytes = secret::read(path, reading).map_err(|why| bad(why.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| bad(format!("{}: it is not text (UTF-8)", path.display())))?;
    let policy = toml::from_str::<Policy>(&text).map_err(|error| {
        let place = error.span().map(|span| format!(":{}", Position::of(&text, span.start))).unwrap_or_default();
        bad(format!("{}{place}: {}", path.display(), error.message().trim().replace('\n', "; ")))
    })?;
    check(&policy).map_err(|why| bad(format!("{}: {why}", path.display())))?;
    Ok(policy)
}

/// Reads the policy at the start, on another thread than the one of the sessions.
pub(crate) async fn read_first(path: PathBuf, reading: &mut Reading) -> Result<Policy, BadPolicy> {
    let policy = reading.on_a_thread(move |reading| read(&path, reading)).await?;
    info!("policy: {} rules", policy.rules().len());
    for warning in warnings(&policy) {
        warn!("policy: {warning}");
    }
    Ok(policy)
}

/// Reads the policy again when it may have changed. Returns `None` if it is invalid; then the old policy stays.
pub(crate) async fn read_again(path: PathBuf, round: &mut Round) -> Option<Policy> {
    match read_first(path, &mut round.reading).await {
        Ok(policy) => Some(policy),
        Err(why) => {
            round.fail(format_args!("the policy stays unchanged: {why}"));
            None
        }
    }
}

/// Checks for rules that are valid TOML but make no sense.
fn check(policy: &Policy) -> Result<(), String> {
    for (at, rule) in policy.rules().iter().enumerate() {
        if rule.who.is_empty() {
            return Err(format!("rule '{}': 'who' is empty, so the rule matches no peer", rule.name));
        }
        if policy.rules()[..at].iter().any(|other| other.name == rule.name) {
            return Err(format!("rule '{}': another one has this name", rule.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> String {
        let path = std::env::temp_dir().join(format!("metalbond-policy-{}-{}.toml", std::process::id(), text.len()));
        std::fs::write(&path, text).unwrap();
        let BadPolicy(error) = read(&path, &mut Reading::default()).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        error.strip_prefix(path.to_str().unwrap()).unwrap().to_owned()
    }

    #[test]
    fn an_error_names_the_line_and_the_column() {
        for (text, expected) in [
            ("[[peer]]\nname = 'a'\nwho = ['dns:*']\n", ":3:8: \"dns:*\" is not a peer like"),
            ("[[peer]]\nname = 'a'\nwho = ['any']\nsubscribe = ['7-5']\n", ":4:13: \"7-5\" is not VNIs like"),
            ("[[peer]]\nname = 'a'\nwho = ['any']\nsubscripe = 'all'\n", ":4:1: unknown field `subscripe`"),
            ("[[peer]]\nwho = ['any']\n", ":1:1: missing field `name`"),
            ("peer = 7\n", ":1:8: invalid type: integer `7`"),
            ("[[peer]]\nname = 'a'\nwho = ['any']\n[[peer.announce]]\nvnis = 'all'\nprefixes = ['10/8']\n", ":6:12:"),
            (
                "[[peer]]\nname = 'a'\nwho = ['any']\n[[peer.announce]]\nprefixes = 'all'\n",
                ":4:1: missing field `vnis`",
            ),
            ("[[peer]]\nname = 'a'\nwho = []\n", ": rule 'a': 'who' is empty"),
            (
                "[[peer]]\nname='a'\nwho=['any']\n[[peer]]\nname='a'\nwho=['any']\n",
                ": rule 'a': another one has this name",
            ),
            ("[[peer]\n", ":1:8:"),
        ] {
            let error = error_of(text);
            assert!(error.starts_with(expected), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_file_without_rules_is_the_policy_that_denies_all() {
        assert_eq!(toml::from_str::<Policy>("").unwrap(), Policy::default());
    }
}
