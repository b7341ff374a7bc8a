//! The ways to see kernel routes, and to look inside, as the documentation writes them.

use std::path::Path;
use std::process::Command;

use metalbond_conformance::skip;

use crate::namespace;

const KERNEL_ROUTES: &str = include_str!("../../../../docs/kernel-routes.md");
const INSPECT: &str = include_str!("../../../../docs/inspect.md");

#[test]
fn what_the_documentation_says_to_see_kernel_routes_shows_one() {
    let chapter = KERNEL_ROUTES.split("## Try it").nth(1).unwrap();
    let script = chapter.split("```").nth(1).unwrap().strip_prefix("sh\n").unwrap();
    let name = format!("metalbond-readme-{}", std::process::id());
    // Waits for the route, instead of the number of seconds that is written for people.
    let until = format!(
        "n=0; until ip -n {name} route show table 1023 2>&1 | grep -q nhid || [ $n -gt 200 ]; do sleep 0.1; n=$((n + 1)); done"
    );
    let script = script
        .replace("target/release/metalbond", env!("CARGO_BIN_EXE_metalbond"))
        .replace("try-metalbond", &name)
        .replace("sleep 2", &until);
    if !rustix::process::geteuid().is_root() {
        return skip("this needs root, to make a network namespace");
    }
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let _ = Command::new("ip").args(["netns", "del", &name]).output();
    let shown = String::from_utf8(output.stdout).unwrap();
    let line = shown.lines().find(|line| line.starts_with("10.0.23.1 ")).unwrap_or_default();
    for part in ["nhid 2000000000", "encap ip6", "dst 2001:db8::1", "dev tun0", "proto 254"] {
        assert!(line.contains(part), "{part}: {shown:?} {:?}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(output.status.success(), "{:?}", String::from_utf8_lossy(&output.stderr));
}

/// Runs in a namespace because of its ports.
#[test]
fn what_the_documentation_says_to_look_inside_runs_as_it_is_written() {
    let chapter = INSPECT.split("## From a terminal").nth(1).unwrap();
    let script = chapter.split("```").nth(1).unwrap().strip_prefix("sh\n").unwrap();
    // The program has the name that `cargo build` gives it.
    let program = Path::new(env!("CARGO_BIN_EXE_metalbond"));
    assert_eq!(program.file_name().unwrap(), "metalbond");
    let script = script.strip_prefix("cargo build --release\nPATH=$PWD/target/release:$PATH\n").unwrap();
    // Waits for the daemon, instead of the number of seconds that is written for people.
    let is_up = "until metalbond show status; do sleep 0.1; done";
    let has_route = "until metalbond show routes | grep -q 10.0.23.1; do sleep 0.1; done";
    let script = script.replacen("sleep 1", is_up, 1).replacen("sleep 1", has_route, 1);
    let script = script.replace("timeout 2 ", "timeout 0.5 ");
    let script = script.replace("metalbond bench ", "metalbond bench --routes 100 ");
    let ending = |line: &str| match line.ends_with('&') {
        true => line.to_owned(),
        false => format!("{line} >/dev/null; echo \"$? {line}\""),
    };
    let lines: Vec<String> = script.lines().map(ending).collect();
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    namespace::run(|_| {
        let output =
            Command::new("timeout").args(["60", "bash", "-c", &lines.join("\n")]).env("PATH", &path).output().unwrap();
        let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        for line in said.lines() {
            // A command that would never end is ended by `timeout`.
            let code = if line.contains("timeout") { "124 " } else { "0 " };
            assert!(line.starts_with(code), "{line}\n{said}\n{log}");
        }
        assert_eq!(said.lines().count(), lines.len() - 2, "{said}\n{log}");
    });
}
