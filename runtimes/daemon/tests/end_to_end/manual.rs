//! Completions and manual pages.

use std::fs;
use std::process::{Command, Stdio};

use metalbond_conformance::has_program;

use crate::process::{Process, run};

#[test]
fn bash_completes_flags() {
    let script = run(&["completions", "bash"]);
    assert_eq!(script.code, Some(0));
    let ask = "COMP_WORDS=(metalbond server --keep); COMP_CWORD=2; _metalbond metalbond --keep server; echo \"${COMPREPLY[@]}\"";
    if !has_program("bash") {
        return;
    }
    let done = Command::new("bash").args(["-c", &format!("{}\n{ask}", script.stdout.join("\n"))]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "--keepalive\n", "{done:?}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    for args in [&["man"][..], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = Process::start_with(args, Stdio::from(writer), Stdio::piped()).end().0;
        assert_eq!((ended.code, ended.stderr), (Some(0), vec![]), "{args:?}");
    }
}

#[test]
fn every_subcommand_has_a_page_that_names_its_flags() {
    let dir = std::env::temp_dir().join(format!("metalbond-man-{}", std::process::id()));
    let path = dir.to_str().unwrap();
    assert_eq!(run(&["man", path]).code, Some(0));
    let page = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let (all, server) = (page("metalbond.1"), page("metalbond-server.1"));
    assert!(all.starts_with(".ie \\n(.g .ds Aq \\(aq\n") && all.contains(".TH METALBOND 1"), "{all}");
    for text in
        [".TH METALBOND-SERVER 1", "\\-\\-keepalive", "METALBOND_KEEPALIVE", ".SH SIGNALS", ".SH \"EXIT STATUS\""]
    {
        assert!(server.contains(text), "{text} is not in\n{server}");
    }
    assert!(
        page("metalbond-show.1").contains(".SH \"EXIT STATUS\"") && !page("metalbond-show.1").contains(".SH SIGNALS")
    );
    let named: Vec<_> =
        run(&["--help"]).stdout.iter().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned).collect();
    let commands = named.iter().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    for command in commands.map(|line| line.split(' ').next().unwrap()).filter(|command| *command != "help") {
        assert!(dir.join(format!("metalbond-{command}.1")).exists(), "{command}");
    }
    // If a formatter is installed, it must accept the page without warnings.
    if has_program("man") {
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]).arg(dir.join("metalbond-server.1"));
        assert_eq!(String::from_utf8_lossy(&man.output().unwrap().stderr), "");
    }
    fs::remove_dir_all(dir).unwrap();
}
