//! The node's seed: from the operating system's randomness, unless the application chose one.

use std::hash::{BuildHasher, RandomState};

use metalbond::Config;

/// Returns the configuration with a random seed in place of 0, so that no peer can foresee how the hash maps fill or when the node dials
/// again.
pub(crate) fn seeded(mut config: Config) -> Config {
    while config.seed == 0 {
        // Without the system's randomness, the keys of the standard library's hash maps are the best source.
        config.seed = getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(0));
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_seed_stays_and_a_missing_one_is_random() {
        assert_eq!(seeded(Config { seed: 7, ..Config::default() }).seed, 7);
        let (one, other) = (seeded(Config::default()).seed, seeded(Config::default()).seed);
        assert!(one != other && one != 0 && other != 0);
    }
}
