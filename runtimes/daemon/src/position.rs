//! Lines and columns of a text, for messages about a file.

use std::fmt;

/// A position in a text: line and column start at 1, and columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Position {
    line: usize,
    column: usize,
}

impl Position {
    /// Returns the position of the character that starts at byte `at`, or of the end of the text if no character starts
    /// there.
    pub(crate) fn of(text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        // A byte order mark is not counted as a column.
        let before = before.strip_prefix('\u{feff}').unwrap_or(before);
        let (lines, last) =
            before.rsplit_once('\n').map_or((0, before), |(rest, last)| (rest.matches('\n').count() + 1, last));
        Self { line: lines + 1, column: last.chars().count() + 1 }
    }
}

impl fmt::Display for Position {
    /// Writes `line:column`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_columns_in_characters() {
        let text = "\u{feff}a = 1\nb\u{e4}c = 2\n";
        let at = |part| Position::of(text, text.find(part).unwrap()).to_string();
        assert_eq!([at("a"), at("1"), at("b"), at("c"), at("2")], ["1:1", "1:5", "2:1", "2:3", "2:7"]);
        assert_eq!(Position::of(text, text.len()).to_string(), "3:1");
        assert_eq!(Position::of(text, 1000).to_string(), "3:1", "the end");
        assert_eq!(Position::of("", 0).to_string(), "1:1");
    }
}
