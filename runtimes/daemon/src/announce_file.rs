//! Announcements by the line: one SPEC each; empty lines and lines that start with `#` don't count. A file is read whole
//! before anything starts, and must be right; standard input is taken as it comes, and a bad line costs only itself.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use metalbond::Route;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Stdin};

use crate::reading::Reading;
use crate::spec::{self, Spec};

/// Far longer than any SPEC. What is longer is not kept, so that input without a line's end costs no memory.
const LINE_MAX: usize = 1024;

/// How many warnings of one file are given.
const WARNINGS_MAX: usize = 20;

/// How many lines of standard input are handed on together, at most.
const BATCH_MAX: usize = 4096;

/// How long a standard input that is non-blocking is left alone when nothing is there.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Why a file can't be used.
#[derive(Debug)]
pub(crate) enum FileError {
    /// It can't be read.
    Read(PathBuf, io::Error),
    /// The line with this number is no SPEC, and why.
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

/// What a file says.
#[derive(Clone, Debug)]
pub(crate) struct Announcements {
    pub(crate) path: PathBuf,
    pub(crate) routes: Vec<Route>,
    /// What of its lines has no effect.
    pub(crate) warnings: Vec<String>,
    /// Whether it can be read but once, as a pipe.
    pub(crate) is_gone: bool,
}

/// Reads whole files.
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

/// How many routes a file has, what is wrong with it, and what of it has no effect.
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

/// The warnings of a file's lines. It may have any number of lines: of many warnings, only their number is given.
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

/// The SPECs of a file, with the numbers of their lines.
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

/// Without the mark that some editors put before a text in UTF-8.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// What a line asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line {
    Add(Route),
    Withdraw(Route),
}

/// What a line asks for, and what of it has no effect.
fn parse_line(line: &[u8]) -> Result<Option<(Line, Option<String>)>, String> {
    let line = str::from_utf8(line).map_err(|_| "not UTF-8")?.trim();
    match line.strip_prefix('-') {
        _ if line.is_empty() || line.starts_with('#') => Ok(None),
        Some(text) => spec::parse_spec(text.trim_start()).map(|spec| Some((Line::Withdraw(spec.route), spec.warning))),
        None => spec::parse_spec(line).map(|spec| Some((Line::Add(spec.route), spec.warning))),
    }
}

/// Consecutive lines that ask for the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Batch {
    Add(Vec<Route>),
    Withdraw(Vec<Route>),
}

/// Standard input as batches: what is there is handed on, without waiting for more.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    number: usize,
    /// Belongs to the next batch: it asks for something else than the lines before.
    ahead: Option<Line>,
    /// What of the last batch's lines has no effect, with the numbers of the lines.
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

    /// The next batch, or `None` at the end of the input. Calls `bad` with the number of each line that is no SPEC, and
    /// why.
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

    /// The next line that asks for something.
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

/// Reads up to and including the next line's end. Keeps a little more than [`LINE_MAX`] bytes of it, and drops the rest.
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

/// Reads up to and including the line's end, or as many bytes as this. Where somebody else who has standard input made
/// it non-blocking, it is asked again and again.
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

    /// Takes the line, or gives it back if it asks for something else.
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
    async fn lines_that_ask_for_the_same_come_together_and_in_order() {
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
    async fn a_mark_of_utf8_before_the_first_line_is_none_of_it() {
        let (got, bad) = batches(format!("\u{feff}{A}\n").as_bytes()).await;
        assert_eq!((got, bad), (vec![Batch::Add(vec![route(A)])], vec![]));
        let (_, bad) = batches(format!("{A}\n\u{feff}{A}\n").as_bytes()).await;
        assert_eq!(bad.len(), 1, "elsewhere it is");
    }

    #[tokio::test]
    async fn a_bad_line_is_reported_with_its_number_and_costs_only_itself() {
        let long = "x".repeat(300_000);
        let (got, bad) =
            batches(format!("{A}\nnonsense\n{long}\n\n{B}\n23#10.0.0.0/33#2001:db8::1\n").as_bytes()).await;
        assert_eq!(got.iter().map(Batch::len).sum::<usize>(), 2);
        let form = "not of the form vni#prefix#nexthop[#type][#from#to]";
        let expected = [(2, form), (3, "too long"), (6, "prefix length 33 is over 32")];
        assert_eq!(bad, expected.map(|(number, why)| (number, why.to_owned())));
    }

    #[tokio::test]
    async fn what_is_there_is_handed_on_without_waiting_for_more() {
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
