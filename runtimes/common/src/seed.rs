//! The node's seed: from the operating system's randomness, unless the embedder chose one.

use std::hash::{BuildHasher, RandomState};

use metalbond::Config;

/// The configuration with a random seed in place of 0, so that nobody can foresee how its hash maps fill or when it
/// dials again.
pub fn seeded(mut config: Config) -> Config {
    if config.seed == 0 {
        // The standard library's hash keys are random; this saves a dependency.
        config.seed = RandomState::new().hash_one(0);
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_seed_stays_and_a_missing_one_is_drawn() {
        assert_eq!(seeded(Config { seed: 7, ..Config::default() }).seed, 7);
        assert_ne!(seeded(Config::default()).seed, seeded(Config::default()).seed);
    }
}
