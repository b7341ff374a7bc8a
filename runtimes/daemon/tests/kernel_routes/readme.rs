//! The README's way to see kernel routes, as it is written there.

use std::process::Command;

const README: &str = include_str!("../../../../README.md");

#[test]
fn what_the_readme_says_to_see_kernel_routes_shows_one() {
    let chapter = README.split("### Routes in the kernel").nth(1).unwrap();
    let script = chapter.split("```").nth(1).unwrap().strip_prefix("sh\n").unwrap();
    let name = format!("metalbond-readme-{}", std::process::id());
    // The number of seconds is for people: here, until the route is there.
    let until = format!(
        "n=0; until ip -n {name} route show table 1023 2>&1 | grep -q nhid || [ $n -gt 200 ]; do sleep 0.1; n=$((n + 1)); done"
    );
    let script = script
        .replace("target/release/metalbond", env!("CARGO_BIN_EXE_metalbond"))
        .replace("try-metalbond", &name)
        .replace("sleep 2", &until);
    if !rustix::process::geteuid().is_root() {
        println!("skipped: this needs root, to make a network namespace");
        return;
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
