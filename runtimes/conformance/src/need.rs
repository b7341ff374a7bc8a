//! What a test needs and not every machine has. Without it, the test is skipped, and says so in the one form that `.ci/run` takes for a
//! failure.

use std::net::{Ipv6Addr, TcpListener};
use std::process::{Command, Stdio};

/// Says that a test is skipped, and why. The caller ends the test.
pub fn skip(why: &str) {
    println!("skipped: {why}");
}

/// Returns true if a program is installed. If not, says that the test is skipped.
pub fn has_program(name: &str) -> bool {
    let mut command = Command::new(name);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let has = command.status().is_ok();
    if !has {
        skip(&format!("there is no {name}"));
    }
    has
}

/// Returns true if this machine has an IPv6 loopback. If not, says that the test is skipped.
pub fn has_ipv6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        skip("this machine has no ::1");
    }
    has
}
