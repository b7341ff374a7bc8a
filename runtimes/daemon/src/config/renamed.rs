//! Renamed flags of the server and the client. The old name still works on the command line, in the environment and in
//! a file, and a warning names the new one. The old name is not in --help.

use std::ffi::OsString;

use clap::{Arg, Command};

use crate::go_flags::take_command;

/// A renamed flag. The names of its variables are derived from both names.
struct Renamed {
    old: &'static str,
    new: &'static str,
    old_variable: &'static str,
}

const RENAMED: [Renamed; 4] = [
    Renamed { old: "hold", new: "stale-time", old_variable: "METALBOND_HOLD" },
    Renamed { old: "warming", new: "convergence-time", old_variable: "METALBOND_WARMING" },
    Renamed { old: "keep-out", new: "ban-time-max", old_variable: "METALBOND_KEEP_OUT" },
    Renamed { old: "send-hold", new: "send-hold-time", old_variable: "METALBOND_SEND_HOLD" },
];

/// Returns the old and the new name of each renamed flag.
#[cfg(test)]
pub(crate) fn renamed() -> impl Iterator<Item = (&'static str, &'static str)> {
    RENAMED.iter().map(|flag| (flag.old, flag.new))
}

/// Returns the current name of a setting, if `name` is an old one.
pub(super) fn new_name(name: &str) -> Option<&'static str> {
    RENAMED.iter().find(|flag| flag.old == name).map(|flag| flag.new)
}

/// Returns the name that a setting had before, if it had another one.
pub(super) fn old_name(name: &str) -> Option<&'static str> {
    RENAMED.iter().find(|flag| flag.new == name).map(|flag| flag.old)
}

/// Returns the warning for the use of an old name.
pub(super) fn warning(old: &str, new: &str) -> String {
    format!("'{old}' is the old name of '{new}': please use the new one")
}

/// Replaces old names of flags after `server` or `client`. Returns the arguments, and a warning for each old name.
pub(super) fn replace(args: Vec<OsString>) -> (Vec<OsString>, Vec<String>) {
    let mut args = args.into_iter();
    let (mut replaced, mut warnings) = (take_command(&mut args), Vec::new());
    for arg in args.by_ref() {
        if arg == "--" {
            replaced.push(arg);
            break;
        }
        let text = arg.to_str().unwrap_or_default();
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let Some(new) = name.strip_prefix("--").and_then(new_name) else {
            replaced.push(arg);
            continue;
        };
        warnings.push(warning(name, &format!("--{new}")));
        replaced.push(value.map_or_else(|| format!("--{new}"), |value| format!("--{new}={value}")).into());
    }
    replaced.extend(args);
    (replaced, warnings)
}

/// Makes a flag take its value from the variable of its old name, if that variable is set and the new one is not.
pub(super) fn read_old_variable(arg: Arg, is_set: impl Fn(&str) -> bool) -> Arg {
    let is_new_set = arg.get_env().and_then(|name| name.to_str()).is_some_and(&is_set);
    let renamed = RENAMED.iter().find(|flag| arg.get_long() == Some(flag.new));
    match renamed.filter(|flag| !is_new_set && is_set(flag.old_variable)) {
        Some(flag) => arg.env(flag.old_variable),
        None => arg,
    }
}

/// Returns a warning for each flag of a subcommand that takes its value from the variable of its old name.
pub(super) fn variable_warnings(command: &Command) -> Vec<String> {
    let old = |arg: &Arg| {
        let (variable, long) = (arg.get_env()?.to_str()?, arg.get_long()?);
        let flag = RENAMED.iter().find(|flag| flag.new == long && flag.old_variable == variable)?;
        let new = format!("METALBOND_{}", flag.new.replace('-', "_").to_ascii_uppercase());
        Some(warning(variable, &new))
    };
    command.get_arguments().filter_map(old).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn an_old_name_is_replaced_and_a_warning_names_the_new_one() {
        for (args, expected, warned) in [
            ("m client --hold 5 --stale-time=6", "m client --stale-time 5 --stale-time=6", 1),
            ("m -v server --warming=5 --keep-out 0", "m -v server --convergence-time=5 --ban-time-max 0", 2),
            ("m server --hold-on --holding=1 hold", "m server --hold-on --holding=1 hold", 0),
            ("m client -- --hold=1", "m client -- --hold=1", 0),
            ("m show --hold", "m show --hold", 0),
        ] {
            let (replaced, warnings) = replace(split(args));
            assert_eq!((replaced, warnings.len()), (split(expected), warned), "{args}: {warnings:?}");
        }
        let (_, warnings) = replace(split("m client --hold=5"));
        assert_eq!(warnings, ["'--hold' is the old name of '--stale-time': please use the new one"]);
    }

    #[test]
    fn the_old_variable_is_used_if_the_new_one_is_not_set() {
        let arg = || Arg::new("stale_time").long("stale-time").env("METALBOND_STALE_TIME");
        for (set, variable) in [
            (&["METALBOND_HOLD"][..], "METALBOND_HOLD"),
            (&["METALBOND_HOLD", "METALBOND_STALE_TIME"], "METALBOND_STALE_TIME"),
            (&[], "METALBOND_STALE_TIME"),
        ] {
            let arg = read_old_variable(arg(), |name| set.contains(&name));
            assert_eq!(arg.get_env().unwrap(), variable, "{set:?}");
            let warnings = variable_warnings(&Command::new("client").arg(arg));
            assert_eq!(warnings.len(), usize::from(variable == "METALBOND_HOLD"), "{warnings:?}");
        }
    }
}
