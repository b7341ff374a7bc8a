//! A virtual machine with Debian's kernel, emulated by qemu, that runs one scenario: a shell script in `guest/`. This module knows no
//! scenario.
//!
//! The guest has one file system, made here: busybox, `ip`, `ping` and `metalbond` of this machine with the libraries they need, the
//! kernel's modules, the scripts, and the commands of the documentation. It has no disk and no network of its own. It powers off at its
//! end; if it does not, it is killed at the deadline.
//!
//! The guest's processor is always emulated, so that the test needs no right to use the machine's own. A command takes some 0.06 s there,
//! most of it for loading shared libraries.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use metalbond_conformance::{has_program, skip};

use crate::documentation;

/// Maximum duration of a scenario. On an idle machine it takes less than a minute.
const DEADLINE: Duration = Duration::from_secs(600);
/// The programs of this machine that the guest has besides busybox.
const PROGRAMS: [&str; 4] = ["bash", "ip", "ping", "sh"];
/// The kernel's modules, each before those that need it. A kernel that has one of them built in has no such file.
const MODULES: [&str; 7] = ["llc", "stp", "bridge", "tunnel6", "ip6_tunnel", "veth", "vrf"];

/// What a scenario has printed.
pub(crate) struct Printed {
    pub(crate) lines: Vec<String>,
}

/// Runs a scenario to its end: a script in `guest/`, with variables for it. Returns `None`, and says that the test is skipped, if this
/// machine lacks what it needs.
pub(crate) fn run(scenario: &str, variables: &str) -> Option<Printed> {
    let kernel = kernel()?;
    for program in ["busybox", "ldd", "qemu-system-x86_64", "strip"].iter().chain(&PROGRAMS) {
        if !has_program(program) {
            return None;
        }
    }
    let archive = archive(&kernel, scenario, variables);
    let mut guest = Guest::boot(&image(&kernel), archive, &format!("scenario={scenario} {variables}"));
    let printed = Printed { lines: guest.lines_until_the_end() };
    assert_eq!(printed.value("exit code"), "0", "{}", printed.lines.join("\n"));
    Some(printed)
}

impl Printed {
    /// Returns the value in the line `= WHAT: VALUE`.
    pub(crate) fn value(&self, what: &str) -> &str {
        let prefix = format!("= {what}: ");
        let found = self.lines.iter().find_map(|line| line.strip_prefix(&prefix));
        found.unwrap_or_else(|| panic!("no {what:?} in:\n{}", self.lines.join("\n")))
    }

    /// Checks the values of several lines.
    #[track_caller]
    pub(crate) fn expect(&self, values: &[(&str, &str)]) {
        let wrong: Vec<String> = values
            .iter()
            .filter(|(what, value)| self.value(what) != *value)
            .map(|(what, value)| format!("{what}: {:?} instead of {value:?}", self.value(what)))
            .collect();
        assert!(wrong.is_empty(), "{}\nin:\n{}", wrong.join("\n"), self.lines.join("\n"));
    }
}

/// A running guest. It is killed when dropped, and its file system removed.
struct Guest {
    qemu: Child,
    archive: PathBuf,
    lines: Receiver<String>,
}

impl Guest {
    fn boot(image: &Path, archive: PathBuf, variables: &str) -> Self {
        let options = format!("console=ttyS0 quiet loglevel=4 panic=-1 rdinit=/guest/init {variables}");
        let mut command = Command::new("qemu-system-x86_64");
        command.args([
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-smp",
            "1",
            "-m",
            "512",
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
        ]);
        command.args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-append", &options]);
        command.arg("-kernel").arg(image).arg("-initrd").arg(&archive);
        let mut qemu = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = qemu.stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                // The serial console ends lines with both characters.
                let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { qemu, archive, lines }
    }

    /// Returns what the guest prints until it powers off. Panics at the deadline.
    fn lines_until_the_end(&mut self) -> Vec<String> {
        let end = Instant::now() + DEADLINE;
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            lines.push(line);
        }
        assert!(Instant::now() < end, "the guest still runs after {DEADLINE:?}:\n{}", lines.join("\n"));
        lines
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Fails if it has already ended.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = std::fs::remove_file(&self.archive);
    }
}

/// Returns the directory with the unpacked package of the kernel. Says that the test is skipped if there is none.
fn kernel() -> Option<PathBuf> {
    let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guest-kernel");
    if kernel.join("boot").is_dir() {
        return Some(kernel);
    }
    skip("there is no kernel for a guest: .ci/guest-kernel unpacks Debian's into target/guest-kernel");
    None
}

/// Returns the bootable file of the kernel.
fn image(kernel: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(kernel.join("boot")).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("vmlinuz-")).unwrap()
}

/// Makes the guest's file system. Returns the file that the kernel unpacks at its start.
fn archive(kernel: &Path, scenario: &str, variables: &str) -> PathBuf {
    let root =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guest-{}-{scenario}-{variables}", std::process::id()));
    for dir in ["bin", "dev", "docs", "guest", "modules", "proc", "prog", "run", "sys"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    copy(&path_of("busybox"), &root.join("bin/busybox"));
    let metalbond = Path::new(env!("CARGO_BIN_EXE_metalbond"));
    for program in PROGRAMS.map(path_of).iter().map(PathBuf::as_path).chain([metalbond]) {
        copy(program, &root.join("prog").join(program.file_name().unwrap()));
        for library in libraries(program) {
            copy(&library, &root.join(library.strip_prefix("/").unwrap()));
        }
    }
    // A smaller program, because an emulated processor unpacks it.
    output(Command::new("strip").arg(root.join("prog/metalbond")));
    let modules = output(Command::new("find").arg(kernel).args(["-name", "*.ko*"]));
    for (order, name) in MODULES.iter().enumerate() {
        let is_it =
            |path: &&str| path.rsplit_once('/').is_some_and(|(_, file)| file.starts_with(&format!("{name}.ko")));
        if let Some(module) = modules.lines().find(is_it) {
            let own = root.join(format!("modules/{order}-{name}.ko"));
            // Debian 13 compresses them.
            match module.ends_with(".xz") {
                true => std::fs::write(own, bytes(Command::new("busybox").args(["xzcat", module]))).unwrap(),
                false => copy(Path::new(module), &own),
            }
        }
    }
    for script in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tunnel/guest")).unwrap() {
        let script = script.unwrap().path();
        copy(&script, &root.join("guest").join(script.file_name().unwrap()));
    }
    for (name, commands) in documentation::scripts() {
        std::fs::write(root.join("docs").join(name), commands).unwrap();
    }

    let archive = PathBuf::from(format!("{}.cpio", root.display()));
    let mut cpio = Command::new("busybox");
    cpio.args(["cpio", "-o", "-H", "newc"]).current_dir(&root);
    cpio.stdin(Stdio::piped()).stdout(std::fs::File::create(&archive).unwrap()).stderr(Stdio::null());
    let mut cpio = cpio.spawn().unwrap();
    let names = output(Command::new("find").arg(".").current_dir(&root));
    cpio.stdin.take().expect("it is piped").write_all(names.as_bytes()).unwrap();
    assert!(cpio.wait().unwrap().success());
    std::fs::remove_dir_all(&root).unwrap();
    archive
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// Returns where a program is. `command -v` prints nothing else.
fn path_of(program: &str) -> PathBuf {
    let path = output(Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]));
    PathBuf::from(path.trim())
}

/// Returns the shared libraries of a program, and what loads them.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = output(Command::new("ldd").arg(program));
    let words = listed.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(PathBuf::from).collect()
}

fn output(command: &mut Command) -> String {
    String::from_utf8(bytes(command)).unwrap()
}

fn bytes(command: &mut Command) -> Vec<u8> {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}
