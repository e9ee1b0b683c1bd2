//! Making a file ready for swapon.
//!
//! The order matters. Everything that changes the file goes through the user's own path, which is always right;
//! only then is the backing path looked at, and it is used only if it is proved to be the same file (`proof`).
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};

use crate::error::{Attempt, Error, Kind, Result};
use crate::kernel::extents;
use crate::kernel::places;
use crate::shim::plan::outcome::{Done, Prepared};
use crate::shim::plan::types::{BackedFile, Plan};
use crate::sys;

use crate::shim::run::blocks::{self, Unwritten};
use crate::shim::run::proof::prove;
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
    let dir = places::open_path(upper).attempt("open the upper directory at", upper)?;
    let fd = places::open_beneath(&dir, &file.overlay, OFlag::O_RDONLY);
    let fd = fd.attempt("open in the upper directory", file.overlay.as_path())?;
    Ok(File::from(fd))
}
