//! A swapfile of the image made anew on the writable layer, without ever losing what a user may have put there.
//!
//! It is done only to a file that is nothing but a swap area and in a lower layer only, so that it cannot be
//! active, and nobody can have it open for writing: both are looked at again here, with the file open and
//! nobody else of us at work on it. The old file stays until the new one is complete. The new one has no name
//! while it is made (O_TMPFILE), so that nothing is left if we are killed; it needs one for the moment between
//! linkat(2) and rename(2). That name is always the same for a file, so what is left of a call that was killed
//! in that moment is found by the next.
#![expect(
    clippy::disallowed_methods,
    reason = "the user's own path in the running system, which swapon would take as well"
)]

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, fchown};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FallocateFlags, OFlag, fallocate, openat, renameat};
use nix::sys::stat::{Mode, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, Whence, linkat, lseek, unlinkat};

use crate::error::{Attempt, Error, Kind, Result};
use crate::kernel::places;
use crate::shim::facts::header;
use crate::shim::facts::operand::{self, AtBackingPath};
use crate::shim::plan::types::BackedFile;
use crate::swap::header::head_of;
use crate::sys::{self, xattr};

/// A header is within the largest page there is, which is what [`head_of`] reads.
const HEAD: i64 = 64 * 1024;
/// How long we wait for another call to be done with the file.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether a file shall have copy-on-write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyOnWrite {
    /// As the filesystem gives it to a new file.
    AsItComes,
    Off,
}

/// The old file, open, and where it is.
struct Old<'a> {
    backed: &'a BackedFile,
    upper: &'a Path,
    dir: OwnedFd,
    name: &'a OsStr,
    file: File,
    meta: Metadata,
}

/// Makes a file of a lower layer anew in the upper one: the same size, first page, owner, mode, attributes and
/// times. False if it is in the upper layer by now.
///
/// # Errors
/// Whatever failed; the old file is as it was then.
pub(crate) fn recreate(backed: &BackedFile, upper: &Path, copy_on_write: CopyOnWrite) -> Result<bool> {
    let path = &backed.seen;
    let unfit = |why: &str| Error::new(Kind::State, "make anew", why).at(path);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(unfit("it has no name"));
    };
    let dir = places::open_path(parent).attempt("open", parent)?;
    let file = open_old(&dir, name).attempt("open", path)?;
    take_turn(&file).attempt("lock", path)?;
    if operand::at_backing_path(upper, &backed.overlay) != AtBackingPath::Nothing {
        return Ok(false);
    }
    let meta = file.metadata().attempt("stat", path)?;
    let header = header::header_of(&file);
    if !meta.is_file() || meta.nlink() != 1 || !header.is_usable() || !header.fills(meta.size()) {
        return Err(unfit("it is no longer a swap area with one name"));
    }
    let old = Old { backed, upper, dir, name, file, meta };
    let temporary = temporary_name(name);
    old.sweep(&temporary)?;
    old.make(&temporary, copy_on_write)?;
    old.replace(&temporary).inspect_err(|_| old.unlink(&temporary))?;
    Ok(true)
}

fn open_old(dir: &OwnedFd, name: &OsStr) -> nix::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::empty()).map(File::from)
}

/// Waits until no other call makes this file anew; not for ever, since anybody may lock a file.
fn take_turn(file: &File) -> nix::Result<()> {
    let taken = sys::wait_for(PATIENCE, || match sys::try_lock(file.as_fd()) {
        Err(Errno::EWOULDBLOCK) => None,
        done => Some(done),
    });
    taken.unwrap_or(Err(Errno::EWOULDBLOCK))
}

fn temporary_name(name: &OsStr) -> OsString {
    let mut temporary = OsString::from(".rootfs-shim.");
    temporary.push(name);
    temporary
}

impl Old<'_> {
    /// Takes away what a call left that was killed: the same area, or less of it, and nothing else.
    fn sweep(&self, temporary: &OsStr) -> Result<()> {
        let path = &self.backed.seen;
        let left = match open_old(&self.dir, temporary) {
            Err(Errno::ENOENT) => return Ok(()),
            other => other.attempt("open what a killed call left beside", path)?,
        };
        let meta = left.metadata().attempt("stat what a killed call left beside", path)?;
        let no_data = lseek(&left, HEAD, Whence::SeekData) == Err(Errno::ENXIO);
        let (head, known) = (head_of(&left), head_of(&self.file));
        let ours = head.iter().zip(known).all(|(byte, known)| *byte == 0 || *byte == known);
        if !meta.is_file() || meta.nlink() != 1 || meta.size() > self.meta.size() || !no_data || !ours {
            let why = "a file stands beside it that is not what a killed call leaves";
            return Err(Error::new(Kind::State, "make anew", why).at(path));
        }
        unlinkat(&self.dir, temporary, UnlinkatFlags::NoRemoveDir).attempt("sweep up beside", path)
    }

    /// The new file, complete and safe on the disk, under its temporary name.
    fn make(&self, temporary: &OsStr, copy_on_write: CopyOnWrite) -> Result<()> {
        let path = &self.backed.seen;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let nameless = openat(&self.dir, ".", flags | OFlag::O_TMPFILE, mode);
        let named = || openat(&self.dir, temporary, flags | OFlag::O_CREAT | OFlag::O_EXCL, mode);
        let is_nameless = nameless.is_ok();
        // overlayfs before Linux 6.1 makes no files without a name.
        let new = nameless.or_else(|_| named()).map(File::from).attempt("make a new file beside", path)?;
        let filled = self.fill(&new, copy_on_write);
        if !is_nameless {
            return filled.inspect_err(|_| self.unlink(temporary));
        }
        filled?;
        let link = linkat(&new, "", &self.dir, temporary, AtFlags::AT_EMPTY_PATH);
        link.attempt("name a new file beside", path)
    }

    /// The name is ours: we have just made it.
    fn unlink(&self, temporary: &OsStr) {
        let _ = unlinkat(&self.dir, temporary, UnlinkatFlags::NoRemoveDir);
    }

    /// Everything but the name. The owner comes before what chown(2) takes away, the times come last.
    fn fill(&self, new: &File, copy_on_write: CopyOnWrite) -> Result<()> {
        let (path, meta) = (&self.backed.seen, &self.meta);
        if copy_on_write == CopyOnWrite::Off {
            sys::set_no_cow(new.as_fd()).attempt("chattr +C a new file beside", path)?;
        }
        let head = head_of(&self.file);
        if (head.len() as u64) < meta.size().min(HEAD as u64) {
            return Err(Error::system("read", path, Errno::EIO));
        }
        let space = nix::sys::statvfs::fstatvfs(new).attempt("statvfs", path)?;
        if space.blocks_available() * space.fragment_size() < meta.size() {
            return Err(Error::system("allocate a new file beside", path, Errno::ENOSPC));
        }
        let length = i64::try_from(meta.size()).map_err(|_| Error::system("allocate", path, Errno::EFBIG))?;
        sys::unharmed(|| fallocate(new, FallocateFlags::empty(), 0, length))
            .attempt("allocate a new file beside", path)?;
        sys::unharmed(|| new.write_all_at(&head, 0)).attempt("write a new file beside", path)?;
        fchown(new, Some(meta.uid()), Some(meta.gid())).attempt("chown a new file beside", path)?;
        let mode = Permissions::from_mode(meta.mode() & 0o7777);
        new.set_permissions(mode).attempt("chmod a new file beside", path)?;
        xattr::copy(self.file.as_fd(), new.as_fd()).attempt("copy the attributes of", path)?;
        let read = TimeSpec::new(meta.atime(), meta.atime_nsec());
        let written = TimeSpec::new(meta.mtime(), meta.mtime_nsec());
        futimens(new, &read, &written).attempt("set the times of a new file beside", path)?;
        new.sync_all().attempt("fsync a new file beside", path)
    }

    /// Only if the old file is still the one that was looked at, and in the lower layer: whoever opens it for
    /// writing has it copied up.
    fn replace(&self, temporary: &OsStr) -> Result<()> {
        let path = &self.backed.seen;
        let now = std::fs::symlink_metadata(path).attempt("stat", path)?;
        let key = |m: &Metadata| {
            (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec(), m.nlink())
        };
        let copied_up = operand::at_backing_path(self.upper, &self.backed.overlay) != AtBackingPath::Nothing;
        if copied_up || key(&now) != key(&self.meta) {
            return Err(Error::new(Kind::State, "make anew", "it changed meanwhile").at(path));
        }
        renameat(&self.dir, temporary, &self.dir, self.name).attempt("rename a new file to", path)
    }
}
