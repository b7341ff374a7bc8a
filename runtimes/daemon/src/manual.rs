//! `metalbond completions` and `metalbond man`: both are generated from the definition of the command line.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::{Man, roff::Roff, roff::roman};

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Write a page for the program and for each subcommand to this directory, which is created if it is missing. Without it,
    /// the program's page is written to standard output
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Sections after the generated ones: title and text. All except the first are only for long-running subcommands.
const SECTIONS: [(&str, &str); 3] = [
    (
        "EXIT STATUS",
        "0: a requested end. 1: an error of the system. 2: an invalid argument, setting or file. The help of `metalbond diff`, \
         `metalbond check` and `metalbond replay` says what 1 means there.",
    ),
    (
        "SIGNALS",
        "SIGTERM and SIGINT end the program: sessions are closed, kernel routes stay (but see --cleanup). On SIGHUP settings \
         are read again: servers, subscriptions and announcements are changed; other sessions stay open.",
    ),
    (
        "SETTINGS",
        "The command line has precedence, then the environment (an empty variable counts as not set), then the file of \
         --config, then the default.",
    ),
];

/// Prints a script that completes this command line in a shell.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "metalbond", &mut script);
    Ok(io::stdout().write_all(&script)?)
}

/// Writes the manual pages of this command line, which must not contain values of this process's environment.
pub(crate) fn man(args: &ManArgs, mut command: Command) -> anyhow::Result<()> {
    command.build();
    let Some(dir) = &args.dir else {
        return Ok(io::stdout().write_all(&page(&command, "metalbond")?)?);
    };
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    write(dir, "metalbond", &command)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        write(dir, &format!("metalbond-{}", sub.get_name()), sub)?;
    }
    Ok(())
}

fn write(dir: &Path, name: &str, command: &Command) -> anyhow::Result<()> {
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page(command, name)?).with_context(|| path.display().to_string())
}

fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let command = command.clone().display_name(name.to_owned()).version(env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    Man::new(command)
        .title(name.to_uppercase())
        .source(concat!("metalbond ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)?;
    let mut more = Roff::new();
    let runs_on = ["metalbond", "metalbond-server", "metalbond-client"].contains(&name);
    for (title, text) in &SECTIONS[..if runs_on { SECTIONS.len() } else { 1 }] {
        more.control("SH", [*title]).text([roman(*text)]);
    }
    more.to_writer(&mut page)?;
    Ok(page)
}
