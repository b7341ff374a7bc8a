//! The modules of the core depend on each other in one direction: a module names only those that [`ORDER`] permits.
//!
//! The sources are read as text. Comments and strings may name anything; tests inside a module follow the same rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The vocabulary: settings, errors, and small types. Every module may name them; they name each other.
const VOCABULARY: &[&str] = &[
    "announcer",
    "backoff",
    "change",
    "close",
    "comma_list",
    "config",
    "error",
    "histogram",
    "host",
    "kind_set",
    "limits",
    "list",
    "prefix",
    "rate_limit",
    "serde",
    "splitmix",
    "time",
    "types",
];

/// The modules beside the vocabulary, each with those that it may name.
const ORDER: &[(&str, &[&str])] = &[
    // Collections without long calls.
    ("pieces", &[]),
    ("bits", &[]),
    ("chunked", &["pieces"]),
    ("pool", &["bits", "chunked", "pieces"]),
    ("index", &["pieces"]),
    ("intern", &["index", "pool"]),
    ("wire", &[]),
    ("session", &["wire"]),
    ("rib", &["bits", "chunked", "index", "intern", "pieces", "pool"]),
    ("policy", &[]),
    ("fib", &["intern"]),
    ("node", &["wire", "session", "rib", "policy"]),
    // The settings of a node contain its policy, and a rule may replace a limit.
    ("config", &["policy"]),
    ("limits", &["policy"]),
];

/// What a route table must not know: connections, time, and where a peer comes from.
const NOT_IN_RIB: &[&str] = &["ConnId", "HostAddr", "Instant", "SocketAddr"];

#[test]
fn each_module_names_only_those_before_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let root = fs::read_to_string(src.join("lib.rs")).unwrap();
    let crate_root = Root::read(&root);
    let mut found = String::new();
    for path in rust_files(&src) {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.strip_prefix(&src).unwrap();
        for Violation { line, what } in check(file, &text, &crate_root) {
            writeln!(found, "src/{}:{line}: {what}", file.display()).unwrap();
        }
    }
    assert!(found.is_empty(), "these modules name later ones:\n{found}");
}

#[test]
fn every_module_of_the_core_has_a_place_in_the_order() {
    let root = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let known = |module: &String| VOCABULARY.contains(&module.as_str()) || ORDER.iter().any(|(name, _)| name == module);
    let unknown: Vec<_> = Root::read(&root).modules.into_iter().filter(|module| !known(module)).collect();
    assert!(unknown.is_empty(), "ORDER does not say which modules {unknown:?} may name");
}

/// The crate's root: its modules, and the module that each exported name comes from.
#[derive(Default)]
struct Root {
    modules: BTreeSet<String>,
    exports: BTreeMap<String, String>,
}

impl Root {
    fn read(text: &str) -> Self {
        let tokens = tokens(text);
        let mut root = Self::default();
        for (at, token) in tokens.iter().enumerate() {
            match token.text.as_str() {
                "mod" => root.modules.extend(tokens.get(at + 1).map(|name| name.text.clone())),
                "use" if at > 0 && tokens[at - 1].text == "pub" => {
                    let module = tokens[at + 1].text.clone();
                    root.exports.extend(exported(&tokens[at + 2..]).into_iter().map(|name| (name, module.clone())));
                }
                _ => {}
            }
        }
        root
    }

    /// Returns the module that a path from the crate's root leads into.
    fn module_of(&self, name: &str) -> Option<&str> {
        if self.modules.contains(name) {
            return self.modules.get(name).map(String::as_str);
        }
        self.exports.get(name).map(String::as_str)
    }
}

/// Returns the last names of the paths of a `use`, up to its `;`.
fn exported(tokens: &[Token]) -> Vec<String> {
    let end = tokens.iter().position(|token| token.text == ";").unwrap_or(tokens.len());
    let is_last = |at: usize| tokens[..end].get(at + 1).is_none_or(|next| [",", "}"].contains(&next.text.as_str()));
    let names = (0..end).filter(|&at| tokens[at].is_name() && is_last(at));
    names.map(|at| tokens[at].text.clone()).collect()
}

#[derive(PartialEq, Eq, Debug)]
struct Violation {
    line: usize,
    what: String,
}

/// Returns what a file of `src` names against the order.
fn check(file: &Path, text: &str, root: &Root) -> Vec<Violation> {
    let path = module_path(file);
    let Some(module) = path.first() else { return Vec::new() };
    let later = ORDER.iter().find(|(name, _)| name == module).map_or(&[][..], |(_, may_name)| may_name);
    let may_name = |other: &str| other == module || VOCABULARY.contains(&other) || later.contains(&other);
    let tokens = tokens(text);
    let mut violations = Vec::new();
    for Name { line, name } in root_names(&tokens, path.len()) {
        if name == "*" {
            violations.push(Violation { line, what: format!("{module} names everything in the crate's root") });
        } else if let Some(other) = root.module_of(&name)
            && !may_name(other)
        {
            let of = if other == name { String::new() } else { format!(" (of {other})") };
            violations.push(Violation { line, what: format!("{module} names {name}{of}") });
        }
    }
    if module == "rib" {
        let unfit = tokens.iter().filter(|token| NOT_IN_RIB.contains(&token.text.as_str()));
        violations.extend(unfit.map(|token| Violation { line: token.line, what: format!("rib names {}", token.text) }));
    }
    violations.sort_by(|a, b| (a.line, &a.what).cmp(&(b.line, &b.what)));
    violations.dedup();
    violations
}

/// Returns a file's module as a path from the crate's root: `rib/mod.rs` is `rib`, `rib/table.rs` is `rib::table`.
fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<String> = file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    path.pop_if(|last| last == "mod" || last == "lib");
    path
}

/// A name right below the crate's root.
struct Name {
    line: usize,
    name: String,
}

/// Returns the names that follow `crate::`, or as many `super::` as lead to the crate's root, in a file whose module is
/// `depth` steps below it.
fn root_names(tokens: &[Token], depth: usize) -> Vec<Name> {
    let mut names = Vec::new();
    // For each inline module, how many braces were open before it.
    let (mut inline, mut braces) = (Vec::new(), 0_usize);
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                inline.pop_if(|before| *before == braces);
            }
            "mod" if tokens.get(at + 2).is_some_and(|token| token.text == "{") => inline.push(braces),
            "crate" if is_path(tokens, at) => names_below(&tokens[at + 2..], &mut names),
            "super" if at == 0 || tokens[at - 1].text != "::" => {
                let steps =
                    tokens[at..].chunks(2).take_while(|step| step[0].text == "super" && is_path(step, 0)).count();
                if steps >= depth + inline.len() {
                    names_below(&tokens[at + 2 * steps..], &mut names);
                }
            }
            _ => {}
        }
        at += 1;
    }
    names
}

fn is_path(tokens: &[Token], at: usize) -> bool {
    tokens.get(at + 1).is_some_and(|token| token.text == "::")
}

/// Adds the first names of a path, which are several if it is a list in braces.
fn names_below(tokens: &[Token], names: &mut Vec<Name>) {
    let Some(first) = tokens.first() else { return };
    if first.text != "{" {
        names.push(Name { line: first.line, name: first.text.clone() });
        return;
    }
    let (mut braces, mut is_first) = (1, true);
    for token in &tokens[1..] {
        match token.text.as_str() {
            "{" => braces += 1,
            "}" => braces -= 1,
            "," if braces == 1 => is_first = true,
            name if is_first && braces == 1 => {
                names.push(Name { line: token.line, name: name.to_owned() });
                is_first = false;
            }
            _ => {}
        }
        if braces == 0 {
            break;
        }
    }
}

#[derive(Debug)]
struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Splits a source into names, `::` and single characters. Comments, strings and characters are left out.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut line, mut at) = (Vec::new(), 1, 0);
    while let Some(&c) = chars.get(at) {
        let rest = &chars[at..];
        let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
        let taken = match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => string(rest),
            ['r', '"' | '#', ..] | ['b', 'r', '"' | '#', ..] if raw_string(rest).is_some() => raw_string(rest).unwrap(),
            ['\'', '\\', ..] => 3 + rest[3..].iter().position(|c| *c == '\'').unwrap_or(0),
            ['\'', _, '\'', ..] => 3,
            [':', ':', ..] => {
                tokens.push(Token { line, text: "::".into() });
                2
            }
            _ if is_word(&c) => {
                let len = rest.iter().take_while(|c| is_word(c)).count();
                tokens.push(Token { line, text: rest[..len].iter().collect() });
                len
            }
            _ => {
                if !c.is_whitespace() {
                    tokens.push(Token { line, text: c.into() });
                }
                1
            }
        };
        let taken = taken.clamp(1, rest.len());
        line += rest[..taken].iter().filter(|c| **c == '\n').count();
        at += taken;
    }
    tokens
}

fn block_comment(chars: &[char]) -> usize {
    let (mut at, mut open) = (0, 0);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (at, open) = (at + 2, open + 1),
            ['*', '/', ..] => (at, open) = (at + 2, open - 1),
            _ => at += 1,
        }
        if open == 0 {
            break;
        }
    }
    at
}

fn string(chars: &[char]) -> usize {
    let mut at = 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Returns the length of a raw string, if there is one.
fn raw_string(chars: &[char]) -> Option<usize> {
    let start = chars.iter().position(|c| *c == 'r')? + 1;
    let hashes = chars[start..].iter().take_while(|c| **c == '#').count();
    if chars.get(start + hashes) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &chars[start + hashes + 1..];
    let len = body.windows(end.len()).position(|window| window == end)?;
    Some(start + hashes + 1 + len + end.len())
}

/// Returns the Rust files below a folder, in order.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let files = entries.into_iter().flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

mod checker {
    use super::*;

    const ROOT: &str = "mod config; mod types; mod wire; mod rib; mod session; mod policy; pub mod fib; mod node;
        pub use node::{Node, inner::{Counters}, Announcer as Origin};
        pub use policy::Policy;
        pub use types::{ConnId, Vni};";

    /// Returns the lines on which a file breaks the order, each with what it says.
    fn found(file: &str, text: &str) -> Vec<(usize, String)> {
        let violations = check(Path::new(file), text, &Root::read(ROOT));
        violations.into_iter().map(|violation| (violation.line, violation.what)).collect()
    }

    #[test]
    fn a_module_and_a_type_of_a_later_module_are_found_with_their_line() {
        let named = |name: &str| vec![(2, format!("wire names {name}"))];
        assert_eq!(found("wire/mod.rs", "\nuse crate::node;"), named("node"));
        assert_eq!(found("wire/mod.rs", "\nuse crate::node::Node;"), named("node"));
        assert_eq!(found("wire/frame.rs", "\nuse crate::Node;"), named("Node (of node)"));
        assert_eq!(found("wire/frame.rs", "\nfn f(_: &crate::Policy) {}"), named("Policy (of policy)"));
        assert_eq!(found("wire.rs", "\nuse crate::{Vni, Node};"), named("Node (of node)"));
        assert_eq!(found("wire.rs", "\nuse crate::{Vni, rib::{self, Table}};"), named("rib"));
        assert_eq!(found("wire.rs", "\nuse crate::Counters;"), named("Counters (of node)"));
        assert_eq!(found("wire.rs", "\nuse crate::Origin;"), named("Origin (of node)"));
        assert_eq!(found("wire.rs", "\npub(crate) use crate::session;"), named("session"));
        assert_eq!(found("wire.rs", "use crate::{\n    rib,\n    Node,\n};").len(), 2);
    }

    #[test]
    fn super_is_followed_to_the_crates_root() {
        assert_eq!(found("rib/table.rs", "use super::super::node;"), [(1, "rib names node".into())]);
        assert_eq!(found("rib/mod.rs", "use super::wire::Frame;"), [(1, "rib names wire".into())]);
        assert_eq!(
            found("rib/table.rs", "mod tests { use super::super::super::node::Node; }"),
            [(1, "rib names node".into())]
        );
        assert_eq!(found("rib/table.rs", "mod tests { use super::super::node; } use super::node;"), []);
        assert_eq!(found("rib/mod.rs", "use super::*;"), [(1, "rib names everything in the crate's root".into())]);
    }

    #[test]
    fn earlier_modules_and_the_module_itself_may_be_named() {
        for (file, text) in [
            ("session/mod.rs", "use crate::wire::Frame; use crate::{ConnId, Vni};"),
            ("node/mod.rs", "use crate::{Policy, rib, session, wire};"),
            ("node/server/mod.rs", "use crate::node::Node; use crate::Counters;"),
            ("config.rs", "use crate::{Policy, Vni};"),
            ("lib.rs", "pub use node::Node;"),
            ("wire.rs", "use super_node::crate_node; struct Node;"),
        ] {
            assert_eq!(found(file, text), [], "{file}: {text}");
        }
        assert_eq!(found("node/mod.rs", "use crate::fib::Fib;"), [(1, "node names fib".into())]);
        assert_eq!(found("session/mod.rs", "use crate::rib;"), [(1, "session names rib".into())]);
        assert_eq!(found("types.rs", "use crate::{Policy, wire};").len(), 2);
    }

    #[test]
    fn a_route_table_knows_no_connection_and_no_time_wherever_the_type_comes_from() {
        assert_eq!(found("rib/table.rs", "use crate::{Vni, ConnId};"), [(1, "rib names ConnId".into())]);
        assert_eq!(found("rib/table.rs", "fn f(_: core::net::SocketAddr) {}"), [(1, "rib names SocketAddr".into())]);
        assert_eq!(found("session/mod.rs", "use crate::ConnId;"), []);
    }

    #[test]
    fn comments_strings_and_characters_name_nothing() {
        for text in [
            "//! See [`Node`](crate::Node).",
            "/* crate::node /* crate::node */ crate::node */",
            r##"const A: &str = "crate::node \" crate::node";"##,
            r###"const A: &str = r#"crate::node " crate::node"#;"###,
            "const A: [char; 2] = ['\"', '\\'']; // crate::node",
        ] {
            assert_eq!(found("wire.rs", text), [], "{text}");
        }
        assert_eq!(found("wire.rs", "fn f<'a>(_: &'a str) {}\nuse crate::node;"), [(2, "wire names node".into())]);
        assert_eq!(found("wire.rs", "const A: &str = \"\n\n\"; use crate::node;"), [(3, "wire names node".into())]);
        assert_eq!(found("wire.rs", "const A: char = '\"'; use crate::node;"), [(1, "wire names node".into())]);
    }
}
