//! A settings file in TOML. Each setting has the name and the value of a flag, and a position in the file.

use std::any::TypeId;
use std::ffi::OsString;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::renamed;
use crate::position::Position;
use crate::reading::Reading;
use crate::{go_flags, usage};

/// The tables that a file may have.
const ROLES: [&str; 2] = ["server", "client"];
/// Flags that can't be set in a file.
const NOT_HERE: [&str; 3] = ["config", "help", "version"];

/// A position in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    path: PathBuf,
    position: Position,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.position)
    }
}

/// One setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Setting {
    /// The flag's id and long name.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) place: Place,
    /// The equivalent command line arguments.
    pub(crate) args: Vec<OsString>,
    /// The table that contains the setting, or `None` if it applies to both roles.
    role: Option<&'static str>,
}

impl Setting {
    /// Returns the byte position at which `error` names this setting.
    pub(crate) fn named_at(&self, error: &str) -> Option<usize> {
        let flag = format!("--{}", self.name);
        let mut all = error.match_indices(&flag).map(|(at, _)| at);
        all.find(|at| {
            let behind = error[at + flag.len()..].chars().next();
            behind.is_none_or(|c| !c.is_alphanumeric() && c != '-')
        })
    }
}

/// The contents of a settings file.
#[derive(Debug)]
pub(crate) struct File {
    settings: Vec<Setting>,
    /// The tables that the file has.
    pub(crate) roles: Vec<&'static str>,
    /// Warnings about old names of settings, one line each, from the tables that apply.
    pub(crate) warnings: Vec<String>,
}

impl File {
    /// Reads a file and checks each setting separately. With `only`, just that role's table is checked; the other one
    /// only has to be valid TOML.
    pub(crate) fn read(
        path: &Path,
        reading: &mut Reading,
        command: &Command,
        only: Option<&str>,
    ) -> Result<Self, Vec<String>> {
        let (bytes, _) = reading.read(path).map_err(|error| vec![format!("{}: {error}", path.display())])?;
        let text = str::from_utf8(&bytes).map_err(|error| {
            // The bytes before that position are valid.
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            vec![format!("{}: not UTF-8", place(path, &good, good.len()))]
        })?;
        let mut reader = Reader { path, text, settings: Vec::new(), warnings: Vec::new(), errors: Vec::new() };
        let mut roles = Vec::new();
        match DeTable::parse(text) {
            Ok(table) => reader.file(table.get_ref(), command, only, &mut roles),
            Err(error) => {
                let at = error.span().unwrap_or(0..0);
                reader.complain(&at, error.message().lines().collect::<Vec<_>>().join(" "));
            }
        }
        let Reader { settings, warnings, mut errors, .. } = reader;
        if errors.is_empty() {
            roles.sort_by_key(|role| ROLES.iter().position(|other| other == role));
            return Ok(Self { settings, roles, warnings });
        }
        errors.sort_by_key(|(place, _)| place.position);
        Err(errors.into_iter().map(|(place, why)| format!("{place}: {why}")).collect())
    }

    /// Returns the settings of a role.
    pub(crate) fn of(&self, role: &str) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(move |setting| setting.role.is_none_or(|other| other == role))
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    settings: Vec<Setting>,
    warnings: Vec<String>,
    errors: Vec<(Place, String)>,
}

impl Reader<'_> {
    fn file(&mut self, file: &DeTable<'_>, root: &Command, only: Option<&str>, roles: &mut Vec<&'static str>) {
        for (key, value) in file {
            let name: &str = key.get_ref();
            match (ROLES.iter().find(|role| **role == name), value.get_ref()) {
                (Some(role), DeValue::Table(table)) => {
                    roles.push(role);
                    if only.is_none_or(|only| only == *role)
                        && let Some(command) = root.find_subcommand(role)
                    {
                        for (key, value) in table {
                            self.setting(command, root, Some(role), key, value);
                        }
                    }
                }
                (Some(_), _) => self.complain(&key.span(), format!("'{name}' must be a table: [{name}]")),
                (None, DeValue::Table(_)) => {
                    self.complain(&key.span(), format!("there is no table [{name}]; there are [server] and [client]"));
                }
                (None, _) => self.setting(root, root, None, key, value),
            }
        }
    }

    fn setting(
        &mut self,
        command: &Command,
        root: &Command,
        role: Option<&'static str>,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let given: &str = key.get_ref();
        let new = renamed::new_name(given).filter(|new| command.get_arguments().any(|arg| arg.get_long() == Some(new)));
        let name = new.unwrap_or(given);
        let mut flags = command.get_arguments().filter(|arg| !NOT_HERE.contains(&arg.get_id().as_str()));
        let Some(arg) = flags.find(|arg| arg.get_long() == Some(name)) else {
            let known = command.get_arguments().filter_map(Arg::get_long).filter(|long| !NOT_HERE.contains(long));
            let near = known.map(|long| (strsim::jaro_winkler(long, name), long)).max_by(|a, b| a.0.total_cmp(&b.0));
            let hint = if root.get_arguments().any(|arg| arg.get_long() == Some(name)) {
                Some("; it stands before the tables".to_owned())
            } else {
                near.filter(|(likeness, _)| *likeness > 0.8).map(|(_, long)| format!("; did you mean '{long}'?"))
            };
            let table = role.map_or("outside of the tables".to_owned(), |role| format!("in [{role}]"));
            return self
                .complain(&key.span(), format!("there is no setting '{name}' {table}{}", hint.unwrap_or_default()));
        };
        let place = self.place(key.span().start);
        if self.settings.iter().any(|setting| setting.role == role && setting.name == name) {
            // TOML has each key once: the other one was the old name, or is.
            let old = renamed::old_name(name).unwrap_or(given);
            return self.complain(&key.span(), format!("'{name}' is given twice, once by its old name '{old}'"));
        }
        self.warnings.extend(new.map(|new| format!("{place}: {}", renamed::warning(given, new))));
        match self.args(arg, name, value) {
            Ok(args) => {
                self.settings.push(Setting { id: arg.get_id().to_string(), name: name.to_owned(), place, args, role })
            }
            Err((at, why)) => self.complain(&at, why),
        }
    }

    /// Returns the equivalent command line arguments of a setting.
    fn args(
        &self,
        arg: &Arg,
        name: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<OsString>, (Range<usize>, String)> {
        let flag = format!("--{name}");
        match (arg.get_action(), value.get_ref()) {
            (_, DeValue::Boolean(is_on)) if go_flags::may_stand_alone(arg) => {
                Ok(vec![format!("{flag}={is_on}").into()])
            }
            (_, other) if go_flags::is_switch(arg) => {
                Err((value.span(), format!("{name}: {}, expected true or false", other.type_str())))
            }
            (ArgAction::Append, DeValue::Array(values))
                if values.is_empty() && !arg.get_default_values().is_empty() =>
            {
                // An empty array would mean the built-in default, not an empty list.
                Err((value.span(), format!("{name}: an empty array")))
            }
            (ArgAction::Append, DeValue::Array(values)) => {
                let mut check = alone(arg);
                values.iter().map(|value| self.one(arg, &mut check, &flag, value)).collect()
            }
            _ => Ok(vec![self.one(arg, &mut alone(arg), &flag, value)?]),
        }
    }

    /// Returns the text of one value of a flag. `check` is a command with just that flag.
    fn one(
        &self,
        arg: &Arg,
        check: &mut Command,
        flag: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<OsString, (Range<usize>, String)> {
        let name = &flag[2..];
        let bad = |why: String| (value.span(), why);
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => number.to_string(),
                Err(_) => number.to_string(),
            },
            other => return Err(bad(format!("{name}: {}, expected a string or a number", other.type_str()))),
        };
        // Uses the same parser as the command line.
        if let Err(error) = check.try_get_matches_from_mut([format!("--alone={text}")]) {
            let why = usage::one_line(&error);
            return Err(bad(why.replacen("--alone", name, 1)));
        }
        let mut given = OsString::from(format!("{flag}="));
        let is_path = arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
        if is_path && text != "-" {
            // Paths are relative to the settings file.
            given.push(self.path.parent().unwrap_or(Path::new("")).join(text));
        } else {
            given.push(text);
        }
        Ok(given)
    }

    fn complain(&mut self, at: &Range<usize>, why: String) {
        self.errors.push((self.place(at.start), why));
    }

    fn place(&self, at: usize) -> Place {
        place(self.path, self.text, at)
    }
}

/// Returns a command with a flag `--alone` that accepts the same values as `arg`.
fn alone(arg: &Arg) -> Command {
    let mut alone = Arg::new("alone").long("alone").value_parser(arg.get_value_parser().clone());
    alone = alone.action(ArgAction::Append).num_args(1).ignore_case(arg.is_ignore_case_set());
    alone = alone.value_names(arg.get_value_names().unwrap_or_default().to_vec());
    if let Some(delimiter) = arg.get_value_delimiter() {
        alone = alone.value_delimiter(delimiter);
    }
    Command::new("metalbond").no_binary_name(true).arg(alone)
}

fn place(path: &Path, text: &str, at: usize) -> Place {
    Place { path: path.to_owned(), position: Position::of(text, at) }
}
