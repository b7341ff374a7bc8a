//! A client's table, computed from the lines that it prints.

use std::collections::BTreeSet;

use crate::process::Process;

/// A client whose lines are followed. Every line must change the table: adding an existing route or removing a missing
/// one fails the test.
pub(crate) struct Follower {
    pub(crate) process: Process,
    table: BTreeSet<String>,
}

impl Follower {
    pub(crate) fn new(process: Process) -> Self {
        Self { process, table: BTreeSet::new() }
    }

    /// Applies the next line.
    pub(crate) fn step(&mut self) -> String {
        let line = self.process.line();
        let (sign, route) = line.split_at_checked(2).unwrap_or_default();
        let is_change = match sign {
            "+ " => self.table.insert(route.to_owned()),
            "- " => self.table.remove(route),
            _ => panic!("not a change of a route: {line:?}"),
        };
        assert!(is_change, "{line:?} changes nothing in {:#?}", self.table);
        line
    }

    /// Applies lines until the table is as expected.
    pub(crate) fn until<S: AsRef<str>>(&mut self, routes: &[S]) {
        let wanted: BTreeSet<String> = routes.iter().map(|route| route.as_ref().to_owned()).collect();
        while self.table != wanted {
            self.step();
        }
    }

    /// Applies the next line, which must be this one, so nothing else was printed before it.
    pub(crate) fn expect(&mut self, line: &str) {
        assert_eq!(self.step(), line);
    }

    /// Returns the client's current table.
    pub(crate) fn table(&self) -> &BTreeSet<String> {
        &self.table
    }
}
