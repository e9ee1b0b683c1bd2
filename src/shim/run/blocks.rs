//! A swapfile's blocks made ones that the kernel takes, in place and without a byte of it changing.
//!
//! What a file shares with another is given blocks of its own, which xfs does by itself. Else, and where the
//! kernel refuses what was allocated but never written, each range gets what was read from it just before. So
//! there is nothing that could be lost, unless somebody else writes there in between: nobody who has the file
//! open for writing is there when this begins.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::error::{Attempt, Error, Result};
use crate::kernel::extents;
use crate::shim::plan::outcome::Done;
use crate::sys;

/// How much is written at a time.
const CHUNK: u64 = 1 << 20;

/// What the filesystem makes of blocks that were allocated and never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// Swap can be in them.
    Fit,
    /// It may refuse a swapfile that has some.
    Refused,
}

/// Lets the filesystem give a file blocks of its own where it shares some with another; `None` if it shares
/// none, or if the filesystem has no such call.
///
/// # Errors
/// No space.
pub(crate) fn unshare(user: &File, path: &Path) -> Result<Option<Done>> {
    if extents::shared(user).is_empty() {
        return Ok(None);
    }
    let length = i64::try_from(user.metadata().attempt("stat", path)?.size()).unwrap_or(i64::MAX);
    let unshare = FallocateFlags::FALLOC_FL_UNSHARE_RANGE;
    match sys::unharmed(|| fallocate(user, unshare, 0, length)) {
        Ok(()) => Ok(Some(Done::Unshared)),
        Err(Errno::EOPNOTSUPP) => Ok(None),
        Err(errno) => Err(Error::system("give blocks of its own to", path, errno)),
    }
}

/// Writes where a file shares blocks with another or, if the filesystem may refuse that, has blocks that were
/// allocated and never written; `None` if there are none.
///
/// # Errors
/// A write that failed.
pub(crate) fn rewrite(user: &File, path: &Path, unwritten: Unwritten) -> Result<Option<Done>> {
    let (ranges, done) = match extents::shared(user) {
        none if none.is_empty() && unwritten == Unwritten::Refused => {
            (extents::unwritten(user), Done::Rewritten)
        }
        shared => (shared, Done::Unshared),
    };
    if ranges.is_empty() {
        return Ok(None);
    }
    write_back(user, &ranges, path)?;
    Ok(Some(done))
}

fn write_back(file: &File, ranges: &[Range<u64>], path: &Path) -> Result<()> {
    let mut buffer = vec![0; CHUNK as usize];
    for range in ranges {
        let mut at = range.start;
        while at < range.end {
            let length = (range.end - at).min(CHUNK);
            let chunk = buffer.get_mut(..length as usize).unwrap_or_default();
            file.read_exact_at(chunk, at).attempt("read", path)?;
            sys::unharmed(|| file.write_all_at(chunk, at)).attempt("write", path)?;
            at += length;
        }
    }
    file.sync_all().attempt("fsync", path)
}
