//! Runs `tshark` with the dissector, and without its user's settings.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Returns the output of `tshark` for a capture.
pub(crate) fn read(capture: &[u8], args: &[&str]) -> String {
    let mut command = Command::new("tshark");
    command.args(["-X", &format!("lua_script:{ROOT}/docs/wireshark/metalbond.lua"), "-r", "-"]).args(args);
    printed(command, capture)
}

/// Runs a command in a shell in the repository's root. Returns its output.
pub(crate) fn shell(command: &str) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(ROOT);
    printed(shell, &[])
}

fn printed(mut command: Command, input: &[u8]) -> String {
    // The user's preferences and plugins would be in the home directory.
    let home = env!("CARGO_TARGET_TMPDIR");
    command.env("HOME", home).env("XDG_CONFIG_HOME", home);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        // Fails if the command does not read all input; its exit code shows whether that is an error.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("Lua"), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the values of these fields for each packet, including all values of a repeated field.
pub(crate) fn fields(capture: &[u8], fields: &[&str], args: &[&str]) -> Vec<Vec<Vec<String>>> {
    let mut all = vec!["-T", "fields", "-E", "aggregator=;"];
    for field in fields {
        all.extend(["-e", field]);
    }
    all.extend(args);
    let values = |column: &str| column.split(';').filter(|value| !value.is_empty()).map(str::to_owned).collect();
    read(capture, &all).lines().map(|line| line.split('\t').map(values).collect()).collect()
}

/// Returns the dissector's part of the packets' trees, with a blank line after each packet.
pub(crate) fn trees(capture: &[u8], args: &[&str]) -> String {
    let mut all = vec!["-V", "-O", "metalbond"];
    all.extend(args);
    let printed = read(capture, &all);
    let mut trees = String::new();
    let mut is_ours = false;
    for line in printed.lines() {
        is_ours = line.starts_with("MetalBond") || is_ours && (line.starts_with(' ') || line.is_empty());
        if is_ours {
            trees += line;
            trees.push('\n');
        }
    }
    trees
}
