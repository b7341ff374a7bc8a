//! docs/messages.md against the sources: each message of the code is in the page, and each message of the page is in the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where messages are made besides `warn!` and `error!`: errors of the start, reasons for the end of a session, reports.
const MADE_IN: &[&str] = &[
    "src/close.rs",
    "src/error.rs",
    "src/fib/report.rs",
    "runtimes/driver/src/endpoint.rs",
    "runtimes/driver/src/listen_error.rs",
    "runtimes/driver/src/start.rs",
    "runtimes/driver/src/tls/engine.rs",
    "runtimes/driver/src/tls/words.rs",
    "runtimes/linux/src/error.rs",
    "runtimes/linux/src/worker.rs",
    "runtimes/daemon/src/announce_file.rs",
    "runtimes/daemon/src/client/mod.rs",
    "runtimes/daemon/src/config/file.rs",
    "runtimes/daemon/src/config/renamed.rs",
    "runtimes/daemon/src/go_flags.rs",
    "runtimes/daemon/src/http/server.rs",
    "runtimes/daemon/src/inspect/client.rs",
    "runtimes/daemon/src/install.rs",
    "runtimes/daemon/src/policy/mod.rs",
    "runtimes/daemon/src/policy/warnings.rs",
    "runtimes/daemon/src/record.rs",
    "runtimes/daemon/src/reload.rs",
    "runtimes/daemon/src/secret.rs",
    "runtimes/daemon/src/server/mod.rs",
    "runtimes/daemon/src/spec.rs",
    "runtimes/daemon/src/systemd.rs",
    "runtimes/daemon/src/tls/args.rs",
    "runtimes/daemon/src/tls/config.rs",
    "runtimes/daemon/src/tls/secrets.rs",
    "runtimes/daemon/src/tls/own.rs",
    "runtimes/daemon/src/tls/pem.rs",
    "runtimes/daemon/src/tls/trust.rs",
    "runtimes/daemon/src/token.rs",
    "runtimes/daemon/src/client/wanted.rs",
];

/// What a text stands behind in these files. White space may follow.
const MADE_BY: &[&str] = &[
    "=>",
    "=> {",
    "=> return write!(f,",
    "write!(f,",
    "write!(\n                    f,",
    "f.write_str(",
    "format!(",
    "format_args!(",
    "Err(",
    "bail!(",
    ".context(",
    "#[error(",
    "trouble(now,",
    ".trouble(self.now(),",
];

/// Texts that are no warning and no error of a server or client.
const NOT_MESSAGES: &[&str] = &[
    // Parts of other messages, which the page has as `...`.
    "; did you mean '...'?",
    " (--install-routes ...#TABLE)",
    "--rt-proto '...'",
    "--exclude-type '...'",
    "--prefer-network '...'",
    "--nexthop-ids '...-...'",
    // At level INFO.
    "... in table ... is in effect now",
    "... in table ... is installed for VNI ... now: no lower VNI has it any more",
    "servers +... -..., ",
    "subscriptions +... -..., ",
    "announcements +... -...",
    // The status that systemd shows.
    "... of ... peers established, ... routes in ... VNIs",
    // Errors of the library's calls, which a server or client does not make.
    "there can be no more ...",
    "configured peers",
    "not subscribed",
    "there is a peer with this endpoint",
    "no such peer",
    "no packet can be sent to the next hop: it is ...",
];

#[test]
fn the_page_of_messages_has_each_message_of_the_code_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut made: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |text: &str, file: &Path| {
        let text = fixed(text);
        if text.trim().contains(' ') && text.chars().filter(|c| c.is_alphabetic()).count() >= 7 {
            let file = file.strip_prefix(&root).unwrap().display().to_string();
            made.entry(text).or_default().insert(file);
        }
    };
    for package in ["driver", "tokio", "smol", "linux", "daemon"] {
        for file in sources(&root.join("runtimes").join(package).join("src")) {
            let code = code(&file);
            for macro_name in ["warn!(", "error!("] {
                // The first text of the call: fields have none.
                for call in code.split(macro_name).skip(1) {
                    add(&text_of(&call[call.find('"').unwrap()..]), &file);
                }
            }
        }
    }
    for file in MADE_IN {
        let file = root.join(file);
        let code = code(&file);
        for before in MADE_BY {
            for after in code.split(before).skip(1) {
                if after.trim_start().starts_with('"') {
                    add(&text_of(after.trim_start()), &file);
                }
            }
        }
    }
    for text in NOT_MESSAGES {
        assert!(made.remove(*text).is_some(), "the code has no {text:?} any more: remove it from NOT_MESSAGES");
    }

    let page = std::fs::read_to_string(root.join("docs/messages.md")).unwrap();
    let mut said: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, line) in page.lines().enumerate() {
        let Some(cell) = line.strip_prefix("| `").and_then(|rest| rest.split("` | ").next()) else { continue };
        // Several messages may share a cause.
        for text in cell.split("`, `") {
            let again = said.insert(text, at + 1);
            assert_eq!(again, None, "docs/messages.md has {text:?} twice");
        }
    }
    let mut wrong = String::new();
    for (text, files) in made.iter().filter(|(text, _)| !said.contains_key(text.as_str())) {
        writeln!(wrong, "docs/messages.md lacks {text:?}, of {files:?}").unwrap();
    }
    for (text, line) in said.iter().filter(|(text, _)| !made.contains_key(**text)) {
        writeln!(wrong, "docs/messages.md:{line}: the code has no {text:?}").unwrap();
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(made.len() > 150, "only {} messages were found", made.len());
}

/// A text with `...` for each value that is put in.
fn fixed(text: &str) -> String {
    let text = text.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let mut parts = text.split('{');
    let mut fixed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        fixed += "...";
        fixed += part.split_once('}').map_or(part, |(_, rest)| rest);
    }
    fixed.replace('\u{1}', "{").replace('\u{2}', "}")
}

/// The text literal at the start of `code`.
fn text_of(code: &str) -> String {
    let mut text = String::new();
    let mut rest = code.strip_prefix('"').unwrap().chars().peekable();
    while let Some(c) = rest.next().filter(|c| *c != '"') {
        match c {
            '\\' => match rest.next() {
                Some('\n') => while rest.next_if(|c| c.is_whitespace()).is_some() {},
                Some('n') => text.push('\n'),
                escaped => text.extend(escaped),
            },
            c => text.push(c),
        }
    }
    text
}

/// A source without its unit tests.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned()
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("testing.rs") {
            files.push(path);
        }
    }
    files
}
