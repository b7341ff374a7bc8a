//! Reads files that may be read again while the program runs, and detects whether one has changed since it was read.
//!
//! Invariant *no change is lost*: one function opens all files, and it notes the file's [`Stamp`] before it opens the
//! file. So a change before, during or after reading is found by the next check. There is no way to note a file as read
//! afterwards.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::future::pending;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

/// The coarsest resolution of time stamps among common file systems (FAT). Two writes of the same length within this
/// time may have the same stamp.
const GRANULARITY: Duration = Duration::from_secs(2);

/// Identifies the version of a file: changes if the file is replaced, written to, or gets other permissions. `None` if
/// there is no regular file that could be read again.
type Stamp = Option<(u64, u64, u64, [i64; 4])>;

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
    Some((meta.dev(), meta.ino(), meta.len(), [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()]))
}

impl Content {
    fn of(bytes: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        Self::Read(bytes.len() as u64, hasher.finish())
    }

    /// Returns true if the file's content is different now. Reads at most one byte more than was read before.
    fn has_changed(self, path: &Path) -> bool {
        let mut bytes = Vec::new();
        match (File::open(path), self) {
            (Ok(_), Self::Closed) => true,
            (Err(_), Self::Closed) | (_, Self::Unread) => false,
            (Ok(file), Self::Read(len, _)) => {
                file.take(len + 1).read_to_end(&mut bytes).is_err() || Self::of(&bytes) != self
            }
            (Err(_), Self::Read(..)) => true,
        }
    }
}

/// The files that were opened for one purpose, with their stamps from before. They are passed to [`Watched`].
#[derive(Debug, Default)]
pub(crate) struct Reading {
    files: BTreeMap<PathBuf, Noted>,
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    stamp: Stamp,
    content: Content,
}

/// The content of a file when it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    /// The file could not be opened.
    Closed,
    /// The file was opened but not read, because it is not acceptable.
    Unread,
    /// The number of bytes and their digest.
    Read(u64, u64),
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    file: File,
    noted: &'a mut Noted,
}

impl Reading {
    /// Notes a file's stamp and opens the file.
    ///
    /// # Errors
    ///
    /// Errors of the system.
    pub(crate) fn open(&mut self, path: &Path, options: &OpenOptions) -> io::Result<Opened<'_>> {
        // If a file is read twice, the first stamp stays, so that a change between the two reads is found.
        let noted =
            self.files.entry(path.to_owned()).or_insert_with(|| Noted { stamp: stamp(path), content: Content::Closed });
        let file = options.open(path)?;
        if noted.content == Content::Closed {
            noted.content = Content::Unread;
        }
        Ok(Opened { file, noted })
    }

    /// Reads a whole file. Also returns whether it is a regular file, which can be read again.
    ///
    /// # Errors
    ///
    /// Errors of the system.
    pub(crate) fn read(&mut self, path: &Path) -> io::Result<(Vec<u8>, bool)> {
        let opened = self.open(path, File::options().read(true))?;
        let is_regular = opened.metadata()?.is_file();
        Ok((opened.bytes(u64::MAX)?, is_regular))
    }

    /// Runs `work`, which reads files, on a thread that may block.
    pub(crate) async fn on_a_thread<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Self) -> T + Send + 'static,
    ) -> T {
        let mut reading = std::mem::take(self);
        let work = move || {
            let done = work(&mut reading);
            (reading, done)
        };
        match spawn_blocking(work).await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok((reading, done)) => {
                *self = reading;
                done
            }
            Err(Ok(panic)) => resume_unwind(panic),
            // The runtime is shutting down, which ends this task as well.
            Err(Err(_)) => pending().await,
        }
    }
}

impl Opened<'_> {
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Reads up to the end of the file, or at most `most` bytes.
    ///
    /// # Errors
    ///
    /// Errors of the system.
    pub(crate) fn bytes(self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.take(most).read_to_end(&mut bytes)?;
        if self.noted.content == Content::Unread {
            self.noted.content = Content::of(&bytes);
        }
        Ok(bytes)
    }
}

/// The files that are checked for changes, with their state when they were read.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    files: BTreeMap<PathBuf, Watch>,
}

#[derive(Debug)]
struct Watch {
    read: Noted,
    /// The stamp at the last check.
    seen: Stamp,
    /// Until this time a second write may have left the stamp unchanged. Afterwards the content is compared once.
    doubtful_until: Option<Instant>,
}

impl Watched {
    /// Adds files that have been read. With `is_all`, files from earlier calls are no longer checked.
    pub(crate) fn update(&mut self, reading: Reading, is_all: bool, now: Instant) {
        let mut old = std::mem::take(&mut self.files);
        for (path, read) in reading.files {
            let before = old.remove(&path).filter(|before| before.read.stamp == read.stamp);
            let doubtful_until = match before {
                Some(before) => before.doubtful_until,
                None => read.stamp.map(|_| now + GRANULARITY),
            };
            self.files.insert(path, Watch { read, seen: read.stamp, doubtful_until });
        }
        if !is_all {
            self.files.extend(old);
        }
    }

    /// Checks all files. Returns true if a file has changed since it was read, and no file has changed since the last
    /// check: a file that is still being written to is not read yet.
    pub(crate) fn has_changed(&mut self) -> bool {
        let (mut has_changed, mut has_settled) = (false, true);
        for (path, watch) in &mut self.files {
            let now = stamp(path);
            has_settled &= now == watch.seen;
            has_changed |= now != watch.read.stamp;
            watch.seen = now;
        }
        has_changed && has_settled
    }

    /// Returns the files whose content has to be compared now, because their stamps may hide a second write.
    pub(crate) fn doubtful(&self, now: Instant) -> Doubtful {
        let is_due = |watch: &Watch| watch.doubtful_until.is_some_and(|until| until <= now);
        let due = self.files.iter().filter(|(_, watch)| is_due(watch));
        Doubtful(due.map(|(path, watch)| (path.clone(), watch.read.content)).collect())
    }

    /// Notes that the content of these files has been compared.
    pub(crate) fn compared(&mut self, doubtful: &Doubtful) {
        for (path, _) in &doubtful.0 {
            if let Some(watch) = self.files.get_mut(path) {
                watch.doubtful_until = None;
            }
        }
    }
}

/// Files to compare, with their content when they were read.
#[derive(Clone, Debug)]
pub(crate) struct Doubtful(Vec<(PathBuf, Content)>);

impl Doubtful {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the files. Returns true if the content of one of them has changed.
    pub(crate) fn has_changed(&self) -> bool {
        // Skips pipes that have replaced a file, because opening one would block.
        self.0.iter().any(|(path, content)| stamp(path).is_some() && content.has_changed(path))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A temporary directory of a test.
    struct Dir(PathBuf);

    impl Dir {
        fn new() -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let name = format!("metalbond-reading-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let dir = std::env::temp_dir().join(name);
            fs::create_dir(&dir).unwrap();
            Self(dir)
        }

        fn put(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn watched(reading: Reading) -> Watched {
        let mut watched = Watched::default();
        watched.update(reading, true, Instant::now());
        watched
    }

    /// Checks twice, because a change is reported only once the file is no longer being written to.
    fn finds_a_change(watched: &mut Watched) -> bool {
        watched.has_changed() | watched.has_changed()
    }

    #[test]
    fn a_change_before_during_or_after_reading_is_found() {
        let dir = Dir::new();
        for moment in ["before", "while", "after", "never"] {
            let path = dir.put("a", "one");
            let mut reading = Reading::default();
            let change = |at: &str| {
                if at == moment {
                    dir.put("a", "other");
                }
            };
            let opened = reading.open(&path, File::options().read(true)).unwrap();
            change("before");
            let bytes = opened.bytes(u64::MAX).unwrap();
            assert_eq!(bytes == b"other", moment == "before");
            change("while");
            // Other files are read meanwhile, and the stamps are used much later.
            reading.read(&dir.put("b", "")).unwrap();
            change("after");
            assert_eq!(finds_a_change(&mut watched(reading)), moment != "never", "{moment}");
        }
    }

    #[test]
    fn a_file_that_is_read_twice_counts_from_the_first_time() {
        let dir = Dir::new();
        let path = dir.put("a", "one");
        let mut reading = Reading::default();
        reading.read(&path).unwrap();
        dir.put("a", "other");
        assert_eq!(reading.read(&path).unwrap().0, b"other");
        assert!(finds_a_change(&mut watched(reading)));
    }

    #[test]
    fn a_missing_or_unreadable_file_is_found_once_it_can_be_read() {
        let dir = Dir::new();
        let (none, directory) = (dir.0.join("none"), dir.0.join("directory"));
        fs::create_dir(&directory).unwrap();
        let mut reading = Reading::default();
        reading.read(&none).unwrap_err();
        reading.read(&directory).unwrap_err();
        let mut watched = watched(reading);
        assert!(!finds_a_change(&mut watched));
        dir.put("none", "");
        assert!(finds_a_change(&mut watched));
        fs::remove_file(&none).unwrap();
        assert!(!finds_a_change(&mut watched));
        fs::remove_dir(&directory).unwrap();
        dir.put("directory", "");
        assert!(finds_a_change(&mut watched));
    }

    #[test]
    fn other_permissions_are_a_change() {
        let dir = Dir::new();
        let path = dir.put("a", "one");
        let mut reading = Reading::default();
        reading.read(&path).unwrap();
        let mut watched = watched(reading);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(finds_a_change(&mut watched));
    }

    #[test]
    fn a_file_is_not_read_while_it_is_being_written() {
        let dir = Dir::new();
        let path = dir.put("a", "");
        let mut reading = Reading::default();
        reading.read(&path).unwrap();
        let mut watched = watched(reading);
        for n in 1..5 {
            dir.put("a", &"x".repeat(n));
            assert!(!watched.has_changed());
        }
        assert!(watched.has_changed());
    }

    #[test]
    fn a_second_write_with_the_same_stamp_is_found_by_its_content() {
        let dir = Dir::new();
        let path = dir.put("a", "one");
        let start = Instant::now();
        let mut reading = Reading::default();
        reading.read(&path).unwrap();
        // Simulates two writes in the same tick of the file system's clock: both have the second one's stamp.
        dir.put("a", "two");
        reading.files.get_mut(&path).unwrap().stamp = stamp(&path);
        let mut watched = Watched::default();
        watched.update(reading, true, start);
        assert!(!finds_a_change(&mut watched));
        assert!(watched.doubtful(start + GRANULARITY / 2).is_empty(), "there may be a third write");
        let doubtful = watched.doubtful(start + GRANULARITY);
        assert!(doubtful.has_changed());
        watched.compared(&doubtful);
        assert!(watched.doubtful(start + GRANULARITY).is_empty());

        // Read again, with the same stamp: there is no doubt any more.
        let mut reading = Reading::default();
        reading.read(&path).unwrap();
        watched.update(reading, true, start + GRANULARITY);
        assert!(watched.doubtful(start + 3 * GRANULARITY).is_empty());
    }

    #[test]
    fn the_content_of_an_unchanged_file_is_compared_once() {
        let dir = Dir::new();
        let path = dir.put("a", "one");
        let start = Instant::now();
        let mut reading = Reading::default();
        reading.read(&path).unwrap();
        let mut watched = Watched::default();
        watched.update(reading, true, start);
        let doubtful = watched.doubtful(start + GRANULARITY);
        assert!(!doubtful.is_empty() && !doubtful.has_changed());
        watched.compared(&doubtful);
        assert!(watched.doubtful(start + GRANULARITY).is_empty());
    }

    #[test]
    fn files_that_a_failed_reload_did_not_read_are_still_watched() {
        let dir = Dir::new();
        let (one, other) = (dir.put("one", ""), dir.put("other", ""));
        let mut reading = Reading::default();
        reading.read(&one).unwrap();
        reading.read(&other).unwrap();
        let mut watched = watched(reading);
        dir.put("other", "changed");
        let again = |watched: &mut Watched, is_all| {
            let mut reading = Reading::default();
            reading.read(&one).unwrap();
            watched.update(reading, is_all, Instant::now());
        };
        again(&mut watched, false);
        assert!(finds_a_change(&mut watched));
        again(&mut watched, true);
        assert!(!finds_a_change(&mut watched), "no setting names it any more");
    }
}
