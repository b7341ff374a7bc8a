//! Routes of this program's protocol number that are not its own, by the commands that remove them. Each is named once.

use std::collections::BTreeSet;

/// The most routes that are remembered.
const STRAYS_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Strays {
    known: BTreeSet<String>,
    /// Those that have not been taken.
    fresh: Vec<String>,
}

impl Strays {
    pub(crate) fn add(&mut self, command: String) {
        if self.known.len() < STRAYS_MAX && self.known.insert(command.clone()) {
            self.fresh.push(command);
        }
    }

    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fresh)
    }
}
