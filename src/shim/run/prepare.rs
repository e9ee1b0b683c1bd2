//! Making a file ready, and proving that its two names are one file.
//!
//! The order matters. Everything that changes the file goes through the user's own path, which is always
//! right; only then is the backing path looked at, and it is used only if the kernel itself says that it is
//! the same inode: overlayfs's file handle embeds it, or both names have the same exclusive blocks. Times and
//! size have to agree as well, so that a clone of the disk does not pass for the disk.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};

use crate::backing::candidates;
use crate::error::{Attempt, Error, Kind, Result};
use crate::kernel::extents;
use crate::kernel::places;
use crate::shim::plan::outcome::{Done, Prepared};
use crate::shim::plan::types::{BackedFile, Plan};
use crate::sys;

use crate::shim::run::blocks::{self, Unwritten};
use crate::shim::run::recreate::{self, CopyOnWrite};

/// Prepares and proves each operand that has two names.
pub(crate) fn prepare_all(plan: &Plan) -> Vec<Prepared> {
    let one = |at: usize| match plan.backing(at).map(|file| prepare(file, plan)) {
        None => Prepared::Nothing,
        Some(Ok(done)) => Prepared::Proved(done),
        Some(Err(error)) => Prepared::Doubt(error.to_string()),
    };
    (0..plan.operands.len()).map(one).collect()
}

fn prepare(file: &BackedFile, plan: &Plan) -> Result<Vec<Done>> {
    let (seen, orders) = (&file.seen, &file.orders);
    let mut done = Vec::new();
    // If it cannot be made new, it is copied up, which is slower and no worse.
    if orders.recreate && recreate::recreate(file, &plan.upper, copy_on_write(plan)).unwrap_or(false) {
        done.push(Done::Recreated);
    }
    let user = open_regular(seen, orders.copy_up)?;
    // Nothing that is done to its blocks helps a file with copy-on-write.
    let worthwhile = !plan.is_btrfs() || sys::is_no_cow(user.as_fd());
    if orders.fill_holes && worthwhile {
        done.extend(fill_holes(&user, seen)?);
    }
    let backing = open_backing(file, &plan.upper)?;
    if orders.rewrite_blocks && worthwhile {
        done.extend(blocks::unshare(&user, seen)?);
    }
    prove(&user, &backing, seen)?;
    Ok(done)
}

/// btrfs refuses a swapfile with copy-on-write.
fn copy_on_write(plan: &Plan) -> CopyOnWrite {
    if plan.is_btrfs() { CopyOnWrite::Off } else { CopyOnWrite::AsItComes }
}

/// Writes a file's blocks anew after the kernel has refused them; `None` if there is nothing that could be
/// the matter with them. It is not active: the kernel lets nobody write into an active area.
///
/// # Errors
/// A write that failed.
pub(crate) fn second_chance(file: &BackedFile, plan: &Plan) -> Result<Option<Done>> {
    let backing = open_backing(file, &plan.upper)?;
    let hopeless = plan.is_btrfs() && !sys::is_no_cow(backing.as_fd());
    if !file.orders.rewrite_blocks || hopeless || sys::is_written(backing.as_fd()).unwrap_or(true) {
        return Ok(None);
    }
    let user = open_regular(&file.seen, true)?;
    prove(&user, &backing, &file.seen)?;
    blocks::rewrite(&user, &file.seen, if plan.is_btrfs() { Unwritten::Fit } else { Unwritten::Refused })
}

/// Opening for writing is what copies a lower file up, a metacopy stub's data too.
fn open_regular(path: &Path, write: bool) -> Result<File> {
    let mut options = File::options();
    options
        .read(true)
        .write(write)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NOFOLLOW);
    let file = options.open(path).attempt("open", path)?;
    let meta = file.metadata().attempt("stat", path)?;
    if !meta.is_file() {
        return Err(Error::new(Kind::State, "open", "it is no regular file any more").at(path));
    }
    Ok(file)
}

/// posix_fallocate in place: what is written stays, what is a hole becomes blocks of zeros. Not begun if the
/// disk has not the room, because a half-filled file would leave a full disk behind.
fn fill_holes(user: &File, path: &Path) -> Result<Option<Done>> {
    let meta = user.metadata().attempt("stat", path)?;
    let holes = extents::holes(user).attempt("look for the holes of", path)?;
    if holes == 0 {
        return Ok(None);
    }
    let space = nix::sys::statvfs::fstatvfs(user).attempt("statvfs", path)?;
    if space.blocks_available() * space.fragment_size() < holes {
        return Err(Error::system("fill the holes of", path, Errno::ENOSPC));
    }
    let length = i64::try_from(meta.size()).map_err(|_| Error::system("fallocate", path, Errno::EFBIG))?;
    let filled = sys::unharmed(|| fallocate(user, FallocateFlags::empty(), 0, length));
    filled.attempt("fill the holes of", path)?;
    Ok(Some(Done::Filled(holes)))
}

fn open_backing(file: &BackedFile, upper: &Path) -> Result<File> {
    let path = file.backing.as_path();
    let dir = places::open_path(upper).attempt("open", upper)?;
    let fd = places::open_beneath(&dir, &file.overlay, OFlag::O_RDONLY).attempt("open", path)?;
    Ok(File::from(fd))
}

/// Proves that two open files are one inode.
///
/// # Errors
/// [`Kind::State`] if they are not, or if nothing that the kernel says can settle it.
pub(crate) fn prove(user: &File, backing: &File, path: &Path) -> Result<()> {
    let doubt = |why: &str| Error::new(Kind::State, "find the backing file of", why).at(path);
    if !same_stat(user, backing, path)? {
        return Err(doubt("another file stands at its place on the backing filesystem"));
    }
    match same_handle(user, backing) {
        Some(true) => return Ok(()),
        Some(false) => return Err(doubt("another file stands at its place on the backing filesystem")),
        None => {}
    }
    match same_blocks(user, backing) {
        Some(true) => Ok(()),
        Some(false) => Err(doubt("another file stands at its place on the backing filesystem")),
        None => Err(doubt("the kernel cannot tell whether it is the same file")),
    }
}

/// Size, blocks and times; overlayfs passes the real inode's on. A writer at work changes them between two
/// looks, hence the second chance.
fn same_stat(user: &File, backing: &File, path: &Path) -> Result<bool> {
    for _ in 0..3 {
        let (a, b) = (user.metadata().attempt("stat", path)?, backing.metadata().attempt("stat", path)?);
        let key = |m: &std::fs::Metadata| {
            (m.size(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec(), m.mode(), m.uid())
        };
        if key(&a) == key(&b) && a.is_file() && b.is_file() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// overlayfs's handle of a file that was made in the upper layer embeds upper's own handle of it. Of a
/// copied-up file it embeds the lower one's, which settles nothing.
fn same_handle(user: &File, backing: &File) -> Option<bool> {
    let (embedded, _) = candidates::embedded(&sys::file_handle(user.as_fd()).ok()?)?;
    Some(embedded == sys::file_handle(backing.as_fd()).ok()?)
}

/// Two files never have the same blocks, unless those are shared; FIEMAP through the overlay tells the real
/// file's.
fn same_blocks(user: &File, backing: &File) -> Option<bool> {
    let (a, b) = (sys::extents(user.as_fd(), 0, true).ok()?, sys::extents(backing.as_fd(), 0, true).ok()?);
    let runs = |extents: &[sys::Extent]| {
        merged(extents.iter().map(|extent| Run {
            logical: extent.logical,
            physical: extent.physical,
            length: extent.length,
        }))
    };
    if !agree(&runs(&a), &runs(&b)) {
        return Some(false);
    }
    a.iter().any(sys::Extent::is_exclusive).then_some(true)
}

/// Where some bytes of a file lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    logical: u64,
    physical: u64,
    length: u64,
}

/// Neighbours as one: ext4 tells the same blocks as several extents when it reads them from the disk, and as
/// one when it has them in its cache, which can change between two looks.
fn merged(runs: impl Iterator<Item = Run>) -> Vec<Run> {
    let mut merged: Vec<Run> = Vec::new();
    for run in runs {
        match merged.last_mut() {
            Some(last)
                if last.logical.wrapping_add(last.length) == run.logical
                    && last.physical.wrapping_add(last.length) == run.physical =>
            {
                last.length = last.length.saturating_add(run.length);
            }
            _ => merged.push(run),
        }
    }
    merged
}

/// Whether two lists of runs say the same, as far as both go: each was cut at so many extents.
fn agree(a: &[Run], b: &[Run]) -> bool {
    let end = |runs: &[Run]| runs.last().map_or(0, |last| last.logical.saturating_add(last.length));
    let end = end(a).min(end(b));
    let cut = |runs: &[Run]| -> Vec<Run> {
        let within = runs.iter().filter(|run| run.logical < end);
        within.map(|run| Run { length: run.length.min(end - run.logical), ..*run }).collect()
    };
    a.is_empty() == b.is_empty() && cut(a) == cut(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(runs: &[(u64, u64, u64)]) -> Vec<Run> {
        merged(runs.iter().map(|&(logical, physical, length)| Run { logical, physical, length }))
    }

    #[test]
    fn the_same_blocks_told_in_more_pieces_are_the_same_blocks() {
        let whole = runs(&[(0, 1000, 300), (400, 5000, 100)]);
        assert!(agree(&whole, &runs(&[(0, 1000, 100), (100, 1100, 200), (400, 5000, 50), (450, 5050, 50)])));
        assert!(agree(&whole, &runs(&[(0, 1000, 300), (400, 5000, 40)])), "cut short");
        assert!(!agree(&whole, &runs(&[(0, 1000, 300), (400, 6000, 100)])));
        assert!(!agree(&whole, &runs(&[(0, 1000, 100), (100, 1101, 200), (400, 5000, 100)])));
        assert!(!agree(&whole, &runs(&[(100, 1000, 300), (400, 5000, 100)])));
        assert!(!agree(&whole, &[]));
    }
}
