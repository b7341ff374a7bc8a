//! Sources of settings: the command line, then the environment, then a file, then the built-in defaults. The settings
//! of a file are inserted before the command line's arguments, except those that the command line or the environment
//! gives. So every setting is checked by the same code.

mod file;
mod renamed;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _};

use tracing::warn;

use crate::cli::{self, Cli, Command};
use crate::reading::Reading;
use crate::{go_flags, usage};
pub(crate) use file::{File, Setting};

#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigArgs {
    /// A TOML file with settings: in its tables [server] and [client] each has the name of a flag. What is also given on the
    /// command line or in the environment is taken from there. SIGHUP, or a change of the file, has it read again: servers,
    /// subscriptions and announcements are changed then, the rest when the program is started again
    #[arg(long, value_name = "FILE", env = "METALBOND_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// The reason why there are no settings.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The command line is invalid, or asks for help or the version.
    Arguments(clap::Error),
    /// A file is invalid: one line of text for each problem.
    Text(Vec<String>),
    /// The file is a pipe or similar. It was read at the start and can't be read again.
    ReadOnce(PathBuf),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(error) => f.write_str(&usage::one_line(error)),
            Self::Text(lines) => f.write_str(&lines.join("; ")),
            Self::ReadOnce(path) => write!(f, "{}: no regular file, so it is read once", path.display()),
        }
    }
}

impl From<clap::Error> for Problem {
    fn from(error: clap::Error) -> Self {
        Self::Arguments(error)
    }
}

/// The arguments of a process, which are read at its start and on each reload.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    args: Vec<OsString>,
    /// Warnings about arguments that have no effect.
    warnings: Vec<String>,
    /// Warnings that were logged, so that each is logged once.
    warned: BTreeSet<String>,
}

/// The result of reading the settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) cli: Cli,
    /// The settings of a file that are not overridden.
    pub(crate) from_file: Vec<Setting>,
    /// Warnings about settings that have no effect, one line each.
    pub(crate) warnings: Vec<String>,
}

impl Source {
    /// Returns the arguments of this process.
    pub(crate) fn of_process() -> Self {
        let (args, mut warnings) = renamed::replace(std::env::args_os().collect());
        let (args, more) = go_flags::without_empty(args);
        warnings.extend(more);
        Self { args, warnings, warned: BTreeSet::new() }
    }

    /// Returns arguments as if the program were started with only a settings file.
    pub(crate) fn of_file(role: &str, path: &std::path::Path) -> Self {
        let args = vec!["metalbond".into(), role.into(), "--config".into(), path.into()];
        Self { args, warnings: Vec::new(), warned: BTreeSet::new() }
    }

    /// Logs each warning once.
    pub(crate) fn warn(&mut self, warnings: Vec<String>) {
        for warning in warnings {
            if !self.warned.contains(&warning) {
                warn!("{warning}");
                self.warned.insert(warning);
            }
        }
    }

    /// Reads the command line, the environment and the file that they name.
    pub(crate) fn read(&self, reading: &mut Reading) -> Result<Settings, Problem> {
        let command = command();
        // An error that exists without the file is reported first, because the file did not cause it. A missing
        // argument does not count: the file may give it.
        if let Err(error) = command.clone().try_get_matches_from(&self.args)
            && error.kind() != ErrorKind::MissingRequiredArgument
        {
            return Err(error.into());
        }
        let seen = self.seen(&command);
        let role = seen.as_ref().and_then(ArgMatches::subcommand);
        let old = role.and_then(|(role, _)| command.find_subcommand(role)).map(renamed::variable_warnings);
        let given_warnings = self.warnings.iter().cloned().chain(old.into_iter().flatten());
        let path = role.and_then(|(_, given)| config_of(given));
        let (Some((role, given)), Some(path)) = (role, path) else {
            let cli = Cli::from_arg_matches(&command.try_get_matches_from(&self.args)?)?;
            check(&cli).map_err(|why| Problem::Text(vec![why]))?;
            let warnings = given_warnings.chain(warnings(&cli)).collect();
            return Ok(Settings { cli, from_file: Vec::new(), warnings });
        };
        let file = File::read(path, reading, &command, Some(role)).map_err(Problem::Text)?;
        let is_given = |setting: &Setting| {
            let source = given.value_source(&setting.id);
            matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        let file_warnings = file.warnings.clone();
        let from_file: Vec<_> = file.of(role).filter(|setting| !is_given(setting)).cloned().collect();
        let cli = self.with(&from_file, command, role).and_then(|cli| {
            check(&cli).map_err(|why| Problem::Text(vec![why]))?;
            Ok(cli)
        });
        // An error about a combination of settings names a flag. If the file sets that flag, the error gets the
        // position in the file.
        let with_place = |text: &str| {
            let named = from_file.iter().filter_map(|setting| Some((setting.named_at(text)?, setting)));
            named.min_by_key(|(at, _)| *at).map(|(_, setting)| format!("{}: {text}", setting.place))
        };
        let cli = cli.map_err(|problem| match &problem {
            Problem::Arguments(error) if !error.use_stderr() => problem,
            _ => match with_place(&problem.to_string()) {
                Some(text) => Problem::Text(vec![text]),
                None => problem,
            },
        })?;
        let warnings = warnings(&cli).into_iter().map(|warning| with_place(&warning).unwrap_or(warning));
        let warnings = given_warnings.chain(file_warnings).chain(warnings).collect();
        Ok(Settings { cli, from_file, warnings })
    }

    /// Reads the settings again. Fails if the file can be read only once.
    pub(crate) fn read_again(&self, reading: &mut Reading) -> Result<Settings, Problem> {
        if let Some(path) = self.file()
            && std::fs::metadata(&path).is_ok_and(|meta| !meta.is_file())
        {
            return Err(Problem::ReadOnce(path));
        }
        self.read(reading)
    }

    /// Returns the settings file that the arguments name.
    fn file(&self) -> Option<PathBuf> {
        config_of(self.seen(&command())?.subcommand()?.1).cloned()
    }

    /// Parses the arguments and the environment, ignoring missing arguments.
    fn seen(&self, command: &clap::Command) -> Option<ArgMatches> {
        command.clone().ignore_errors(true).try_get_matches_from(&self.args).ok()
    }

    fn with(&self, from_file: &[Setting], command: clap::Command, role: &str) -> Result<Cli, Problem> {
        let mut args = self.args.clone();
        // After the subcommand's name, where the program's own flags are accepted as well.
        let place = args.iter().skip(1).position(|arg| arg == role).map_or(args.len(), |place| place + 2);
        args.splice(place..place, from_file.iter().flat_map(|setting| setting.args.iter().cloned()));
        Ok(Cli::from_arg_matches(&command.try_get_matches_from(args)?)?)
    }
}

fn config_of(given: &ArgMatches) -> Option<&PathBuf> {
    given.try_get_one("config").ok().flatten()
}

/// Returns the command line definition. An empty environment variable counts as not set.
pub(crate) fn command() -> clap::Command {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_empty =
        |arg: &clap::Arg| arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|v| v.is_empty()));
    let unset = move |arg: clap::Arg| {
        let arg = renamed::read_old_variable(arg, is_set);
        if is_empty(&arg) { arg.env(None::<&str>) } else { arg }
    };
    let command = Cli::command().mut_args(unset).mut_subcommands(move |command| command.mut_args(unset));
    go_flags::accept(command)
}

/// Returns the warnings about arguments that have no effect.
fn warnings(cli: &Cli) -> Vec<String> {
    match &cli.command {
        Command::Client(args) => cli::client_warnings(args),
        _ => Vec::new(),
    }
}

/// Checks the combination of arguments.
fn check(cli: &Cli) -> Result<(), String> {
    match &cli.command {
        Command::Server(args) => cli::check_server(args),
        Command::Client(args) => cli::check_client(args),
        Command::Bench(args) => args.check(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;

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
}
