//! What keeps the client from starting. (What is wrong with arguments alone: see `end_to_end`.)

use std::process::{Command, Stdio};

use crate::namespace;
use crate::process::{Ended, Process, run};
use crate::scene::{INSTALL, SERVER};

fn refused(ended: &Ended, why: &str) {
    assert_eq!((ended.code, ended.stdout.len()), (Some(1), 0), "{:?}", ended.stderr);
    let [line] = &ended.stderr[..] else { panic!("{:#?}", ended.stderr) };
    assert_eq!(line, &format!("metalbond: cannot install routes: {why}"));
}

#[test]
fn a_device_that_is_not_there_ends_with_code_1_and_its_name() {
    namespace::run(|_| {
        let args = ["client", "--server", SERVER, "--subscribe", "23", "--install-routes", "23#1000", "--tun"];
        refused(&run(&[&args[..], &["tunnel7"]].concat()), "there is no device tunnel7");
        refused(&run(&[&args[..], &["sixteen-letters!"]].concat()), "no device can have that name");
    });
}

#[test]
fn without_the_capability_it_ends_with_code_1_and_says_which() {
    namespace::run(|_| {
        if !Command::new("setpriv").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        {
            println!("skipped: there is no setpriv, to do without a capability");
            return;
        }
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--ambient-caps", "-net_admin"]);
        command.args([env!("CARGO_BIN_EXE_metalbond"), "client", "--server", SERVER]).args(INSTALL);
        let ended = Process::spawn(command, Stdio::piped(), Stdio::piped()).end().0;
        refused(&ended, "not permitted to change routes: CAP_NET_ADMIN is needed");
    });
}
