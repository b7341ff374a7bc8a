//! Files that are read at the start and again while the program runs, and what tells that one has changed since it was read.
//!
//! Invariant *no change is lost*: what a file is (its [`Stamp`]) is noted before the file is opened, by the one function that opens
//! it. So a change that comes after that, be it before, while or after the file is read, is found by the next look. There is no way to
//! say afterwards that a file has been read.

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

/// The coarsest time stamps of a file system that is in use (FAT). Two writes of the same length within this time may look the same.
const GRANULARITY: Duration = Duration::from_secs(2);

/// What tells whether a file is another one, or has been written to, or has got other permissions. `None`: there is no regular file,
/// so nothing that could be read again.
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

    /// Whether a file has another one now. Reads hardly more of it than was read before.
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

/// The files that were opened for one purpose, each as it was before: to be given to [`Watched`].
#[derive(Debug, Default)]
pub(crate) struct Reading {
    files: BTreeMap<PathBuf, Noted>,
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    stamp: Stamp,
    content: Content,
}

/// What was read of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    /// It could not be opened.
    Closed,
    /// It was opened, and what it is was no good.
    Unread,
    /// So many bytes, and their digest.
    Read(u64, u64),
}

/// A file that is open.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    file: File,
    noted: &'a mut Noted,
}

impl Reading {
    /// Notes what a file is, and opens it.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(&mut self, path: &Path, options: &OpenOptions) -> io::Result<Opened<'_>> {
        // Of a file that is read twice, a change before the second time counts as well: the first stamp stays.
        let noted =
            self.files.entry(path.to_owned()).or_insert_with(|| Noted { stamp: stamp(path), content: Content::Closed });
        let file = options.open(path)?;
        if noted.content == Content::Closed {
            noted.content = Content::Unread;
        }
        Ok(Opened { file, noted })
    }

    /// Reads a whole file, which may be anything. Also returns whether it is a regular one, which can be read again.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn read(&mut self, path: &Path) -> io::Result<(Vec<u8>, bool)> {
        let opened = self.open(path, File::options().read(true))?;
        let is_regular = opened.metadata()?.is_file();
        Ok((opened.bytes(u64::MAX)?, is_regular))
    }

    /// Has files read by `work` on a thread that may wait, as this one may not.
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
            // The runtime ends, and this with it.
            Err(Err(_)) => pending().await,
        }
    }
}

impl Opened<'_> {
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Reads up to the end, or this many bytes.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn bytes(self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.take(most).read_to_end(&mut bytes)?;
        if self.noted.content == Content::Unread {
            self.noted.content = Content::of(&bytes);
        }
        Ok(bytes)
    }
}

/// The files whose changes count, each as it was when it was read.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    files: BTreeMap<PathBuf, Watch>,
}

#[derive(Debug)]
struct Watch {
    read: Noted,
    /// What it was at the last look.
    seen: Stamp,
    /// Until when a second write may have left the stamp as it was. After that its content is compared, once.
    doubtful_until: Option<Instant>,
}

impl Watched {
    /// These files have been read. `is_all`: there are no others; otherwise those from before are still watched as well.
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

    /// Looks at all files. True if one has changed since it was read, and none while somebody may still be writing: since the last
    /// look.
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

    /// The files whose content is to be compared now, because their stamps may hide a second write.
    pub(crate) fn doubtful(&self, now: Instant) -> Doubtful {
        let is_due = |watch: &Watch| watch.doubtful_until.is_some_and(|until| until <= now);
        let due = self.files.iter().filter(|(_, watch)| is_due(watch));
        Doubtful(due.map(|(path, watch)| (path.clone(), watch.read.content)).collect())
    }

    /// The content of these files has been compared.
    pub(crate) fn compared(&mut self, doubtful: &Doubtful) {
        for (path, _) in &doubtful.0 {
            if let Some(watch) = self.files.get_mut(path) {
                watch.doubtful_until = None;
            }
        }
    }
}

/// Files, and what was read of them.
#[derive(Clone, Debug)]
pub(crate) struct Doubtful(Vec<(PathBuf, Content)>);

impl Doubtful {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them has another content now. Reads them.
    pub(crate) fn has_changed(&self) -> bool {
        // A pipe that has come in the place of a file would block.
        self.0.iter().any(|(path, content)| stamp(path).is_some() && content.has_changed(path))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A directory of a test's own.
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

    /// As it is found: the second look says that nobody is writing any more.
    fn finds_a_change(watched: &mut Watched) -> bool {
        watched.has_changed() | watched.has_changed()
    }

    #[test]
    fn a_change_before_while_or_after_a_file_is_read_is_found() {
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
            // Others are read meanwhile, and it is over much later.
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
    fn a_file_that_was_not_there_or_could_not_be_read_is_found_when_it_can() {
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
    fn nothing_is_read_while_somebody_writes() {
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
    fn a_second_write_that_leaves_the_stamp_as_it_was_is_found_by_its_content() {
        let dir = Dir::new();
        let path = dir.put("a", "one");
        let start = Instant::now();
        let mut reading = Reading::default();
        reading.read(&path).unwrap();
        // As if both writes had been in the same tick of the file system's clock: the stamp is that of the second one.
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

        // Read again, with the same stamp: no doubt is left.
        let mut reading = Reading::default();
        reading.read(&path).unwrap();
        watched.update(reading, true, start + GRANULARITY);
        assert!(watched.doubtful(start + 3 * GRANULARITY).is_empty());
    }

    #[test]
    fn a_file_that_stays_is_compared_once() {
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
    fn files_that_were_not_come_to_are_watched_as_before() {
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
        assert!(!finds_a_change(&mut watched), "nobody names it any more");
    }
}
