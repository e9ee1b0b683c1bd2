//! Copying a directory of the image to the backing filesystem, once, with everything that it has.
//!
//! Two invariants. Nothing is followed: each name is opened below its directory's descriptor with O_NOFOLLOW,
//! so a symlink is copied as a symlink. And nothing is there half: the copy grows under a temporary name and
//! is renamed when it is complete, so a copy that was cut short is started again by the next mount.
#![expect(
    clippy::disallowed_methods,
    reason = "an image that is mounted read-only in a namespace of our own"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, mkdirat, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, Whence, fchownat, linkat, lseek64, symlinkat};

use crate::error::{Attempt, Error, Kind, Result};
use crate::sys::{inode_flags, proc_path, set_inode_flags, xattr};
use crate::untrusted::inode::InodeId;

/// Told after each file: bytes done, bytes in all.
pub(crate) type CopyProgress<'a> = dyn FnMut(u64, u64) + Send + 'a;

/// How deep a tree is copied: each level takes open files, of which an init has 1024, and of the stack.
const DEEPEST: usize = 256;

/// How much there is to copy of `top`, which errors call `shown`.
///
/// # Errors
/// If a directory cannot be read or lies too deep.
pub(crate) fn measure(top: &Path, shown: &Path) -> Result<u64> {
    let (mut total, mut several) = (0, BTreeSet::new());
    let mut waiting = vec![top.to_owned()];
    while let Some(dir) = waiting.pop() {
        let below = dir.strip_prefix(top).unwrap_or(Path::new(""));
        if below.iter().count() > DEEPEST {
            let reason = format!("the image's data is more than {DEEPEST} directories deep");
            return Err(Error::new(Kind::State, "copy to", reason).at(shown));
        }
        let shown = shown.join(below);
        for entry in fs::read_dir(&dir).attempt("read", &shown)? {
            let entry = entry.attempt("read", &shown)?;
            let Some(meta) = there(entry.metadata()).attempt("stat", shown.join(entry.file_name()))? else {
                continue;
            };
            if meta.is_dir() {
                waiting.push(entry.path());
            } else if meta.nlink() < 2 || several.insert(InodeId { dev: meta.dev(), ino: meta.ino() }) {
                total += meta.blocks().saturating_mul(512);
            }
        }
    }
    Ok(total)
}

/// What stat said of a listed name. overlayfs lists a whiteout that lies in an opaque directory, but has no such file.
fn there(meta: std::io::Result<fs::Metadata>) -> std::io::Result<Option<fs::Metadata>> {
    match meta {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Copies the tree `from` to `to`, which must not be there. The reader of an error knows it as `shown`.
///
/// # Errors
/// ENOSPC before anything is written if the tree does not fit; else the call and the path that failed.
pub(crate) fn copy_tree(from: &Path, to: &Path, shown: &Path, progress: &mut CopyProgress<'_>) -> Result<()> {
    let total = measure(from, shown)?;
    let parent = to.parent().unwrap_or(Path::new("/"));
    let space = nix::sys::statvfs::statvfs(parent).attempt("statvfs", parent)?;
    let free = space.blocks_available() as u64 * space.fragment_size() as u64;
    if total > free {
        let what = format!("copy {} of the image's data to", words(total));
        return Err(Error::system(what, shown, Errno::ENOSPC));
    }
    let (source, target) = (open_dir(AT_FDCWD, from, shown)?, open_dir(AT_FDCWD, parent, shown)?);
    let name = to.file_name().unwrap_or(OsStr::new("copy"));
    let mut copier = Copier { links: BTreeMap::new(), to, shown, done: 0, total, progress };
    copier.directory(&source, &target, name, Path::new(""))
}

fn words(bytes: u64) -> String {
    crate::text::size_words(bytes)
}

struct Copier<'a, 'b> {
    /// Where the first name of each file with several went.
    links: BTreeMap<InodeId, PathBuf>,
    to: &'a Path,
    shown: &'a Path,
    done: u64,
    total: u64,
    progress: &'a mut CopyProgress<'b>,
}

impl Copier<'_, '_> {
    /// `source` is open; `name` is made in `target`. `path` is for messages and hard links.
    fn directory(&mut self, source: &OwnedFd, target: &OwnedFd, name: &OsStr, path: &Path) -> Result<()> {
        let shown = self.shown.join(path);
        mkdirat(target, name, Mode::S_IRWXU).attempt("make", &shown)?;
        let made = open_dir(target, name, &shown)?;
        keep_flags(source.as_fd(), made.as_fd());
        let listing = proc_path(source);
        for entry in fs::read_dir(&listing).attempt("read", &shown)? {
            let entry = entry.attempt("read", &shown)?;
            let child = entry.file_name();
            let Some(meta) = there(fs::symlink_metadata(entry.path())).attempt("stat", &shown)? else {
                continue;
            };
            let below = path.join(&child);
            if meta.is_dir() {
                let inner = open_dir(source, &child, &shown)?;
                self.directory(&inner, &made, &child, &below)?;
            } else {
                self.other(source, &made, &child, &below, &meta)?;
            }
        }
        let meta =
            File::from(source.try_clone().attempt("dup", &shown)?).metadata().attempt("stat", &shown)?;
        dress(&PathBuf::from(format!("{listing}/.")), target, name, &meta, &shown)
    }

    fn other(
        &mut self,
        source: &OwnedFd,
        target: &OwnedFd,
        name: &OsStr,
        path: &Path,
        meta: &fs::Metadata,
    ) -> Result<()> {
        let shown = self.shown.join(path);
        let identity = InodeId { dev: meta.dev(), ino: meta.ino() };
        if let Some(first) = self.links.get(&identity) {
            return linkat(AT_FDCWD, first, target, name, AtFlags::empty()).attempt("link", &shown);
        }
        let kind = meta.file_type();
        if kind.is_symlink() {
            let to = readlinkat(source, name).attempt("readlink", &shown)?;
            symlinkat(to.as_os_str(), target, name).attempt("symlink", &shown)?;
        } else if kind.is_file() {
            self.contents(source, target, name, meta, &shown)?;
        } else {
            mknodat(target, name, special(kind), Mode::S_IRUSR, meta.rdev()).attempt("mknod", &shown)?;
        }
        dress(&PathBuf::from(proc_path(source)).join(name), target, name, meta, &shown)?;
        if meta.nlink() > 1 {
            self.links.insert(identity, self.to.join(path));
        }
        self.done += meta.blocks().saturating_mul(512);
        (self.progress)(self.done, self.total);
        Ok(())
    }

    /// Only what is data is written, so that a hole stays a hole.
    fn contents(
        &mut self,
        source: &OwnedFd,
        target: &OwnedFd,
        name: &OsStr,
        meta: &fs::Metadata,
        shown: &Path,
    ) -> Result<()> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let from = openat(source, name, flags | OFlag::O_RDONLY, Mode::empty()).attempt("open", shown)?;
        let create = flags | OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let to = openat(target, name, create, Mode::S_IRUSR | Mode::S_IWUSR).attempt("make", shown)?;
        keep_flags(from.as_fd(), to.as_fd());
        let (from, to) = (File::from(from), File::from(to));
        to.set_len(meta.len()).attempt("truncate", shown)?;
        let mut buffer = vec![0; 256 << 10];
        let mut at = 0;
        while let Some((start, end)) = next_data(&from, at, meta.len()).attempt("seek in", shown)? {
            at = start;
            while at < end {
                let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
                let part = buffer.get_mut(..want).unwrap_or(&mut []);
                let read = from.read_at(part, at).attempt("read", shown)?;
                if read == 0 {
                    return Ok(());
                }
                to.write_all_at(part.get(..read).unwrap_or(&[]), at).attempt("write", shown)?;
                at += read as u64;
            }
        }
        Ok(())
    }
}

/// The next run of data from `at` on; where a filesystem cannot tell, all of the rest is data.
fn next_data(file: &File, at: u64, size: u64) -> nix::Result<Option<(u64, u64)>> {
    if at >= size {
        return Ok(None);
    }
    let offset = i64::try_from(at).map_err(|_| Errno::EFBIG)?;
    let start = match lseek64(file.as_fd(), offset, Whence::SeekData) {
        Err(Errno::ENXIO) => return Ok(None),
        Err(Errno::EINVAL) => return Ok(Some((at, size))),
        other => other?,
    };
    let end = lseek64(file.as_fd(), start, Whence::SeekHole)?;
    Ok(Some((u64::try_from(start).unwrap_or(at), u64::try_from(end).unwrap_or(size))))
}

/// The flags of chattr(1) that say how a file is stored and written; `C` needs it to be empty still. A filesystem
/// that does not know one has no use for it. Not `i` and `a`: the copy is for use, and a reset deletes it.
fn keep_flags(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    // C, c, m, A, d, S, D; one at a time, for each may be the one that is not known.
    const KEPT: [u32; 7] = [0x0080_0000, 0x4, 0x400, 0x80, 0x40, 0x8, 0x0001_0000];
    let Ok(wanted) = inode_flags(from) else { return };
    for flag in KEPT {
        if let Ok(has) = inode_flags(to)
            && (has ^ wanted) & flag != 0
        {
            let _ = set_inode_flags(to, has ^ flag);
        }
    }
}

/// Owner, mode, attributes and times, in the one order that keeps them all: chown takes setuid bits and
/// capabilities away, an access list changes the mode, and everything changes the times.
fn dress(source: &Path, target: &OwnedFd, name: &OsStr, meta: &fs::Metadata, shown: &Path) -> Result<()> {
    let (owner, group) = (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()));
    fchownat(target, name, Some(owner), Some(group), AtFlags::AT_SYMLINK_NOFOLLOW).attempt("chown", shown)?;
    if !meta.file_type().is_symlink() {
        let mode = Mode::from_bits_truncate(meta.mode() & 0o7777);
        fchmodat(target, name, mode, FchmodatFlags::FollowSymlink).attempt("chmod", shown)?;
    }
    let made = PathBuf::from(proc_path(target)).join(name);
    let names = match xattr::list(source) {
        Err(Errno::EOPNOTSUPP) => Vec::new(),
        other => other.attempt("list the attributes of", shown)?,
    };
    for attribute in names {
        let value = xattr::get(source, &attribute).attempt("read an attribute of", shown)?;
        match xattr::set(&made, &attribute, &value) {
            Err(Errno::EOPNOTSUPP) if !is_everywhere(attribute.to_bytes()) => {}
            other => other.attempt("set an attribute of", shown)?,
        }
    }
    let time = |seconds, nanoseconds| TimeSpec::new(seconds, nanoseconds);
    let (read, written) = (time(meta.atime(), meta.atime_nsec()), time(meta.mtime(), meta.mtime_nsec()));
    utimensat(target, name, &read, &written, UtimensatFlags::NoFollowSymlink)
        .attempt("set the times of", shown)
}

/// The others (`btrfs.compression`) are about how one filesystem stores a file, and mean nothing on another.
pub(crate) fn is_everywhere(attribute: &[u8]) -> bool {
    ["user.", "trusted.", "security.", "system."].iter().any(|space| attribute.starts_with(space.as_bytes()))
}

fn special(kind: fs::FileType) -> SFlag {
    if kind.is_fifo() {
        SFlag::S_IFIFO
    } else if kind.is_socket() {
        SFlag::S_IFSOCK
    } else if kind.is_char_device() {
        SFlag::S_IFCHR
    } else {
        SFlag::S_IFBLK
    }
}

fn open_dir(at: impl AsFd, name: impl Into<OsString>, shown: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(at, name.into().as_os_str(), flags, Mode::empty()).attempt("open", shown)
}
