//! Files that are given by name and read whole, bounded: certificates, and secrets, which nobody else may read. What is checked is
//! what was opened, not what has the name by then.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use crate::privileges;
use crate::reading::Reading;

/// Far more than a bundle of certificates has, or a list of revoked ones.
const SIZE_MAX: u64 = 16 * 1024 * 1024;

/// Why a file is of no use. Says nothing of what is in it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub(crate) struct BadFile {
    path: PathBuf,
    why: String,
}

impl BadFile {
    pub(crate) fn new(path: &Path, why: impl Into<String>) -> Self {
        Self { path: path.to_owned(), why: why.into() }
    }
}

/// Reads a file.
pub(crate) fn read(path: &Path, reading: &mut Reading) -> Result<Vec<u8>, BadFile> {
    read_if(path, reading, |_| Ok(()))
}

/// Reads a file that only its owner may read. What the service manager hands over (below CREDENTIALS_DIRECTORY) may also be read
/// by its group, and so may root's, where this process is not root: that is how Kubernetes gives secrets to a pod.
///
/// From then on, this process's memory is not for others, either.
pub(crate) fn read_secret(path: &Path, reading: &mut Reading) -> Result<Vec<u8>, BadFile> {
    privileges::hide_memory();
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|dir| !dir.is_empty());
    let is_handed_over = credentials.is_some_and(|dir| path.starts_with(dir));
    let is_root = geteuid().is_root();
    read_if(path, reading, |meta| check_mode(meta.mode(), is_handed_over || (meta.uid() == 0 && !is_root)))
}

fn check_mode(mode: u32, may_group: bool) -> Result<(), String> {
    let wrong = if may_group { 0o037 } else { 0o077 };
    match mode & wrong {
        0 => Ok(()),
        _ => Err(format!("it holds a secret, and others may read it (mode {:04o}): chmod 600", mode & 0o7777)),
    }
}

fn read_if(
    path: &Path,
    reading: &mut Reading,
    check: impl FnOnce(&Metadata) -> Result<(), String>,
) -> Result<Vec<u8>, BadFile> {
    let bad = |why: String| BadFile::new(path, why);
    let io = |error: io::Error| bad(error.to_string());
    // A pipe doesn't block, to be refused.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = reading.open(path, File::options().read(true).custom_flags(flags)).map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(bad("no regular file, so it can't be read again".to_owned()));
    }
    check(&meta).map_err(bad)?;
    let bytes = file.bytes(SIZE_MAX + 1).map_err(io)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(bad(format!("more than {SIZE_MAX} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_its_owners_alone() {
        for mode in [0o100600, 0o100400, 0o100700] {
            assert_eq!(check_mode(mode, false), Ok(()), "{mode:o}");
        }
        for mode in [0o640, 0o604, 0o610, 0o620, 0o602, 0o601] {
            assert!(check_mode(0o100000 | mode, false).unwrap_err().contains(&format!("(mode 0{mode:o})")), "{mode:o}");
        }
    }

    #[test]
    fn a_group_may_read_what_is_handed_over_and_do_no_more() {
        assert_eq!(check_mode(0o100440, true), Ok(()));
        for mode in [0o444, 0o460, 0o441] {
            assert!(check_mode(0o100000 | mode, true).is_err(), "{mode:o}");
        }
    }
}
