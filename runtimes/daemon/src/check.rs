//! `metalbond check`: says what is wrong with a file of settings, or what it asks for.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use crate::announce_file;
use crate::cli::Command;
use crate::config::{File, Problem, Settings, Source, command};

/// What is told of one file of announcements at most: it may be anything.
const ERRORS_MAX: usize = 20;

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// The file, as for --config. Files with announcements that it names are checked as well
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Prints what the file asks for.
///
/// # Errors
/// All that is wrong.
pub(crate) fn run(args: &CheckArgs) -> Result<(), Vec<String>> {
    let path = &args.file;
    let file = File::read(path, &command(), None)?;
    if file.roles.is_empty() {
        return Err(vec![format!("{}: there is neither [server] nor [client]", path.display())]);
    }
    let (mut errors, mut good) = (Vec::new(), Vec::new());
    for role in &file.roles {
        match Source::of_file(role, path).read() {
            Err(Problem::Text(lines)) => errors.extend(lines),
            Err(problem) => errors.push(format!("{}: [{role}]: {problem}", path.display())),
            Ok(Settings { cli, from_file }) => match &cli.command {
                Command::Client(args) => {
                    let mut announcements = args.announce.len();
                    for path in args.files() {
                        let (count, wrong) = announce_file::check(&path);
                        announcements += count;
                        errors.extend(wrong.iter().take(ERRORS_MAX).map(ToString::to_string));
                        if let Some(more) = wrong.len().checked_sub(ERRORS_MAX).filter(|more| *more > 0) {
                            errors.push(format!("--announce-file {}: {more} more lines are wrong", path.display()));
                        }
                    }
                    good.push(format!(
                        "client: {} servers, {} subscriptions, {announcements} announcements",
                        args.server.len(),
                        args.subscribe.len(),
                    ));
                }
                _ => good.push(format!("server: {} settings", from_file.len())),
            },
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    // A closed pipe is no failure.
    let _ = writeln!(std::io::stdout(), "{}: ok ({})", path.display(), good.join("; "));
    Ok(())
}
