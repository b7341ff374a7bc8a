//! Reads files of bounded size: certificates, and secrets, which other users must not be able to read. Permissions are
//! checked on the open file, not on the path, which may have been replaced.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use crate::privileges;
use crate::reading::Reading;

/// Maximum file size, far more than a bundle of certificates or a revocation list needs.
const SIZE_MAX: u64 = 16 * 1024 * 1024;

/// Why a file can't be used. Never contains a part of the file.
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

/// Reads a file that only its owner may read. A file from the service manager (below CREDENTIALS_DIRECTORY) may also be
/// readable by its group, and so may root's files if this process is not root: Kubernetes provides secrets to a pod in
/// that way.
///
/// Afterwards, other processes of the same user can't read this process's memory.
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
    // Non-blocking, so that opening a pipe returns, to be refused.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = reading.open(path, File::options().read(true).custom_flags(flags)).map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(bad("not a regular file, so it cannot be read again".to_owned()));
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
    fn a_secret_may_be_readable_by_its_owner_only() {
        for mode in [0o100600, 0o100400, 0o100700] {
            assert_eq!(check_mode(mode, false), Ok(()), "{mode:o}");
        }
        for mode in [0o640, 0o604, 0o610, 0o620, 0o602, 0o601] {
            assert!(check_mode(0o100000 | mode, false).unwrap_err().contains(&format!("(mode 0{mode:o})")), "{mode:o}");
        }
    }

    #[test]
    fn a_group_may_read_but_not_write_a_credential() {
        assert_eq!(check_mode(0o100440, true), Ok(()));
        for mode in [0o444, 0o460, 0o441] {
            assert!(check_mode(0o100000 | mode, true).is_err(), "{mode:o}");
        }
    }
}
