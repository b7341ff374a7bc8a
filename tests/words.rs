//! The words that code and documentation do not use any more, each with the term of the glossary that replaces it.
//!
//! The files are read as text: names, comments, messages and pages follow the same rule. A word with another meaning is
//! also found; reword such a sentence.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A word is searched in these folders: all files below them. The empty name is the top level, without its folders.
const ALL: &[&str] = &["", "src", "tests", "runtimes", "fuzz", "benches", "examples", "docs"];
/// All folders but `runtimes`, where old names of flags are still accepted.
const NOT_RUNTIMES: &[&str] = &["", "src", "tests", "fuzz", "benches", "examples", "docs"];

/// The words in lower case, their replacements, and the folders in which they must not occur.
const WORDS: &[(&str, &str, &[&str])] = &[
    ("lest", "'so that ... not', or a sentence with 'if'", ALL),
    ("bury", "'sweep', 'remove', or 'retire'", ALL),
    ("buried", "'swept', 'removed', or 'retired'", ALL),
    ("bed", "'park', or 'parked' for a cursor", ALL),
    ("census", "'sweep', or 'count'", ALL),
    ("crowd", "'limit' and 'over limit', or 'fleet' for many simulated hosts", ALL),
    ("farewell", "'withdrawal', 'shutdown', or 'drain'", ALL),
    ("dismiss", "'retain', or 'close'", ALL),
    ("dismissed", "'departed' for a client, 'retained' for its routes", ALL),
    ("embedder", "'application'", ALL),
    ("embedders", "'applications'", ALL),
    ("keep-out", "'ban', or 'ban time'", NOT_RUNTIMES),
    ("orphan", "'retained route'", ALL),
    ("told", "'advertised', 'sent' or 'received' for routes, 'reported' or 'logged' for the application", ALL),
    ("whom", "the thing's name: 'client', 'server', 'peer', 'subscriber', 'application'", ALL),
    ("whoever", "the thing's name: 'client', 'server', 'peer', 'subscriber', 'application'", ALL),
    ("somebody", "the thing's name: 'a client', 'a peer'", ALL),
];

/// The endings of the files that are read.
const ENDINGS: &[&str] = &["rs", "md", "py", "toml", "html", "yml", "yaml", "lua", "sh", "service"];
/// Folders that are left out: what is built, and data that was recorded once.
const LEFT_OUT: &[&str] = &["target", "recordings", "corpus"];
/// Files that are left out: a list of what has changed names old words, and so does this table.
const FILES_LEFT_OUT: &[&str] = &["CHANGELOG.md", "tests/words.rs"];

#[test]
fn code_and_documentation_use_the_words_of_the_glossary() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = String::new();
    for folder in ALL {
        let mut files = Vec::new();
        collect(root, Path::new(folder), &mut files);
        assert!(!files.is_empty(), "no files in '{folder}'");
        for file in files {
            let text =
                std::fs::read_to_string(root.join(&file)).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
            for (line, word, replacement) in old_words(folder, &text) {
                writeln!(found, "{}:{line}: '{word}': write {replacement}", file.display()).unwrap();
            }
        }
    }
    assert!(found.is_empty(), "words that the glossary replaces:\n{found}");
}

/// Adds the files in and below a folder, in order, as paths from the root. Of the root itself only its own files.
fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(root.join(folder)).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let (path, kind) = (folder.join(entry.file_name()), entry.file_type().unwrap());
        let name = entry.file_name().into_string().unwrap();
        if kind.is_dir() && !folder.as_os_str().is_empty() && !LEFT_OUT.contains(&name.as_str()) {
            collect(root, &path, files);
        }
        let is_text = path.extension().is_some_and(|ending| ENDINGS.iter().any(|e| ending == *e));
        if kind.is_file() && is_text && !FILES_LEFT_OUT.iter().any(|file| path == Path::new(file)) {
            files.push(path);
        }
    }
}

/// Returns the words in a file of this folder that are not used any more, each with its line and its replacement.
fn old_words(folder: &str, text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for (word, replacement, folders) in WORDS {
            if folders.contains(&folder) && has_word(&line, word) {
                found.push((n + 1, *word, *replacement));
            }
        }
    }
    found
}

/// Returns true if a line has the word, not as a part of another one. The words of a name with underscores are words.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
    })
}

mod checker {
    use super::old_words;

    fn found(folder: &str, text: &str) -> Vec<(usize, &'static str)> {
        old_words(folder, text).into_iter().map(|(line, word, _)| (line, word)).collect()
    }

    #[test]
    fn a_word_is_found_with_its_line_in_comments_messages_and_names() {
        assert_eq!(found("src", "\n// Reports it to the embedder."), [(2, "embedder")]);
        assert_eq!(found("docs", "Whoever\n\nCensus, farewell"), [(1, "whoever"), (3, "census"), (3, "farewell")]);
        assert_eq!(found("src", "fn a_farewell_is_sent() { panic!(\"Lest\") }"), [(1, "lest"), (1, "farewell")]);
        assert_eq!(found("tests", "struct Crowd;"), [(1, "crowd")]);
    }

    #[test]
    fn a_part_of_another_word_is_not_found() {
        assert_eq!(found("src", "the oldest test, an embedded bedrock, crowded"), []);
    }

    #[test]
    fn a_word_is_found_only_in_its_folders() {
        assert_eq!(found("docs", "`keep-out`"), [(1, "keep-out")]);
        assert_eq!(found("runtimes", "`keep-out`"), []);
    }
}
