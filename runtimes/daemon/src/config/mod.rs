//! Sources of settings: the command line, then the environment, then a file, then the built-in defaults. The settings
//! of a file are inserted before the command line's arguments, except those that the command line or the environment
//! gives. So every setting is checked by the same code.

mod file;
mod renamed;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use tracing::warn;

use crate::reading::Reading;
use crate::{go_flags, usage};
pub(crate) use file::{File, Setting};
#[cfg(test)]
pub(crate) use renamed::renamed;

#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigArgs {
    /// A TOML file with settings, which have the names of flags, in tables [server] and [client]. The command line and the
    /// environment have precedence. The file is read again on SIGHUP and when it changes: servers, subscriptions and
    /// announcements are changed at once, other settings need a restart
    #[arg(long, value_name = "FILE", env = "METALBOND_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Arguments that can be read from all sources: those of the program, or those of one subcommand.
pub(crate) trait Arguments: Sized {
    /// Takes the arguments from the matches of the whole command line.
    ///
    /// # Errors
    ///
    /// If the matches are of another subcommand.
    fn of(matches: &ArgMatches) -> Result<Self, clap::Error>;

    /// Checks the combination of arguments, as far as that needs no file and no system call.
    ///
    /// # Errors
    ///
    /// What is wrong, with the name of a flag in front.
    fn check(&self) -> Result<(), String>;

    /// Returns the warnings about arguments that are accepted and have no effect, one line each.
    fn warnings(&self) -> Vec<String>;
}

/// Returns the arguments of a subcommand from the matches of the whole command line.
///
/// # Errors
///
/// If the matches are of another subcommand.
pub(crate) fn of_subcommand<A: FromArgMatches>(matches: &ArgMatches) -> Result<A, clap::Error> {
    let (_, matches) = matches.subcommand().ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))?;
    A::from_arg_matches(matches)
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
            Self::ReadOnce(path) => write!(f, "{}: not a regular file, so it is read only once", path.display()),
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
    /// The definition of the command line. An empty variable of the environment counts as not set.
    command: Command,
    args: Vec<OsString>,
    /// Warnings about arguments that have no effect.
    warnings: Vec<String>,
    /// Warnings that were logged, so that each is logged once.
    warned: BTreeSet<String>,
}

/// The result of reading the settings.
#[derive(Debug)]
pub(crate) struct Settings<A> {
    pub(crate) args: A,
    /// The settings of a file that are not overridden.
    pub(crate) from_file: Vec<Setting>,
    /// Warnings about settings that have no effect, one line each.
    pub(crate) warnings: Vec<String>,
}

impl Source {
    /// Returns the arguments of this process, for a definition of the command line.
    pub(crate) fn of_process(command: Command) -> Self {
        let (args, mut warnings) = renamed::replace(std::env::args_os().collect());
        let (args, more) = go_flags::without_empty(args);
        warnings.extend(more);
        Self { command: with_variables(command), args, warnings, warned: BTreeSet::new() }
    }

    /// Returns arguments as if the program were started with only a settings file.
    pub(crate) fn of_file(command: Command, role: &str, path: &Path) -> Self {
        let args = vec!["metalbond".into(), role.into(), "--config".into(), path.into()];
        Self { command: with_variables(command), args, warnings: Vec::new(), warned: BTreeSet::new() }
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
    pub(crate) fn read<A: Arguments>(&self, reading: &mut Reading) -> Result<Settings<A>, Problem> {
        // An error that exists without the file is reported first, because the file did not cause it. A missing
        // argument does not count: the file may give it.
        if let Err(error) = self.command.clone().try_get_matches_from(&self.args)
            && error.kind() != ErrorKind::MissingRequiredArgument
        {
            return Err(error.into());
        }
        let seen = self.seen();
        let role = seen.as_ref().and_then(ArgMatches::subcommand);
        let old = role.and_then(|(role, _)| self.command.find_subcommand(role)).map(renamed::variable_warnings);
        let given_warnings = self.warnings.iter().cloned().chain(old.into_iter().flatten());
        let path = role.and_then(|(_, given)| config_of(given));
        let (Some((role, given)), Some(path)) = (role, path) else {
            let args = self.parse::<A>(&self.args)?;
            let warnings = given_warnings.chain(args.warnings()).collect();
            return Ok(Settings { args, from_file: Vec::new(), warnings });
        };
        let file = File::read(path, reading, &self.command, Some(role)).map_err(Problem::Text)?;
        let is_given = |setting: &Setting| {
            let source = given.value_source(&setting.id);
            matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        let file_warnings = file.warnings.clone();
        let from_file: Vec<_> = file.of(role).filter(|setting| !is_given(setting)).cloned().collect();
        // An error about a combination of settings names a flag. If the file sets that flag, the error gets the
        // position in the file.
        let with_place = |text: &str| {
            let named = from_file.iter().filter_map(|setting| Some((setting.named_at(text)?, setting)));
            named.min_by_key(|(at, _)| *at).map(|(_, setting)| format!("{}: {text}", setting.place))
        };
        let args = self.parse::<A>(&self.with(&from_file, role)).map_err(|problem| match &problem {
            Problem::Arguments(error) if !error.use_stderr() => problem,
            _ => match with_place(&problem.to_string()) {
                Some(text) => Problem::Text(vec![text]),
                None => problem,
            },
        })?;
        let warnings = args.warnings().into_iter().map(|warning| with_place(&warning).unwrap_or(warning));
        let warnings = given_warnings.chain(file_warnings).chain(warnings).collect();
        Ok(Settings { args, from_file, warnings })
    }

    /// Reads the settings again. Fails if the file can be read only once.
    pub(crate) fn read_again<A: Arguments>(&self, reading: &mut Reading) -> Result<Settings<A>, Problem> {
        if let Some(path) = self.file()
            && std::fs::metadata(&path).is_ok_and(|meta| !meta.is_file())
        {
            return Err(Problem::ReadOnce(path));
        }
        self.read(reading)
    }

    /// Returns the settings file that the arguments name.
    fn file(&self) -> Option<PathBuf> {
        config_of(self.seen()?.subcommand()?.1).cloned()
    }

    /// Parses the arguments and the environment, ignoring missing arguments.
    fn seen(&self) -> Option<ArgMatches> {
        self.command.clone().ignore_errors(true).try_get_matches_from(&self.args).ok()
    }

    /// Parses and checks arguments.
    fn parse<A: Arguments>(&self, args: &[OsString]) -> Result<A, Problem> {
        let args = A::of(&self.command.clone().try_get_matches_from(args)?)?;
        args.check().map_err(|why| Problem::Text(vec![why]))?;
        Ok(args)
    }

    /// Returns the arguments with the settings of a file inserted.
    fn with(&self, from_file: &[Setting], role: &str) -> Vec<OsString> {
        let mut args = self.args.clone();
        // After the subcommand's name, where the program's own flags are accepted as well.
        let place = args.iter().skip(1).position(|arg| arg == role).map_or(args.len(), |place| place + 2);
        args.splice(place..place, from_file.iter().flat_map(|setting| setting.args.iter().cloned()));
        args
    }
}

fn config_of(given: &ArgMatches) -> Option<&PathBuf> {
    given.try_get_one("config").ok().flatten()
}

/// Prepares a definition of the command line for this process: accepts Go's way to write flags, and the old names of
/// variables. An empty environment variable counts as not set.
fn with_variables(command: Command) -> Command {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_empty =
        |arg: &clap::Arg| arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|v| v.is_empty()));
    let unset = move |arg: clap::Arg| {
        let arg = renamed::read_old_variable(arg, is_set);
        if is_empty(&arg) { arg.env(None::<&str>) } else { arg }
    };
    let command = command.mut_args(unset).mut_subcommands(move |command| command.mut_args(unset));
    go_flags::accept(command)
}
