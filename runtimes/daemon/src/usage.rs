//! What the program says when it can't go on: one line on standard error, whatever it is.

use std::error::Error as _;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ErrorKind};

use crate::logging;

/// How long a reader of standard error may take.
const PATIENCE: Duration = Duration::from_millis(300);

/// Says what is wrong, in one line, and gives the exit code.
pub(crate) fn complain(code: u8, what: impl Display) -> ExitCode {
    let mut line = String::new();
    for c in what.to_string().chars() {
        // An argument may hold anything; the line stays one.
        if c.is_control() { line.extend(c.escape_debug()) } else { line.push(c) }
    }
    // Nobody reads it: then nobody needs to be told.
    logging::within(PATIENCE, move || {
        let _ = writeln!(std::io::stderr(), "metalbond: {line}");
    });
    ExitCode::from(code)
}

/// Says what a user should know though it is no error, in one line on standard error.
pub(crate) fn warn(what: impl Display) {
    complain(0, format_args!("warning: {what}"));
}

/// Says all that is wrong, one line each.
pub(crate) fn complain_all(code: u8, lines: Vec<String>) -> ExitCode {
    for line in lines {
        complain(code, line);
    }
    ExitCode::from(code)
}

/// Help and version go to standard output with exit code 0; an error becomes one line, with exit code 2.
pub(crate) fn from_clap(error: &clap::Error) -> ExitCode {
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe (`metalbond --help | head -1`) is no failure.
            let _ = write!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(std::io::stderr(), "{text}");
            ExitCode::from(2)
        }
        _ => complain(2, one_line(error)),
    }
}

/// `--announce '23#10.0.0.0/33#2001:db8::1': prefix length 33 is over 32` for a value, and clap's own words for the rest.
pub(crate) fn one_line(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::InvalidUtf8
        && let Some(argument) = std::env::args_os().find(|argument| argument.to_str().is_none())
    {
        return format!("argument {argument:?}: not UTF-8");
    }
    let context = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let value = context(ContextKind::InvalidValue);
    let why = match error.kind() {
        ErrorKind::ValueValidation => error.source().map(ToString::to_string),
        ErrorKind::InvalidValue if !value.is_empty() => {
            Some(format!("not one of {}", context(ContextKind::ValidValue)))
        }
        _ => None,
    };
    if let Some(why) = why {
        let argument = context(ContextKind::InvalidArg);
        let name = argument.split(' ').next().unwrap_or_default();
        return format!("{name} '{value}': {why}");
    }
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let text = lines.collect::<Vec<_>>().join(" ");
    format!("{} (see --help)", text.strip_prefix("error: ").unwrap_or(&text))
}
