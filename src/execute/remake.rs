//! A swapfile made anew, or its blocks, without ever losing what a user may have put there.
//!
//! Both are done only to a file that is nothing but a swap area that is not in use: its header says how large
//! the area is, and that is the whole file. The old file stays until the new one is complete under another
//! name, and one rename puts it in place.
#![expect(
    clippy::disallowed_methods,
    reason = "the user's own path in the running system, which swapon would take as well"
)]

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::error::{Attempt, Error, Kind, Result};
use crate::plan::report::Done;
use crate::sys;

/// A header is within the largest page there is.
const HEAD: u64 = 64 * 1024;
/// How much is written at a time.
const CHUNK: usize = 1 << 20;

/// Makes the file at `path` anew at the same size, with the same first page, owner, group and mode, and puts it
/// in the old one's place. `no_cow`: for btrfs.
///
/// # Errors
/// Whatever failed; the old file is as it was then.
pub fn remake(path: &Path, no_cow: bool) -> Result<()> {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC);
    let old = options.open(path).attempt("open", path)?;
    let before = old.metadata().attempt("stat", path)?;
    if !before.is_file() || before.nlink() != 1 {
        return Err(Error::new(Kind::State, "make anew", "it is no longer a file with one name").at(path));
    }
    let temporary = path.with_file_name(temporary_name()?);
    let made = fill_new(&temporary, &old, no_cow).and_then(|()| replace(&temporary, path, &before));
    if made.is_err() {
        // Nothing but our own name, which is random.
        let _ = std::fs::remove_file(&temporary);
    }
    made
}

/// Gives a file blocks of its own where it shares some with another; `None` if it shares none.
///
/// # Errors
/// No space, or a write that failed.
pub fn unshare(user: &File, path: &Path) -> Result<Option<Done>> {
    const SHARED: u32 = 0x2000;
    if !any_extent(user, SHARED) {
        return Ok(None);
    }
    let length = i64::try_from(user.metadata().attempt("stat", path)?.size()).unwrap_or(i64::MAX);
    let unshare = FallocateFlags::FALLOC_FL_UNSHARE_RANGE;
    match sys::unharmed(|| fallocate(user, unshare, 0, length)) {
        Ok(()) => {}
        // A filesystem without that call: the area is not in use, so zeros serve as well.
        Err(Errno::EOPNOTSUPP) => write_zeros(user, path)?,
        Err(errno) => return Err(Error::system("give blocks of its own to", path, errno)),
    }
    Ok(Some(Done::Unshared))
}

/// Writes zeros where a file has blocks that were allocated and never written; `None` if it has none.
///
/// # Errors
/// A write that failed.
pub fn rewrite_unwritten(user: &File, path: &Path) -> Result<Option<Done>> {
    const UNWRITTEN: u32 = 0x800;
    if !any_extent(user, UNWRITTEN) {
        return Ok(None);
    }
    write_zeros(user, path)?;
    Ok(Some(Done::Rewritten))
}

fn temporary_name() -> Result<OsString> {
    let random = sys::random().attempt("get random bytes from", "the kernel")?;
    Ok(format!(".rootfs-shim.{:016x}", u64::from_ne_bytes(random)).into())
}

fn fill_new(temporary: &Path, old: &File, no_cow: bool) -> Result<()> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true).mode(0o600);
    let mut new = options.open(temporary).attempt("create", temporary)?;
    if no_cow {
        sys::set_no_cow(new.as_fd()).attempt("chattr +C", temporary)?;
    }
    let meta = old.metadata().attempt("stat", temporary)?;
    let mut head = Vec::new();
    let mut source = old.try_clone().attempt("read", temporary)?;
    Read::by_ref(&mut source).take(HEAD).read_to_end(&mut head).attempt("read", temporary)?;
    let space = nix::sys::statvfs::fstatvfs(&new).attempt("statvfs", temporary)?;
    if space.blocks_available() * space.fragment_size() < meta.size() {
        return Err(Error::system("allocate", temporary, Errno::ENOSPC));
    }
    let length =
        i64::try_from(meta.size()).map_err(|_| Error::system("allocate", temporary, Errno::EFBIG))?;
    sys::unharmed(|| fallocate(&new, FallocateFlags::empty(), 0, length)).attempt("allocate", temporary)?;
    sys::unharmed(|| new.write_all(&head)).attempt("write", temporary)?;
    std::os::unix::fs::fchown(&new, Some(meta.uid()), Some(meta.gid())).attempt("chown", temporary)?;
    let mode = std::fs::Permissions::from_mode(meta.mode() & 0o7777);
    new.set_permissions(mode).attempt("chmod", temporary)?;
    new.sync_all().attempt("fsync", temporary)
}

/// Only if the old file is still the one that was looked at.
fn replace(temporary: &Path, path: &Path, before: &std::fs::Metadata) -> Result<()> {
    let now = std::fs::symlink_metadata(path).attempt("stat", path)?;
    let key = |m: &std::fs::Metadata| {
        (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec())
    };
    if key(&now) != key(before) {
        return Err(Error::new(Kind::State, "make anew", "it changed meanwhile").at(path));
    }
    std::fs::rename(temporary, path).attempt("rename", path)
}

fn any_extent(file: &File, flag: u32) -> bool {
    let mut start = 0;
    while let Ok(extents) = sys::extents(file.as_fd(), start) {
        if extents.iter().any(|extent| extent.flags & flag != 0) {
            return true;
        }
        match extents.last() {
            Some(last) if extents.len() == sys::EXTENTS_AT_ONCE => start = last.logical + last.length,
            _ => return false,
        }
    }
    false
}

/// From behind the first page to the end.
fn write_zeros(file: &File, path: &Path) -> Result<()> {
    let size = file.metadata().attempt("stat", path)?.size();
    let zeros = vec![0; CHUNK];
    let mut at = HEAD.min(size);
    rewrite_head(file, path, at)?;
    while at < size {
        let length = usize::try_from(size - at).unwrap_or(CHUNK).min(CHUNK);
        let chunk = zeros.get(..length).unwrap_or(&zeros);
        sys::unharmed(|| file.write_all_at(chunk, at)).attempt("write", path)?;
        at += length as u64;
    }
    file.sync_all().attempt("fsync", path)
}

/// The first pages are written as they are, so that their blocks are new as well.
fn rewrite_head(file: &File, path: &Path, length: u64) -> Result<()> {
    let mut head = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut head, 0).attempt("read", path)?;
    sys::unharmed(|| file.write_all_at(&head, 0)).attempt("write", path)
}
