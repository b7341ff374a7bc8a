//! Announcements in text form, one SPEC per line. Empty lines and lines that start with `#` are ignored. A file is read
//! completely before anything starts, and one bad line makes the whole file invalid. Standard input is read as it
//! arrives, and a bad line is reported and skipped.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use metalbond::Route;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Stdin};

use crate::reading::Reading;
use crate::spec::{self, Spec};

/// Maximum length of a line in bytes, far longer than any SPEC. The rest of a longer line is dropped, so that input
/// without line ends uses no memory.
const LINE_MAX: usize = 1024;

/// Maximum number of warnings that are listed for one file.
const WARNINGS_MAX: usize = 20;

/// Maximum number of lines of standard input in one batch.
const BATCH_MAX: usize = 4096;

/// Time between two reads of a non-blocking standard input that has no data.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// The reason why a file can't be used.
#[derive(Debug)]
pub(crate) enum FileError {
    /// The file can't be read.
    Read(PathBuf, io::Error),
    /// The line with this number is not a valid SPEC. The text says why.
    Line(PathBuf, usize, String),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("--announce-file ")?;
        match self {
            Self::Read(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Line(path, number, why) => write!(f, "{}:{number}: {why}", path.display()),
        }
    }
}

impl std::error::Error for FileError {}

/// The announcements of a file.
#[derive(Clone, Debug)]
pub(crate) struct Announcements {
    pub(crate) path: PathBuf,
    pub(crate) routes: Vec<Route>,
    /// Warnings about parts of lines that have no effect.
    pub(crate) warnings: Vec<String>,
    /// True if the file can be read only once, for example a pipe.
    pub(crate) is_gone: bool,
}

/// Reads each file completely.
pub(crate) fn read_all(paths: &[PathBuf], reading: &mut Reading) -> Result<Vec<Announcements>, FileError> {
    let read = |path: &PathBuf| {
        let (bytes, is_regular) = bytes(path, reading)?;
        let specs = specs(path, &bytes).collect::<Result<Vec<_>, _>>()?;
        let warnings = warnings(path, &specs);
        let routes = specs.into_iter().map(|(_, spec)| spec.route).collect();
        Ok(Announcements { path: path.clone(), routes, warnings, is_gone: !is_regular })
    };
    paths.iter().map(read).collect()
}

/// Checks a file. Returns its number of routes, its errors, and warnings about parts that have no effect.
pub(crate) fn check(path: &Path) -> (usize, Vec<FileError>, Vec<String>) {
    let bytes = match bytes(path, &mut Reading::default()) {
        Ok((bytes, _)) => bytes,
        Err(error) => return (0, vec![error], Vec::new()),
    };
    let (mut good, mut errors) = (Vec::new(), Vec::new());
    for spec in specs(path, &bytes) {
        match spec {
            Ok(spec) => good.push(spec),
            Err(error) => errors.push(error),
        }
    }
    (good.len(), errors, warnings(path, &good))
}

/// Returns the warnings of a file's lines. If there are more than [`WARNINGS_MAX`], only their number is reported.
fn warnings(path: &Path, specs: &[(usize, Spec)]) -> Vec<String> {
    let path = path.display();
    let all = specs.iter().filter_map(|(number, spec)| Some((number, spec.warning.as_ref()?)));
    let mut lines: Vec<_> = all
        .clone()
        .take(WARNINGS_MAX)
        .map(|(number, warning)| format!("--announce-file {path}:{number}: {warning}"))
        .collect();
    if let Some(more) = all.count().checked_sub(WARNINGS_MAX).filter(|more| *more > 0) {
        lines.push(format!("--announce-file {path}: {more} more lines like these"));
    }
    lines
}

fn bytes(path: &Path, reading: &mut Reading) -> Result<(Vec<u8>, bool), FileError> {
    reading.read(path).map_err(|error| FileError::Read(path.to_owned(), error))
}

/// Parses a file. Returns each SPEC with its line number.
fn specs(path: &Path, bytes: &[u8]) -> impl Iterator<Item = Result<(usize, Spec), FileError>> {
    let lines = text(bytes).split(|&b| b == b'\n').enumerate();
    lines.filter_map(move |(index, line)| {
        let spec = match parse_line(line) {
            Ok(Some((Line::Add(route), warning))) => Ok((index + 1, Spec { route, warning })),
            Ok(Some((Line::Withdraw(_), _))) => Err("only a line of standard input can withdraw".to_owned()),
            Ok(None) => return None,
            Err(why) => Err(why),
        };
        Some(spec.map_err(|why| FileError::Line(path.to_owned(), index + 1, why)))
    })
}

/// Removes the byte order mark that some editors write at the start of a UTF-8 file.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// A parsed line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line {
    Add(Route),
    Withdraw(Route),
}

/// Parses a line. Returns `None` for a line to ignore; otherwise the line, with a warning if a part of it has no
/// effect.
fn parse_line(line: &[u8]) -> Result<Option<(Line, Option<String>)>, String> {
    let line = str::from_utf8(line).map_err(|_| "not UTF-8")?.trim();
    match line.strip_prefix('-') {
        _ if line.is_empty() || line.starts_with('#') => Ok(None),
        Some(text) => spec::parse_spec(text.trim_start()).map(|spec| Some((Line::Withdraw(spec.route), spec.warning))),
        None => spec::parse_spec(line).map(|spec| Some((Line::Add(spec.route), spec.warning))),
    }
}

/// Consecutive lines of the same kind: all announcements or all withdrawals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Batch {
    Add(Vec<Route>),
    Withdraw(Vec<Route>),
}

/// Standard input as batches. A batch contains the lines that have already arrived, without waiting for more.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    number: usize,
    /// A line that was read but starts the next batch, because it is of the other kind.
    ahead: Option<Line>,
    /// Warnings about parts of the last batch's lines that have no effect, with line numbers.
    pub(crate) warnings: Vec<(usize, String)>,
}

impl Lines<Stdin> {
    pub(crate) fn of_stdin() -> Self {
        Self::new(tokio::io::stdin())
    }
}

impl<R: tokio::io::AsyncRead + Unpin> Lines<R> {
    fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(64 * 1024, input), number: 0, ahead: None, warnings: Vec::new() }
    }

    /// Returns the next batch, or `None` at the end of the input. Calls `bad` with the line number and the reason for
    /// each line that is not a valid SPEC.
    pub(crate) async fn next(&mut self, mut bad: impl FnMut(usize, &str)) -> io::Result<Option<Batch>> {
        let mut batch = match self.ahead.take() {
            Some(line) => Batch::of(line),
            None => match self.line(&mut bad).await? {
                Some(line) => Batch::of(line),
                None => return Ok(None),
            },
        };
        while batch.len() < BATCH_MAX && self.input.buffer().contains(&b'\n') {
            let Some(line) = self.line(&mut bad).await? else { break };
            if let Some(line) = batch.push(line) {
                self.ahead = Some(line);
                break;
            }
        }
        Ok(Some(batch))
    }

    /// Returns the next announcement or withdrawal, skipping empty lines, comments and bad lines.
    async fn line(&mut self, bad: &mut impl FnMut(usize, &str)) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            if read_line(&mut self.input, &mut bytes).await? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if bytes.len() > LINE_MAX {
                bad(self.number, "too long");
                continue;
            }
            let line = if self.number == 1 { text(&bytes) } else { &bytes };
            match parse_line(line) {
                Ok(Some((line, warning))) => {
                    self.warnings.extend(warning.map(|warning| (self.number, warning)));
                    return Ok(Some(line));
                }
                Ok(None) => {}
                Err(why) => bad(self.number, &why),
            }
        }
    }
}

/// Reads up to and including the next line end. Keeps slightly more than [`LINE_MAX`] bytes and drops the rest.
async fn read_line(input: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> io::Result<usize> {
    let limit = LINE_MAX as u64 + 1;
    let mut read = read_until_end(input, limit, line).await?;
    let mut rest = Vec::new();
    while read > 0 && line.len() > LINE_MAX && line.last() != Some(&b'\n') && rest.last() != Some(&b'\n') {
        rest.clear();
        match read_until_end(input, limit, &mut rest).await? {
            0 => break,
            n => read += n,
        }
    }
    Ok(read)
}

/// Reads up to and including the line end, or at most `limit` bytes. Polls at an interval if another process that
/// shares this standard input made it non-blocking.
async fn read_until_end(input: &mut (impl AsyncBufRead + Unpin), limit: u64, line: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        match input.take(limit - line.len() as u64).read_until(b'\n', line).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(ASK_AGAIN).await,
            read => return read.map(|_| line.len()),
        }
    }
}

impl Batch {
    fn of(line: Line) -> Self {
        match line {
            Line::Add(route) => Self::Add(vec![route]),
            Line::Withdraw(route) => Self::Withdraw(vec![route]),
        }
    }

    /// Adds the line, or returns it if it is of the other kind.
    fn push(&mut self, line: Line) -> Option<Line> {
        match (self, line) {
            (Self::Add(routes), Line::Add(route)) | (Self::Withdraw(routes), Line::Withdraw(route)) => {
                routes.push(route);
                None
            }
            (_, line) => Some(line),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Add(routes) | Self::Withdraw(routes) => routes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Route {
        spec::parse(text).unwrap()
    }

    async fn batches(input: &[u8]) -> (Vec<Batch>, Vec<(usize, String)>) {
        let (mut lines, mut batches, mut bad) = (Lines::new(input), Vec::new(), Vec::new());
        while let Some(batch) = lines.next(|number, why| bad.push((number, why.to_owned()))).await.unwrap() {
            batches.push(batch);
        }
        (batches, bad)
    }

    const A: &str = "23#10.0.0.1/32#2001:db8::1";
    const B: &str = "23#10.0.0.2/32#2001:db8::1#LB";

    #[test]
    fn a_line_is_a_spec_a_withdrawal_or_nothing() {
        let add = |text| Ok(Some((Line::Add(route(text)), None)));
        let withdraw = |text| Ok(Some((Line::Withdraw(route(text)), None)));
        assert_eq!(parse_line(A.as_bytes()), add(A));
        assert_eq!(parse_line(format!("  {A}\t\r").as_bytes()), add(A));
        assert_eq!(parse_line(format!("-{A}\r").as_bytes()), withdraw(A));
        assert_eq!(parse_line(format!("- {A}").as_bytes()), withdraw(A));
        for nothing in ["", "  ", "\r", "# 10.0.0.1", "#", "  # indented"] {
            assert_eq!(parse_line(nothing.as_bytes()), Ok(None), "{nothing:?}");
        }
        assert_eq!(parse_line(b"-"), Err("not of the form vni#prefix#nexthop[#type][#from#to]".into()));
        assert_eq!(parse_line(b"23#\xff"), Err("not UTF-8".into()));
    }

    #[tokio::test]
    async fn consecutive_lines_of_one_kind_form_a_batch_in_order() {
        let (got, bad) = batches(format!("{A}\n\n{B}\n-{A}\n# note\n{A}\r\n-{B}").as_bytes()).await;
        let expected = vec![
            Batch::Add(vec![route(A), route(B)]),
            Batch::Withdraw(vec![route(A)]),
            Batch::Add(vec![route(A)]),
            Batch::Withdraw(vec![route(B)]),
        ];
        assert_eq!((got, bad), (expected, vec![]));
    }

    #[tokio::test]
    async fn a_byte_order_mark_before_the_first_line_is_ignored() {
        let (got, bad) = batches(format!("\u{feff}{A}\n").as_bytes()).await;
        assert_eq!((got, bad), (vec![Batch::Add(vec![route(A)])], vec![]));
        let (_, bad) = batches(format!("{A}\n\u{feff}{A}\n").as_bytes()).await;
        assert_eq!(bad.len(), 1, "elsewhere it is");
    }

    #[tokio::test]
    async fn a_bad_line_is_reported_with_its_number_and_skipped() {
        let long = "x".repeat(300_000);
        let (got, bad) =
            batches(format!("{A}\nnonsense\n{long}\n\n{B}\n23#10.0.0.0/33#2001:db8::1\n").as_bytes()).await;
        assert_eq!(got.iter().map(Batch::len).sum::<usize>(), 2);
        let form = "not of the form vni#prefix#nexthop[#type][#from#to]";
        let expected = [(2, form), (3, "too long"), (6, "prefix length 33 is over 32")];
        assert_eq!(bad, expected.map(|(number, why)| (number, why.to_owned())));
    }

    #[tokio::test]
    async fn lines_that_have_arrived_are_returned_without_waiting_for_more() {
        let (reader, mut writer) = tokio::io::duplex(1024);
        let mut lines = Lines::new(reader);
        tokio::io::AsyncWriteExt::write_all(&mut writer, format!("{A}\n{B}\n23#10.0").as_bytes()).await.unwrap();
        let batch = lines.next(|_, _| {}).await.unwrap();
        assert_eq!(batch, Some(Batch::Add(vec![route(A), route(B)])));
        drop(writer);
        let mut bad = Vec::new();
        assert_eq!(lines.next(|number, _| bad.push(number)).await.unwrap(), None);
        assert_eq!(bad, [3]);
    }

    #[tokio::test]
    async fn a_long_input_comes_in_bounded_batches() {
        let input: String = (0..10_000).map(|n| format!("23#10.0.{}.{}/32#2001:db8::1\n", n / 256, n % 256)).collect();
        let (got, bad) = batches(input.as_bytes()).await;
        assert_eq!(got.iter().map(Batch::len).sum::<usize>(), 10_000);
        assert!(got.iter().all(|batch| batch.len() <= BATCH_MAX));
        assert_eq!(bad, vec![]);
    }
}
