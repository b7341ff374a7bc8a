//! `metalbond check`: reports what is wrong with a settings file or what it configures, and what a policy permits a
//! peer to do.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use metalbond::{PeerName, PeerPattern, Policy, Route, Vni};

use crate::announce_file;
use crate::client::ClientArgs;
use crate::config::{Arguments, File, Problem, Settings, Source};
use crate::policy::{self, BadPolicy, Question, explain};
use crate::reading::Reading;
use crate::server::ServerArgs;
use crate::spec;
use crate::usage;

/// Maximum number of errors that are listed for one file of announcements: a file may have any number of bad lines.
const ERRORS_MAX: usize = 20;

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// The settings file, as for --config. Announcement files and the policy that it names are checked, too
    #[arg(value_name = "FILE", required_unless_present = "policy")]
    file: Option<PathBuf>,
    /// A policy file, as for the server's --policy
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A name in a peer's certificate, dns:NAME, uri:URI or ip:ADDRESS: show what --policy permits this peer; may be given
    /// several times for a peer with several names
    #[arg(long, value_name = "NAME", value_parser = parse_peer, requires = "policy", conflicts_with = "file")]
    peer: Vec<PeerName>,
    /// The peer's address
    #[arg(long, value_name = "ADDRESS", requires = "policy", conflicts_with = "file")]
    from: Option<IpAddr>,
    /// A route, as for the client's --announce: show whether the peer may announce it. Exit code 1: not everything that was
    /// asked for is permitted
    #[arg(long, value_name = "SPEC", value_parser = spec::parse, allow_hyphen_values = true, requires = "policy")]
    #[arg(conflicts_with = "file")]
    route: Vec<Route>,
    /// A VNI: show whether the peer may subscribe to it
    #[arg(long, value_name = "VNI", value_parser = spec::parse_any_vni, allow_negative_numbers = true, requires = "policy")]
    #[arg(conflicts_with = "file")]
    vni: Vec<Vni>,
}

/// Checks the files and prints what they configure. `command` defines the flags whose names a file may have.
///
/// # Errors
///
/// All that is wrong.
pub(crate) fn run(args: &CheckArgs, command: &Command) -> Result<ExitCode, Vec<String>> {
    let mut text = String::new();
    if let Some(path) = &args.file {
        text += &settings(path, command)?;
    }
    let mut is_permitted = true;
    if let Some(path) = &args.policy {
        let policy = read_policy(path).map_err(|why| vec![why.to_string()])?;
        let is_asked = !args.peer.is_empty() || args.from.is_some();
        let has_questions = !args.route.is_empty() || !args.vni.is_empty();
        if has_questions && !is_asked {
            return Err(vec!["--route and --vni need a peer: give --peer or --from".to_owned()]);
        }
        if is_asked {
            let question = Question { names: &args.peer, from: args.from, routes: &args.route, vnis: &args.vni };
            let (answer, permitted) = explain(&policy, &question);
            is_permitted = permitted;
            text += &answer;
        } else {
            text += &format!("{}: ok (policy: {} rules)\n", path.display(), policy.rules().len());
        }
    }
    // A closed pipe is not an error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(if is_permitted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads a policy, and warns about parts that have no effect.
fn read_policy(path: &Path) -> Result<Policy, BadPolicy> {
    let policy = policy::read(path, &mut Reading::default())?;
    for warning in policy::warnings(&policy) {
        usage::warn(format_args!("--policy {}: {warning}", path.display()));
    }
    Ok(policy)
}

/// Parses the name of a peer. Certificates may contain other names, but a name that no pattern of a policy can match is
/// a typing error here.
fn parse_peer(text: &str) -> Result<PeerName, String> {
    let name = text.parse::<PeerName>().map_err(|why| why.to_string())?;
    text.parse::<PeerPattern>().map_err(|why| why.to_string())?;
    Ok(name)
}

/// Checks a settings file and what it names. Returns what it configures.
fn settings(path: &Path, command: &Command) -> Result<String, Vec<String>> {
    let file = File::read(path, &mut Reading::default(), command, None)?;
    if file.roles.is_empty() {
        return Err(vec![format!("{}: there is neither [server] nor [client]", path.display())]);
    }
    let (mut found, mut good) = (Found::default(), Vec::new());
    for &role in &file.roles {
        let source = Source::of_file(command.clone(), role, path);
        let summary = match role {
            "client" => found.read(&source, path, role).map(|settings| found.client(&settings)),
            _ => found.read(&source, path, role).map(|settings| found.server(&settings)),
        };
        good.extend(summary);
    }
    for warning in found.warnings {
        usage::warn(warning);
    }
    if !found.errors.is_empty() {
        return Err(found.errors);
    }
    Ok(format!("{}: ok ({})\n", path.display(), good.join("; ")))
}

/// What is wrong with a settings file, and what has no effect.
#[derive(Default)]
struct Found {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Found {
    /// Reads the settings of a role. Returns `None` if they are invalid.
    fn read<A: Arguments>(&mut self, source: &Source, path: &Path, role: &str) -> Option<Settings<A>> {
        match source.read::<A>(&mut Reading::default()) {
            Ok(mut settings) => {
                self.warnings.append(&mut settings.warnings);
                return Some(settings);
            }
            Err(Problem::Text(lines)) => self.errors.extend(lines),
            Err(problem) => self.errors.push(format!("{}: [{role}]: {problem}", path.display())),
        }
        None
    }

    /// Checks the files that a client's settings name.
    fn client(&mut self, settings: &Settings<ClientArgs>) -> String {
        let args = &settings.args;
        let mut announcements = args.announce.len();
        for path in args.files() {
            let (count, wrong, warnings) = announce_file::check(&path);
            self.warnings.extend(warnings);
            announcements += count;
            self.errors.extend(wrong.iter().take(ERRORS_MAX).map(ToString::to_string));
            if let Some(more) = wrong.len().checked_sub(ERRORS_MAX).filter(|more| *more > 0) {
                self.errors.push(format!("--announce-file {}: {more} more lines are wrong", path.display()));
            }
        }
        let (servers, subscriptions) = (args.server.len(), args.subscribe.len());
        format!("client: {servers} servers, {subscriptions} subscriptions, {announcements} announcements")
    }

    /// Checks the policy that a server's settings name.
    fn server(&mut self, settings: &Settings<ServerArgs>) -> String {
        if let Some(Err(why)) = settings.args.policy.policy.as_deref().map(read_policy) {
            self.errors.push(why.to_string());
        }
        format!("server: {} settings", settings.from_file.len())
    }
}
