//! Errors and warnings of the program itself: one line each on standard error.

use std::error::Error as _;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ErrorKind};

use crate::logging;

/// Timeout for writing to standard error.
const PATIENCE: Duration = Duration::from_millis(300);

/// Prints an error in one line. Returns the exit code.
pub(crate) fn complain(code: u8, what: impl Display) -> ExitCode {
    let mut line = String::new();
    for c in what.to_string().chars() {
        // Escapes control characters, so that an argument with a line end does not break the line.
        if c.is_control() { line.extend(c.escape_debug()) } else { line.push(c) }
    }
    // A blocked standard error is ignored.
    logging::within(PATIENCE, move || {
        let _ = writeln!(std::io::stderr(), "metalbond: {line}");
    });
    ExitCode::from(code)
}

/// Prints a warning in one line on standard error.
pub(crate) fn warn(what: impl Display) {
    complain(0, format_args!("warning: {what}"));
}

/// Prints all errors, one line each.
pub(crate) fn complain_all(code: u8, lines: Vec<String>) -> ExitCode {
    for line in lines {
        complain(code, line);
    }
    ExitCode::from(code)
}

/// Prints help and version to standard output, with exit code 0. Any other error is printed in one line, with exit code
/// 2.
pub(crate) fn from_clap(error: &clap::Error) -> ExitCode {
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe (`metalbond --help | head -1`) is not an error.
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

/// Formats an error in one line. An invalid value becomes for example `--announce '23#10.0.0.0/33#2001:db8::1': prefix
/// length 33 is over 32`; other errors keep clap's text.
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
