//! The part of the embedder's handle that says what peers may do.

use metalbond::{ApiMisuse, Command, Policy};

use crate::MetalBond;

impl MetalBond {
    /// Replaces the policy: what the peers that this node accepts may do; `None`: everything. It starts with that of its
    /// [`Config`](crate::Config). Those who are here are held to it as well, within some turns: what they announce and may not is
    /// withdrawn, whoever may do nothing is closed, and who may do more now begins a session anew.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    ///
    /// ```
    /// # use metalbond_smol::{Config, MetalBond, Policy, Rule};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (server, _) = MetalBond::start(Config::default())?;
    /// let readers = Rule { subscribe: "100-199".parse()?, ..Rule::new("readers", ["from:10.0.0.0/8".parse()?]) };
    /// server.set_policy(Some(Policy::new([readers]))).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_policy(&self, policy: Option<Policy>) -> Result<(), ApiMisuse> {
        self.want(Command::SetPolicy(policy)).await
    }
}
