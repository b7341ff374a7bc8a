//! The documentation as a whole: links lead somewhere, files that it names exist, and flags that it names are the program's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use metalbond_conformance::has_program;

use crate::config::Dir;
use crate::process::{Process, run};

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut missing = String::new();
    let mut count = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for (line, target) in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let found = match std::fs::read_to_string(&path) {
                Ok(text) => heading.is_empty() || headings(&text).contains(heading),
                Err(_) => path.is_dir() && heading.is_empty() || path.is_file() && heading.is_empty(),
            };
            if !found {
                writeln!(missing, "{}:{line}: {target}", shown(&page)).unwrap();
            }
        }
    }
    assert!(missing.is_empty(), "links that lead nowhere:\n{missing}");
    assert!(count > 150, "only {count} links were found");
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    // Also in drawings.
    let words = text.split(|c: char| c.is_whitespace() || ['`', ',', '(', ')', '|'].contains(&c));
    let is_path =
        |word: &&str| ["src/", "runtimes/", "tests/", "benches/", ".ci/"].iter().any(|dir| word.starts_with(dir));
    let named: Vec<&str> = words.filter(is_path).collect();
    let missing: Vec<&&str> = named.iter().filter(|name| !root().join(name).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names files that do not exist: {missing:?}");
    assert!(named.len() > 60, "only {} files were found", named.len());
    // And none of the core's modules is left out.
    let core: Vec<String> = std::fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.strip_suffix(".rs").unwrap_or(name) != "lib")
        .collect();
    let is_absent = |name: &&String| !named.iter().any(|path| path.starts_with(&format!("src/{name}")));
    let absent: Vec<&String> = core.iter().filter(is_absent).collect();
    assert!(absent.is_empty(), "ARCHITECTURE.md does not name {absent:?} of src/");
}

#[test]
fn the_commands_of_the_documentation_have_flags_that_the_program_has() {
    let flags = flags_by_command();
    let all: BTreeSet<&str> = flags.values().flatten().map(String::as_str).collect();
    let mut wrong = String::new();
    let mut count = 0;
    for page in pages() {
        let name = shown(&page);
        // Its columns are about other programs; the changelog is about the past.
        if name == "docs/reference.md" || name == "CHANGELOG.md" || !(name == "README.md" || name.starts_with("docs/"))
        {
            continue;
        }
        let text = std::fs::read_to_string(&page).unwrap();
        for command in commands(&text) {
            let mut words = command.split_whitespace().skip_while(|word| !is_program(word)).skip(1);
            // `metalbond -v client`
            let Some(subcommand) = words.find(|word| !word.starts_with('-')) else { continue };
            let Some(known) = flags.get(subcommand) else {
                writeln!(wrong, "{name}: no command {subcommand}: {command}").unwrap();
                continue;
            };
            for flag in flag_names(&command) {
                count += 1;
                if !known.contains(&flag) {
                    writeln!(wrong, "{name}: {subcommand} has no {flag}: {command}").unwrap();
                }
            }
        }
        for span in code(&text).into_iter().filter(|span| span.starts_with("--") && !span.starts_with("-- ")) {
            for flag in flag_names(span) {
                count += 1;
                if !all.contains(flag.as_str()) {
                    writeln!(wrong, "{name}: no command has {flag}").unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 200, "only {count} flags were found");
}

#[test]
fn the_readme_is_short() {
    let lines = std::fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= 150, "README.md has {lines} lines: move a part of it to docs/");
}

/// The certificate is made by the authority of docs/security.md.
#[test]
fn the_commands_of_the_api_for_a_certificate_and_a_token_lead_to_an_answer() {
    if !has_program("openssl") {
        return;
    }
    let block = |page: &str, kind: &str| {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        text.split(kind).nth(1).unwrap().split("```").next().unwrap().to_owned()
    };
    let authority: Vec<String> = block("docs/security.md", "```sh\n").lines().take(3).map(str::to_owned).collect();
    assert!(authority[2].contains("-keyout ca.key -out ca.pem"), "{authority:?}");
    let dir = Dir::new("http-commands");
    let script = authority.join("\n") + "\n" + &block("docs/api.md", "```sh\n");
    let shell = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-ec", script]).current_dir(dir.path("."));
        shell
    };
    let prepared = shell(&script).output().unwrap();
    assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));

    let commands = block("docs/api.md", "```console\n");
    let [server, _, show] = &commands.lines().map(|line| line.strip_prefix("$ ").unwrap()).collect::<Vec<_>>()[..]
    else {
        panic!("{commands}");
    };
    let program = env!("CARGO_BIN_EXE_metalbond");
    let server = server.replace("metalbond server", &format!("exec {program} server --listen 127.0.0.1:0"));
    let mut server = Process::spawn(shell(&server.replace("[::]:4712", "127.0.0.1:0")), Stdio::piped(), Stdio::piped());
    let line = server.log("HTTP on https://");
    let port = line.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    // No host has the example's name: the certificate has another one, for trying it out.
    let show = show.replace("metalbond show", &format!("{program} show"));
    let shown = shell(&show.replace("server-a.example:4712", &format!("localhost:{port}"))).output().unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("ready          yes"));
}

#[test]
fn the_move_to_tls_uses_ports_that_nothing_else_has() {
    let text = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let section = text.split("**Moving to TLS**").nth(1).unwrap().split("\n## ").next().unwrap();
    // The ports of a list of addresses, which ends at the backtick.
    let ports = |before: &str| -> BTreeSet<u16> {
        let list = section.split(before).nth(1).unwrap().split('`').next().unwrap();
        list.split('"').filter_map(|addr| addr.rsplit_once(':')?.1.parse().ok()).collect()
    };
    let (tls, plain, clients) = (ports("`listen = ["), ports("`listen-plain = ["), ports("`server = ["));
    assert_eq!((tls.len(), plain.len()), (1, 1));
    assert_eq!(clients, tls, "clients move to the port with TLS");
    // 4712 and 4713 are the HTTP of servers and of clients.
    let settings = std::fs::read_to_string(root().join("runtimes/daemon/packaging/metalbond.toml")).unwrap();
    for port in tls.union(&plain) {
        assert!(!settings.contains(&format!("http = \"127.0.0.1:{port}\"")), "port {port} is used by HTTP");
    }
    assert!(tls.is_disjoint(&plain));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A path as seen from the project's directory.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// All pages in Markdown, but those that are chapters of rustdoc.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut dirs = vec![root()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "src", "corpus"].contains(&name.as_str()) {
                    dirs.push(path);
                }
            } else if name.ends_with(".md") && !path.is_symlink() {
                pages.push(path);
            }
        }
    }
    pages.sort();
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

/// The lines of a page outside of fenced blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((at + 1, line))
    })
}

/// The targets of links, with the number of their line.
fn links(text: &str) -> Vec<(usize, &str)> {
    prose(text)
        .flat_map(|(at, line)| {
            line.split("](").skip(1).filter_map(move |rest| Some((at, rest.split_once(')')?.0.split(' ').next()?)))
        })
        .collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = prose(text).filter(|(_, line)| line.starts_with('#'));
    titles
        .map(|(_, line)| {
            let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            title.chars().filter(|c| c.is_alphanumeric() || ['-', '_'].contains(c)).collect()
        })
        .collect()
}

/// What stands between backticks, outside of fenced blocks.
fn code(text: &str) -> Vec<&str> {
    prose(text).flat_map(|(_, line)| line.split('`').skip(1).step_by(2)).collect()
}

/// Commands of the program in fenced and indented blocks; one that goes on in the next line is put together.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let mut fenced = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        let fence = line.starts_with("```");
        fenced ^= fence;
        if fence || !(fenced || line.starts_with("    ")) {
            continue;
        }
        let line = line.trim().trim_start_matches("$ ");
        // Other programs may start it: `timeout 2 metalbond watch`. A package of cargo has the same name, and drawings name it, too.
        let mut words = line.split_whitespace().take(5);
        if words.any(is_program) && !line.starts_with("cargo ") && !line.starts_with('|') {
            commands.push(line.to_owned());
        }
    }
    commands
}

fn is_program(word: &str) -> bool {
    word == "metalbond" || word == "target/release/metalbond"
}

/// The long flags in a text.
fn flag_names(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || ['`', '[', ']', '=', ',', '/', '\'', '|'].contains(&c));
    let names = words.filter_map(|word| {
        let name: String =
            word.strip_prefix("--")?.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
        (!name.is_empty()).then(|| format!("--{name}"))
    });
    names.collect()
}

/// The flags of each subcommand, by its `--help`. Those of `show status` and its like count for `show`.
fn flags_by_command() -> BTreeMap<String, BTreeSet<String>> {
    let help = |args: &[&str]| {
        let ended = run(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {:?}", ended.stderr);
        ended.stdout
    };
    let mut flags = BTreeMap::new();
    for command in subcommands(&help(&["--help"])) {
        let mut text = help(&[&command, "--help"]);
        for of_it in subcommands(&text) {
            text.extend(help(&[&command, &of_it, "--help"]));
        }
        flags.insert(command, flag_names(&text.join("\n")).into_iter().collect());
    }
    assert!(flags.len() > 9, "{flags:?}");
    flags
}

/// The names under 'Commands:'.
fn subcommands(help: &[String]) -> Vec<String> {
    let list = help.iter().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    list.filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect()
}
