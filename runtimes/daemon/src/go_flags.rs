//! Argument syntax of the Go reference implementation that clap does not have: numbers with a base prefix, switches
//! with a value, the last of several values, empty values. Pure, except for the lookup of a network interface.

use std::any::TypeId;
use std::ffi::OsString;
use std::net::Ipv6Addr;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command};

/// Flags that take a list in the reference implementation. An empty list counts as not given, and a list may end with a
/// comma.
const LISTS: [&str; 4] = ["--server", "--subscribe", "--announce", "--install-routes"];
/// Flags with one text value. An empty value counts as not given.
const TEXTS: [&str; 3] = ["--listen", "--http", "--tun"];
/// The subcommands that the reference implementation has as well.
const COMMANDS: [&str; 2] = ["server", "client"];

/// Allows a value for every switch of a command (`--cleanup=false`), and makes the last of several values count.
pub(crate) fn accept(command: Command) -> Command {
    let switch = |arg: Arg| match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .hide_default_value(true)
            .value_parser(BoolishValueParser::new())
            .hide_possible_values(true)
            .value_name("true|false"),
        _ => arg,
    };
    command.mut_args(switch).mut_subcommands(move |sub| {
        let is_shared = COMMANDS.contains(&sub.get_name());
        sub.mut_args(switch).args_override_self(is_shared)
    })
}

/// Returns true if an argument is a switch.
pub(crate) fn is_switch(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<bool>()
}

/// Returns true if a flag may be given without a value.
pub(crate) fn may_stand_alone(arg: &Arg) -> bool {
    !arg.get_action().takes_values() || arg.get_num_args().is_some_and(|count| count.min_values() == 0)
}

/// Takes the arguments up to `server` or `client`, or all of them if the command is another one.
pub(crate) fn take_command(args: &mut impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut taken = Vec::new();
    for arg in args {
        let is_command = !taken.is_empty() && COMMANDS.iter().any(|command| arg == **command);
        taken.push(arg);
        if is_command {
            break;
        }
    }
    taken
}

/// Drops empty values of flags that take a list or a text, and the comma at the end of a list. Returns the other
/// arguments, and a warning for each dropped flag.
pub(crate) fn without_empty(args: Vec<OsString>) -> (Vec<OsString>, Vec<String>) {
    let mut args = args.into_iter();
    let (mut kept, mut warnings) = (take_command(&mut args), Vec::new());
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        if arg == "--" {
            kept.push(arg);
            break;
        }
        let text = arg.to_str().unwrap_or_default();
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let (is_list, is_text) = (LISTS.contains(&name), TEXTS.contains(&name));
        if !is_list && !is_text {
            kept.push(arg);
            continue;
        }
        let next = if value.is_none() { args.next() } else { None };
        let Some(value) = value.or_else(|| next.as_ref()?.to_str()) else {
            // The value is missing or not UTF-8. Both are reported later.
            kept.extend([Some(arg), next].into_iter().flatten());
            continue;
        };
        let value = if is_list { value.strip_suffix(',').unwrap_or(value) } else { value };
        if value.is_empty() {
            warnings.push(format!("{name} '': an empty value is none"));
        } else {
            kept.push(format!("{name}={value}").into());
        }
    }
    kept.extend(args);
    (kept, warnings)
}

/// Parses a number as Go does: decimal, or in another base with the prefix `0x`, `0o` (or `0`) or `0b`. Digits may be
/// separated by `_`.
pub(crate) fn number(text: &str, min: u32, max: u32) -> Result<u32, String> {
    let wrong = || format!("not a number from {min} to {max}");
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match lower.strip_prefix('0') {
        Some(rest) if rest.starts_with('x') => (16, &rest[1..]),
        Some(rest) if rest.starts_with('o') => (8, &rest[1..]),
        Some(rest) if rest.starts_with('b') => (2, &rest[1..]),
        Some(rest) if !rest.is_empty() => (8, rest),
        _ => (10, lower.as_str()),
    };
    let has_prefix = base != 10;
    let mut plain = String::with_capacity(digits.len());
    let mut after_digit = has_prefix;
    for c in digits.chars() {
        match c {
            // An underscore must be between two digits, or between the prefix and a digit.
            '_' if after_digit => after_digit = false,
            _ if c.is_digit(base) => {
                plain.push(c);
                after_digit = true;
            }
            _ => return Err(wrong()),
        }
    }
    if plain.is_empty() || !after_digit {
        return Err(wrong());
    }
    u32::from_str_radix(&plain, base).ok().filter(|n| (min..=max).contains(n)).ok_or_else(wrong)
}

/// Replaces the name of a network interface by its index: `[fe80::1%eth0]:4711` becomes `[fe80::1%2]:4711`. Returns any
/// other text unchanged.
pub(crate) fn with_scope_number(text: &str) -> String {
    let with_number = || {
        let (addr, rest) = text.strip_prefix('[')?.split_once('%')?;
        let (name, port) = rest.split_once(']')?;
        let _: Ipv6Addr = addr.parse().ok()?;
        if name.contains('/') {
            return None;
        }
        let index = std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?;
        Some(format!("[{addr}%{}]{port}", index.trim()))
    };
    with_number().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_base_that_its_prefix_says() {
        for (text, expected) in [
            ("0", 0),
            ("23", 23),
            ("4294967295", u32::MAX),
            ("0x17", 23),
            ("0XfF", 255),
            ("0o17", 15),
            ("017", 15),
            ("00", 0),
            ("0b101", 5),
            ("16_777_215", 16_777_215),
            ("0x_f_f", 255),
            ("0_7", 7),
        ] {
            assert_eq!(number(text, 0, u32::MAX), Ok(expected), "{text}");
        }
        for text in
            ["", "-1", "+1", " 1", "1 ", "x", "0x", "08", "0o8", "0b2", "1__0", "_1", "1_", "0x1_", "1e3", "4294967296"]
        {
            assert_eq!(number(text, 0, u32::MAX), Err("not a number from 0 to 4294967295".to_owned()), "{text}");
        }
        assert!(number("5", 6, 7).is_err());
    }

    #[test]
    fn an_empty_value_counts_as_not_given_and_a_list_may_end_with_a_comma() {
        let split = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (args, expected, dropped) in [
            ("m client --subscribe= --server a:1,", "m client --server=a:1", 1),
            ("m client --server a:1 --http= --tun= --verbose", "m client --server=a:1 --verbose", 2),
            ("m --log-format json server --listen= -v", "m --log-format json server -v", 1),
            ("m client --subscribe 1,,2", "m client --subscribe=1,,2", 0),
            ("m client --announce-file= --subscribe", "m client --announce-file= --subscribe", 0),
            ("m show --http=", "m show --http=", 0),
            ("m client -- --http=", "m client -- --http=", 0),
        ] {
            let (kept, warnings) = without_empty(split(args));
            assert_eq!((kept, warnings.len()), (split(expected), dropped), "{args}: {warnings:?}");
        }
    }

    #[test]
    fn an_interface_name_is_replaced_by_its_index() {
        if let Ok(index) = std::fs::read_to_string("/sys/class/net/lo/ifindex") {
            assert_eq!(with_scope_number("[fe80::1%lo]:4711"), format!("[fe80::1%{}]:4711", index.trim()));
        }
        for text in ["[::1]:4711", "[fe80::1%2]:4711", "host:4711", "[fe80::1%no-such-device]:1", "[x%lo]:1", "%lo", ""]
        {
            assert_eq!(with_scope_number(text), text);
        }
    }
}
