//! The README's walk-through, and the one of docs/command-line.md: their commands as they are written there, and what they print.

use std::process::{Command, Stdio};

use crate::ports;
use crate::process::{Process, Server, Signal};

const README: &str = include_str!("../../../../README.md");
const COMMAND_LINE: &str = include_str!("../../../../docs/command-line.md");

#[test]
fn the_walk_through_of_the_readme_prints_what_it_says() {
    let addr = ports::fixed(6);
    let blocks = blocks_of(README, "## A walk-through");
    let [build, server, first, second, first_learns, first_loses] = &blocks[..] else {
        panic!("the walk-through has {} blocks", blocks.len());
    };
    let blocks = blocks_of(COMMAND_LINE, "## Announce from another program");
    let [fed, first_sees] = &blocks[..] else { panic!("there are {} blocks", blocks.len()) };
    assert_eq!(build.command, "cargo build --release");

    let run = |block: &Block| {
        let command = block.command.replace("127.0.0.1:4711", &addr.to_string());
        let command = command.replace("target/release/metalbond", env!("CARGO_BIN_EXE_metalbond"));
        // Without a pipe, the program replaces the shell, so that it gets the signals.
        let exec = if command.contains('|') { "" } else { "exec " };
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{exec}{command}")]).env("METALBOND_LISTEN", addr.to_string());
        Process::spawn(shell, Stdio::piped(), Stdio::piped())
    };
    let follow = |process: &mut Process, block: &Block| {
        for line in &block.output {
            assert_eq!(process.line(), *line);
        }
    };

    let mut server_process = run(server);
    assert!(server.output[0].ends_with("INFO listening on [::]:4711"));
    server_process.log(&format!("INFO listening on {addr}"));
    let mut first_process = run(first);
    first_process.log("ESTABLISHED");
    let mut second_process = run(second);
    follow(&mut second_process, second);
    follow(&mut first_process, first_learns);
    second_process.signal(Signal::INT);
    assert_eq!(second_process.end().0.code, Some(0));
    follow(&mut first_process, first_loses);
    // 'Start this client again: the first one prints its routes again.'
    let mut second_process = run(second);
    follow(&mut second_process, second);
    follow(&mut first_process, first_learns);
    let _fed_process = run(fed);
    follow(&mut first_process, first_sees);

    // 'Now stop the server, with kill -9 if you like, and start it again.'
    server_process.kill();
    first_process.log("RETRY");
    let _server_process = run(server);
    first_process.log("ESTABLISHED");
    first_process.signal(Signal::TERM);
    assert_eq!(first_process.end().0.stdout, [""; 0]);
}

/// These commands are not run, because a build takes minutes.
#[test]
fn cargo_build_and_cargo_run_in_the_projects_directory_are_about_the_program() {
    for command in ["cargo run --release -- demo", "$ cargo build --release"] {
        assert!(README.lines().any(|line| line == command), "{command}");
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let args = ["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"];
    let output = Command::new(env!("CARGO")).args(args).current_dir(root).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let default = metadata["workspace_default_members"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter().filter(|package| default.contains(&package["id"]));
    let targets = packages.flat_map(|package| package["targets"].as_array().unwrap());
    let programs: Vec<_> = targets.filter(|target| target["kind"][0] == "bin").map(|target| &target["name"]).collect();
    assert_eq!(programs, ["metalbond"], "`cargo run` has to know which one");
}

#[test]
fn the_readmes_example_of_the_library_is_the_one_that_the_drivers_documentation_tests() {
    let driver = include_str!("../../../tokio/README.md");
    let example = |readme: &'static str| readme.split("```rust").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(example(README), example(driver));
}

#[test]
fn the_packages_readme_prints_what_it_says() {
    let blocks: Vec<Block> = include_str!("../../README.md")
        .split("```")
        .skip(1)
        .step_by(2)
        .filter(|block| block.starts_with("console"))
        .map(Block::parse)
        .collect();
    let [server, announcer, learner] = &blocks[..] else { panic!("{} blocks", blocks.len()) };
    let args = |block: &Block| -> Vec<String> {
        let words = block.command.replace('\'', "");
        words.split(' ').skip(1).map(str::to_owned).collect()
    };
    assert_eq!(args(server), ["server"]);
    let server = Server::on_loopback(&[]);
    let start = |block: &Block| {
        let addr = server.addrs[0].to_string();
        let args: Vec<String> = args(block).iter().map(|arg| arg.replace("127.0.0.1:4711", &addr)).collect();
        Process::start(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let _announcer = start(announcer);
    let mut learner_process = start(learner);
    for line in &learner.output {
        assert_eq!(learner_process.line(), *line);
    }
}

/// Returns the fenced blocks of a section.
fn blocks_of(page: &'static str, heading: &str) -> Vec<Block> {
    let section = page.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
    section.split("```").skip(1).step_by(2).map(Block::parse).collect()
}

/// A fenced block: a command, if it has one, and its output.
struct Block {
    command: String,
    output: Vec<&'static str>,
}

impl Block {
    fn parse(text: &'static str) -> Self {
        let mut lines = text.trim_end().lines().skip(1).peekable();
        let mut command = String::new();
        while let Some(line) = lines.next_if(|line| command.is_empty() && line.starts_with("$ ") || is_open(&command)) {
            command += line.strip_prefix("$ ").unwrap_or(line);
            command += "\n";
        }
        Self { command: command.trim_end().to_owned(), output: lines.collect() }
    }
}

/// Returns true if a command continues on the next line.
fn is_open(command: &str) -> bool {
    command.trim_end().ends_with(['\\', '|'])
}
