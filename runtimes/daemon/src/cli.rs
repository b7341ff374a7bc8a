//! The command line: collects the subcommands, each of which describes its own arguments. Only `main` knows this module.

use clap::{ArgAction, ArgMatches, FromArgMatches as _, Parser, Subcommand};

use crate::bench::BenchArgs;
use crate::check::CheckArgs;
use crate::client::ClientArgs;
use crate::config::Arguments;
#[cfg(target_os = "linux")]
use crate::flush::FlushArgs;
use crate::inspect::{DiffArgs, ShowArgs, TopArgs, WatchArgs};
use crate::logging::LogFormat;
use crate::manual::{CompletionsArgs, ManArgs};
use crate::replay::ReplayArgs;
use crate::server::ServerArgs;

/// Route distribution for virtual networks, by the MetalBond v1 protocol.
#[derive(Parser, Debug)]
#[command(name = "metalbond", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Also log the details of connections and handshakes; -vv: messages of libraries, too. Without it, RUST_LOG is the level,
    /// or else info
    #[arg(short, long, global = true, action = ArgAction::Append, value_name = "LEVEL", value_parser = parse_verbosity)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    #[arg(env = "METALBOND_VERBOSE", display_order = 100)]
    pub(crate) verbose: Vec<u8>,
    /// Format of log lines, on standard error
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    #[arg(env = "METALBOND_LOG_FORMAT", display_order = 101)]
    pub(crate) log_format: LogFormat,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Receive routes from clients, and advertise them to the clients that subscribed to their VNI
    Server(Box<ServerArgs>),
    /// Announce routes to servers, and print the routes of other clients, or install them in the kernel
    Client(Box<ClientArgs>),
    /// Replay a recording of --record, and compare the outputs with the recorded ones
    Replay(ReplayArgs),
    /// Show the routes, peers and VNIs of a running daemon, over HTTP
    Show(ShowArgs),
    /// Follow changes of a running daemon's routes and peers
    Watch(WatchArgs),
    /// Show a running daemon's peers and VNIs on the terminal, continuously
    Top(TopArgs),
    /// Compare the tables of running daemons. Exit code 0: they hold the same routes; 1: they differ; 2: the comparison failed
    Diff(DiffArgs),
    /// Put a load on a server, and measure how long routes take to reach its clients
    Bench(BenchArgs),
    /// Check a file with settings, as for --config, or a policy; show what a policy permits a peer
    Check(CheckArgs),
    /// Remove the kernel routes and nexthop objects that a client has left; ends by itself
    #[cfg(target_os = "linux")]
    FlushRoutes(FlushArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write manual pages
    Man(ManArgs),
    /// Run a server and three clients over loopback, and show the routes that they exchange; ends by itself
    Demo,
}

impl Arguments for Cli {
    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches(matches)
    }

    fn check(&self) -> Result<(), String> {
        match &self.command {
            Command::Server(args) => args.check(),
            Command::Client(args) => args.check(),
            Command::Bench(args) => args.check(),
            _ => Ok(()),
        }
    }

    fn warnings(&self) -> Vec<String> {
        match &self.command {
            Command::Client(args) => args.warnings(),
            _ => Vec::new(),
        }
    }
}

/// Parses a value of `-v`: a count, or a boolean if it is used as a switch.
fn parse_verbosity(text: &str) -> Result<u8, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" => Ok(1),
        "false" | "no" => Ok(0),
        number => number.parse().map_err(|_| "not a number from 0 to 255".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::*;
    use crate::config::renamed;
    use crate::go_flags;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Returns the reference table: a row per flag with its name, which is also the setting's name, its variable and
    /// its default.
    fn reference(command: &clap::Command) -> String {
        let mut table = String::from("| flag, and setting | variable | built in | |\n|---|---|---|---|\n");
        for arg in flags(command) {
            let (long, env) = (arg.get_long().unwrap(), arg.get_env().unwrap_or_default().to_string_lossy());
            let built_in: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
            // Switches have no default worth listing.
            let takes_value = !go_flags::may_stand_alone(arg);
            let built_in = if takes_value { built_in.join(" ") } else { String::new() };
            let quoted = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
            let names = arg.get_value_names().filter(|_| takes_value);
            let value = names.map_or(String::new(), |names| format!(" {}", names[0]));
            let help =
                arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|").replace('\n', " ");
            let (value, env) = (value.replace('|', "\\|"), quoted(&env));
            let _ = writeln!(table, "| `--{long}{value}` | {env} | {} | {help} |", quoted(&built_in));
        }
        table
    }

    #[test]
    fn the_reference_lists_every_flag() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        let text = std::fs::read_to_string(path).unwrap();
        for command in of_both_and_each() {
            let (table, name) = (reference(&command), command.get_name());
            assert!(text.contains(&table), "docs/configuration.md should have, for {name}:\n{table}");
        }
    }

    #[test]
    fn every_flag_has_a_variable() {
        for command in of_both_and_each() {
            for arg in flags(&command) {
                assert!(arg.get_env().is_some(), "--{} of {}", arg.get_long().unwrap(), command.get_name());
            }
        }
    }

    fn of_both_and_each() -> Vec<clap::Command> {
        let command = Cli::command();
        let of = |role| command.find_subcommand(role).unwrap().clone();
        vec![of("server"), of("client"), command]
    }

    fn flags(command: &clap::Command) -> impl Iterator<Item = &clap::Arg> {
        command.get_arguments().filter(|arg| arg.get_id() != "help" && arg.get_id() != "version")
    }

    #[test]
    fn a_renamed_flag_has_only_its_new_name() {
        let command = Cli::command();
        let commands = ["server", "client"].map(|name| command.find_subcommand(name).unwrap());
        let flags: Vec<_> =
            commands.into_iter().flat_map(|command| command.get_arguments().filter_map(clap::Arg::get_long)).collect();
        for (old, new) in renamed() {
            assert!(flags.contains(&new) && !flags.contains(&old), "--{new}, once --{old}");
        }
    }
}
