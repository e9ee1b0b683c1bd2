//! Where a path leads: the file, its mount, and its name there, by descriptor and never by comparing strings.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::fs::{self, File, Metadata};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::Mode;

use crate::error::{Attempt, Result};
use crate::paths::OverlayPath;
use crate::sys::{self, MountId};

/// Opens a directory as a place only (O_PATH).
///
/// # Errors
/// As open(2) says.
pub(crate) fn directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty()).attempt("open", path)
}

/// Where a file is, as the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The mount that it is in.
    pub mount: MountId,
    /// The same mount's unique ID, where the kernel tells it.
    pub unique: Option<NonZeroU64>,
    /// Its path from this process's root, without symlinks.
    pub path: PathBuf,
}

/// Where a path leads.
///
/// # Errors
/// As open(2) with O_PATH says, and what /proc says where it is not there.
pub(crate) fn locate(path: &Path) -> nix::Result<Location> {
    location_of(&open_path(path)?)
}

/// Opens a file below `dir` without following a symlink or leaving the mount.
///
/// # Errors
/// As openat2(2) says: ELOOP for a symlink, EXDEV for a mount point.
pub(crate) fn open_beneath(dir: &OwnedFd, path: &OverlayPath, flags: OFlag) -> nix::Result<OwnedFd> {
    let resolve =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    // openat2(2) refuses flags that mean nothing for a place.
    let nonblock = if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { OFlag::O_NONBLOCK };
    let flags = flags | nonblock | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    match openat2(dir, path.relative(), OpenHow::new().flags(flags).resolve(resolve)) {
        Err(Errno::ENOSYS) => walk_beneath(dir, path, flags),
        other => other,
    }
}

/// openat2(2) by hand, for a kernel before 5.6 or a seccomp filter: name by name, no symlink followed, no mount
/// entered.
pub(crate) fn walk_beneath(dir: &OwnedFd, path: &OverlayPath, flags: OFlag) -> nix::Result<OwnedFd> {
    let start = sys::mount_id(dir.as_fd())?;
    let mut at = dir.try_clone().map_err(|error| errno_of(&error))?;
    let mut names = path.relative().components().peekable();
    while let Some(name) = names.next() {
        let place = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let flags = if names.peek().is_none() { flags } else { place | OFlag::O_DIRECTORY };
        at = openat(&at, name.as_os_str(), flags, Mode::empty())?;
        if sys::mount_id(at.as_fd())? != start {
            return Err(Errno::EXDEV);
        }
    }
    let file = File::from(at);
    let is_link = file.metadata().is_ok_and(|meta| meta.file_type().is_symlink());
    if is_link { Err(Errno::ELOOP) } else { Ok(file.into()) }
}

/// Opens a path as a place only.
///
/// # Errors
/// As open(2) says.
pub(crate) fn open_path(path: &Path) -> nix::Result<OwnedFd> {
    open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
}

pub(crate) fn parent_of(path: &Path) -> &Path {
    let parent = path.parent().unwrap_or(path);
    if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
}

/// The UUID of the filesystem that a regular file or a directory is on.
pub(crate) fn filesystem_uuid(fd: &OwnedFd) -> Option<[u8; 16]> {
    let file = File::open(sys::proc_path(fd)).ok()?;
    sys::filesystem_uuid(file.as_fd()).ok()
}

pub(crate) fn location_of(fd: &OwnedFd) -> nix::Result<Location> {
    let path = fs::read_link(sys::proc_path(fd)).map_err(|error| errno_of(&error))?;
    // What the kernel says of a file that has lost its name, and what any file may be called.
    if path.as_os_str().as_bytes().ends_with(b" (deleted)") && !leads_to(&path, fd) {
        return Err(Errno::ENOENT);
    }
    let (mount, unique) = (sys::mount_id(fd.as_fd())?, sys::unique_mount_id(fd.as_fd()));
    Ok(Location { mount, unique, path })
}

pub(crate) fn leads_to(path: &Path, fd: &OwnedFd) -> bool {
    let inode = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    inode(path).is_some_and(|there| Some(there) == inode(Path::new(&sys::proc_path(fd))))
}

pub(crate) fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Which file it is, so that another one at the same path is another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
    /// In nanoseconds; 0 where the filesystem does not tell.
    born: u64,
}

impl FileId {
    /// The identity of an open file, from what fstat(2) says of it.
    pub fn of(meta: &Metadata) -> Self {
        let born = meta.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let born = born.and_then(|age| u64::try_from(age.as_nanos()).ok()).unwrap_or(0);
        Self { device: meta.dev(), inode: meta.ino(), born }
    }

    /// Whether it can be the file of that device and inode number.
    pub fn is(&self, device: u64, inode: u64) -> bool {
        (self.device, self.inode) == (device, inode)
    }

    /// One that a fixture writes down.
    pub fn numbered(device: u64, inode: u64) -> Self {
        Self { device, inode, born: 0 }
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [self.device, self.inode, self.born].map(u64::to_ne_bytes).concat()
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.chunks_exact(8).map(|number| number.try_into().map(u64::from_ne_bytes).ok());
        let mut number = || numbers.next().flatten();
        Some(Self { device: number()?, inode: number()?, born: number()? })
    }
}

/// Where a file that is not there would be: the nearest directory above it that is there, as the kernel calls it, and the rest of the path.
pub(crate) fn would_be(path: &Path) -> Option<PathBuf> {
    let mut above =
        path.ancestors().skip(1).map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
    let (dir, found) = above.find_map(|dir| Some((dir, locate(dir).ok()?)))?;
    Some(found.path.join(path.strip_prefix(dir).unwrap_or(path)))
}
