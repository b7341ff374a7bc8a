//! What keeps the client from starting. (What is wrong with arguments alone: see `end_to_end`.)

use std::process::{Command, Stdio};

use crate::namespace;
use crate::process::{Ended, Process, run};
use crate::scene::{BOTH, INSTALL, SERVER, Scene, both};

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
        if !has_setpriv() {
            return;
        }
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--ambient-caps", "-net_admin"]);
        command.args([env!("CARGO_BIN_EXE_metalbond"), "client", "--server", SERVER]).args(INSTALL);
        let ended = Process::spawn(command, Stdio::piped(), Stdio::piped()).end().0;
        refused(&ended, "not permitted to change routes: CAP_NET_ADMIN is needed");
    });
}

/// As the client's unit has it.
#[test]
fn another_user_installs_routes_with_this_capability_and_no_other() {
    namespace::run(|namespace| {
        if !has_setpriv() {
            return;
        }
        let mut scene = Scene::new(namespace);
        // That user may not be let into the directory where it was built.
        let program = std::env::temp_dir().join(format!("metalbond-capability-{}", std::process::id()));
        std::fs::copy(env!("CARGO_BIN_EXE_metalbond"), &program).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs"]);
        for set in ["--bounding-set", "--inh-caps", "--ambient-caps"] {
            command.args([set, "-all,+net_admin"]);
        }
        command.arg(&program).args(["client", "--server", SERVER]).args(INSTALL);
        let mut client = Process::spawn(command, Stdio::piped(), Stdio::piped());
        client.log("ESTABLISHED");
        std::fs::remove_file(program).unwrap();
        scene.announce(both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
    });
}

fn has_setpriv() -> bool {
    let has = Command::new("setpriv").arg("--version").stdout(Stdio::null()).status().is_ok_and(|done| done.success());
    if !has {
        println!("skipped: there is no setpriv, to do without a capability");
    }
    has
}
