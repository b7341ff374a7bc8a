//! Settings from a file and the environment, and their precedence.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::process::{Process, run};

/// A temporary directory, removed at the end of the test.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("metalbond-config-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Replaces a file by renaming a new one, as editors and Kubernetes do.
    pub(crate) fn put(&self, name: &str, text: &str) -> String {
        let (path, new) = (self.path(name), self.path("new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_command_line_overrides_the_environment_and_that_overrides_the_file() {
    let dir = Dir::new("order");
    let file = dir.put("m.toml", "[server]\nlisten = ['127.0.0.1:0']\nkeepalive = 30\nconvergence-time = 1\n");
    let keepalive = |variable: Option<&str>, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
        command.args(["server", "--config", &file]).args(args);
        if let Some(value) = variable {
            command.env("METALBOND_KEEPALIVE", value);
        }
        let mut process = Process::spawn(command, Stdio::piped(), Stdio::piped());
        let addr = crate::process::bound(&process.log("listening on "));
        let http = Process::client(&[addr], &["--http", "127.0.0.1:0", "--keepalive", "100"]);
        crate::http::negotiated_keepalive(http)
    };
    assert_eq!(keepalive(None, &[]), 30);
    assert_eq!(keepalive(Some("20"), &[]), 20);
    assert_eq!(keepalive(Some(""), &[]), 30, "an empty variable is none");
    assert_eq!(keepalive(Some("20"), &["--keepalive", "10"]), 10);
}

#[test]
fn the_old_name_of_a_setting_works_everywhere_and_a_warning_names_the_new_one() {
    let dir = Dir::new("renamed");
    let file = dir.put("m.toml", "[server]\nlisten = '127.0.0.1:0'\nkeep-out = 5\n[client]\nhold = 5\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
    command.args(["server", "--config", &file, "--warming=0"]).env("METALBOND_SEND_HOLD", "7");
    let lines = Process::spawn(command, Stdio::piped(), Stdio::piped()).log_until("listening on ");
    let warnings: Vec<_> = lines.iter().filter_map(|line| Some(line.split_once(" WARN ")?.1.trim())).collect();
    let ask = "please use the new one";
    let expected = [
        format!("'--warming' is the old name of '--convergence-time': {ask}"),
        format!("'METALBOND_SEND_HOLD' is the old name of 'METALBOND_SEND_HOLD_TIME': {ask}"),
        format!("{file}:3:1: 'keep-out' is the old name of 'ban-time-max': {ask}"),
    ];
    assert_eq!(warnings, expected, "{lines:?}");
    // A bad value is reported under the setting's new name.
    let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
    command.args(["server", "--config", &file]).env("METALBOND_WARMING", "x");
    let ended = Process::spawn(command, Stdio::piped(), Stdio::piped()).end().0;
    assert_eq!(ended.stderr, ["metalbond: --convergence-time 'x': not a number from 0 to 4294967295"]);

    let file = dir.put("m.toml", "[client]\nstale-time = 5\nhold = 6\n");
    let ended = run(&["check", &file]);
    assert_eq!(
        ended.stderr,
        [format!("metalbond: {file}:2:1: 'stale-time' is given twice, once by its old name 'hold'")]
    );
}

#[test]
fn an_error_in_a_file_is_reported_with_its_position() {
    let dir = Dir::new("wrong");
    let cases = [
        ("keepalive = 1\n", "FILE:1:1: there is no setting 'keepalive' outside of the tables"),
        ("[server]\nkeepalive = -1\n", "FILE:2:13: keepalive '-1': not a number from 0 to 4294967295"),
        ("[server]\n\nmax-routes = 0\n", "FILE:3:14: max-routes '0': not a number from 1 to 4294967295"),
        ("[server]\nhandshake-timeout = 0", "FILE:2:21: handshake-timeout '0': not a number from 1 to 4294967295"),
        (
            "[server]\n  keepalives = 5",
            "FILE:2:3: there is no setting 'keepalives' in [server]; did you mean 'keepalive'?",
        ),
        ("[server]\nkeepalive = [5]", "FILE:2:13: keepalive: array, expected a string or a number"),
        ("[server]\nlisten = ['[::]:1', 'x']", "FILE:2:21: listen 'x': no ':port' after the host"),
        ("[server]\nno-vni-metrics = 'yes'", "FILE:2:18: no-vni-metrics: string, expected true or false"),
        ("[server]\nconfig = 'x'", "FILE:2:1: there is no setting 'config' in [server]"),
        ("[server]\nkeepalive = 5\nkeepalive = 6", "FILE:3:1: duplicate key"),
        ("[server]\nkeepalive 5", "FILE:2:11: key with no value, expected `=`"),
        ("[sever]\n", "FILE:1:2: there is no table [sever]; there are [server] and [client]"),
        ("server = 5", "FILE:1:1: 'server' must be a table: [server]"),
        ("verbose = 256\n[server]", "FILE:1:11: verbose '256': not a number from 0 to 255"),
        ("log-format = 'xml'\n[server]", "FILE:1:14: log-format 'xml': not one of text, json"),
        ("[server]\nverbose = 1", "FILE:2:1: there is no setting 'verbose' in [server]; it stands before the tables"),
        // The file's own syntax for numbers with a base is accepted.
        ("[server]\nkeepalive = 0x1_0000_0000", "FILE:2:13: keepalive '4294967296': not a number from 0 to 4294967295"),
        ("[server]\nlisten = []", "FILE:2:10: listen: an empty array"),
        (
            "[server]\nrecord = ''",
            "FILE:2:10: a value is required for 'record <FILE|DIR>' but none was supplied (see --help)",
        ),
        ("\u{feff}keepalive = 1", "FILE:1:1: there is no setting 'keepalive' outside of the tables"),
    ];
    for (text, expected) in cases {
        let file = dir.put("m.toml", text);
        for command in [&["server", "--config"][..], &["check"][..]] {
            let ended = run(&[command, &[file.as_str()]].concat());
            assert_eq!(ended.code, Some(2), "{text}");
            assert_eq!(ended.stderr, [format!("metalbond: {}", expected.replacen("FILE", &file, 1))], "{text}");
        }
    }
    let file = dir.path("latin1.toml");
    fs::write(&file, b"[server]\r\nrecord = '\xc3\xa9\xe9'\r\n").unwrap();
    assert_eq!(run(&["check", &file]).stderr, [format!("metalbond: {file}:2:12: not UTF-8")]);
    let ended = run(&["server", "--config", &dir.path("none")]);
    assert_eq!((ended.code, ended.stderr.len()), (Some(2), 1));
    assert!(ended.stderr[0].ends_with("none: No such file or directory (os error 2)"), "{:?}", ended.stderr);
}

#[test]
fn an_error_between_settings_is_reported_with_the_position_of_one() {
    let dir = Dir::new("between");
    let cases = [
        ("[client]\nserver = 'a:1'\ninstall-routes = '23#100'", ": [client]: ", "--tun <DEVICE>"),
        ("[client]\nserver = ['a:1', 'a:1']\n", ":2:1: ", "--server 'a:1': given twice"),
        ("[client]\nsubscribe = 23\nserver = ['b:1', 'a:1', 'b:1']\n", ":3:1: ", "--server 'b:1': given twice"),
    ];
    for (text, place, expected) in cases {
        let file = dir.put("m.toml", text);
        let ended = run(&["check", &file]);
        assert_eq!((ended.code, ended.stderr.len()), (Some(2), 1), "{:?}", ended.stderr);
        assert!(ended.stderr[0].contains(expected) && ended.stderr[0].contains(place), "{:?}", ended.stderr);
    }
}

#[test]
fn an_error_of_the_command_line_does_not_name_the_file() {
    let dir = Dir::new("elsewhere");
    let file = dir.put("m.toml", "[server]\nlisten = '127.0.0.1:0'\nkeepalive = 5\n");
    let stderr = |variable: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
        command.args(["server", "--config", &file]).args(args).env("METALBOND_KEEPALIVE", variable);
        let ended = Process::spawn(command, Stdio::piped(), Stdio::piped()).end().0;
        assert_eq!(ended.code, Some(2), "{:?}", ended.stderr);
        ended.stderr
    };
    let bad = ["metalbond: --keepalive 'x': not a number from 0 to 4294967295"];
    assert_eq!(stderr("", &["--keepalive", "x"]), bad);
    assert_eq!(stderr("x", &[]), bad);
    // The error suggests a flag that the file sets.
    let stderr = stderr("", &["--listn", "x"]);
    assert!(stderr[0].starts_with("metalbond: unexpected argument '--listn' found"), "{stderr:?}");
}

#[test]
fn global_flags_have_the_same_precedence() {
    let dir = Dir::new("global");
    let file = dir.put("m.toml", "log-format = 'json'\nverbose = 1\n[client]\nserver = '127.0.0.1:1'\n");
    let first_line = |before: &[&str], variables: &[(&str, &str)], behind: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
        command.args(before).arg("client").args(behind).envs(variables.iter().copied()).env("METALBOND_CONFIG", &file);
        Process::spawn(command, Stdio::piped(), Stdio::piped()).log("127.0.0.1:1")
    };
    assert!(first_line(&[], &[], &[]).starts_with('{'));
    for line in [
        first_line(&[], &[("METALBOND_LOG_FORMAT", "text")], &[]),
        first_line(&["--log-format", "text"], &[], &[]),
        first_line(&[], &[], &["--log-format", "text"]),
    ] {
        assert!(!line.starts_with('{'), "{line}");
    }
}

#[test]
fn check_summarises_a_valid_file_and_checks_the_files_that_it_names() {
    let dir = Dir::new("check");
    let more = dir.put("more.routes", "23#10.0.0.2/32#2001:db8::1\n23#10.0.0.3/32#2001:db8::1\n");
    let text = "[server]\nlisten = [':4711']\nkeepalive = 5\n[client]\nserver = ['a:4711', 'b:4711']\nsubscribe = [23, 24]\n\
        announce = '23#10.0.0.1/32#2001:db8::1'\nannounce-file = 'more.routes'\n";
    let file = dir.put("m.toml", text);
    let ended = run(&["check", &file]);
    let expected = "ok (server: 2 settings; client: 2 servers, 2 subscriptions, 3 announcements)";
    assert_eq!((ended.code, ended.stdout), (Some(0), vec![format!("{file}: {expected}")]), "{:?}", ended.stderr);

    dir.put("more.routes", "23#10.0.0.2/32#2001:db8::1\n23#10.0.0.3/33#2001:db8::1\n");
    let ended = run(&["check", &file]);
    let expected = format!("metalbond: --announce-file {more}:2: prefix length 33 is over 32");
    assert_eq!((ended.code, ended.stderr), (Some(2), vec![expected]));
    dir.put("more.routes", &"x\n".repeat(25));
    let ended = run(&["check", &file]);
    assert_eq!((ended.code, ended.stderr.len()), (Some(2), 21));
    assert!(ended.stderr[20].ends_with("more.routes: 5 more lines are wrong"), "{}", ended.stderr[20]);
    assert_eq!(run(&["check", &dir.put("empty.toml", "")]).code, Some(2));
}
