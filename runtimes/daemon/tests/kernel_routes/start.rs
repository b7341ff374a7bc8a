//! Errors at the start of the client. (For errors in arguments alone, see `end_to_end`.)

use std::process::{Command, Stdio};

use metalbond_conformance::has_program;

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
        if !has_program("setpriv") {
            return;
        }
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--ambient-caps", "-net_admin"]);
        command.args([env!("CARGO_BIN_EXE_metalbond"), "client", "--server", SERVER]).args(INSTALL);
        let ended = Process::spawn(command, Stdio::piped(), Stdio::piped()).end().0;
        refused(&ended, "not permitted to change routes: CAP_NET_ADMIN is needed");
    });
}

/// As in the client's unit.
#[test]
fn another_user_installs_routes_with_this_capability_and_no_other() {
    namespace::run(|namespace| {
        if !has_program("setpriv") {
            return;
        }
        let mut scene = Scene::new(namespace);
        // The other user may not have access to the build directory.
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

#[test]
fn a_client_started_by_root_keeps_this_capability_and_no_other() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let mut client =
            Process::client(&[SERVER.parse().unwrap()], &[&INSTALL[..], &["--http", "127.0.0.1:0"]].concat());
        client.log("ESTABLISHED");
        scene.announce(both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        let status = |task: &str| std::fs::read_to_string(format!("/proc/{}/task/{task}/status", client.id())).unwrap();
        let has = |text: &str, field: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
            u64::from_str_radix(line.trim_start_matches([':', '\t']), 16).unwrap()
        };
        let own = status(&client.id().to_string());
        for (field, expected) in
            [("CapPrm", 1 << 12), ("CapEff", 1 << 12), ("CapBnd", 1 << 12), ("CapInh", 0), ("CapAmb", 0)]
        {
            assert_eq!(has(&own, field), expected, "{field}");
        }
        // No other thread has more capabilities; the HTTP thread has none.
        let mut http = None;
        for task in std::fs::read_dir(format!("/proc/{}/task", client.id())).unwrap() {
            let Ok(text) = std::fs::read_to_string(task.unwrap().path().join("status")) else { continue };
            assert_eq!(has(&text, "CapPrm") & !(1 << 12), 0, "{text}");
            if text.starts_with("Name:\thttp\n") {
                http = Some(has(&text, "CapPrm"));
            }
        }
        assert_eq!(http, Some(0));
    });
}

#[test]
fn a_second_client_with_a_table_or_ids_of_the_first_ends_with_code_1_and_names_it() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(both("fd00::1"));
        let client = scene.synced_client(&[]);
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        scene.settle();
        let start = |table: &str, more: &[&str]| {
            let mapping = format!("24#{table}");
            let args = ["client", "--server", SERVER, "--subscribe", "24", "--install-routes", &mapping, "--tun", "t0"];
            Process::start(&[&args[..], more].concat())
        };
        for (table, part, more) in [
            ("1000", "table 1000", &["--nexthop-ids", "1-9"][..]),
            ("1001", "nexthop ids 2000000000-2099999999", &["--nexthop-ids", "2000000007-2000000007"]),
        ] {
            let why = format!(
                "process {} (metalbond) installs routes with protocol number 254 and has {part}: stop it, or give one of the two \
                 another protocol number",
                client.id()
            );
            refused(&start(table, more).end().0, &why);
        }
        // Clients that share nothing, or only a table.
        let mut others =
            [start("1001", &["--nexthop-ids", "1-9"]), start("1000", &["--rt-proto", "77", "--nexthop-ids", "11-19"])];
        others.iter_mut().for_each(|other| drop(other.log("ESTABLISHED")));
        assert_eq!(scene.settle(), [""; 0]);
        // The place of a killed client is free at once.
        client.kill();
        let _client = scene.synced_client(&[]);
        assert_eq!(scene.settle(), [""; 0]);
    });
}
