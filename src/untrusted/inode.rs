//! What the kernel says of one file in an untrusted tree, asked by descriptor; and a file that is held so, unopened.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

use crate::error::{Attempt, Error, Kind, Result};
use crate::sys::{self, MountId};

/// Why something is left alone: nothing can be linked there, and what it is the image does not say.
pub(crate) const IN_OTHER_MOUNT: &str = "it is in another mount than the root";

/// An inode's identity, within one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InodeId {
    pub dev: u64,
    pub ino: u64,
}

/// What kind of thing stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    Regular,
    Symlink,
    Directory,
    Fifo,
    Socket,
    /// A character or block device.
    Device,
}

impl FileKind {
    /// With its article, for a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Regular => "a regular file",
            Self::Symlink => "a symbolic link",
            Self::Directory => "a directory",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        }
    }
}

/// An inode as stat(2) describes it: what stands at a name, or behind a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    pub id: InodeId,
    pub kind: FileKind,
    /// The permission bits, set-user-ID and the like included.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    /// How many names it has.
    pub links: u64,
    /// Last change of the content, seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Last change of the inode, which nobody can set: seconds and nanoseconds.
    pub changed: (i64, i64),
}

impl From<FileStat> for Inode {
    fn from(stat: FileStat) -> Self {
        let kind = match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => FileKind::Regular,
            SFlag::S_IFLNK => FileKind::Symlink,
            SFlag::S_IFDIR => FileKind::Directory,
            SFlag::S_IFIFO => FileKind::Fifo,
            SFlag::S_IFSOCK => FileKind::Socket,
            _ => FileKind::Device,
        };
        Self {
            id: InodeId { dev: stat.st_dev, ino: stat.st_ino },
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            links: stat.st_nlink,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

impl Inode {
    /// Whether two names are one inode. On overlayfs a new link of a copied-up file shows another number
    /// than the old name, until both are looked up anew; what tells then is the change time, which nobody
    /// can set, with everything else that stat(2) says. Two files that differ in content may in theory pass:
    /// who would lose one compares that as well.
    pub fn is_same_file(&self, other: &Self) -> bool {
        let but_number = |inode: &Self| Self { id: self.id, ..*inode };
        self.id == other.id || (self.links > 1 && but_number(self) == but_number(other))
    }

    /// Whether this is what `other` was seen as, other names of it having come and gone: that changes an inode's
    /// count of links and its change time, and on overlayfs its number.
    pub fn resembles(&self, other: &Self) -> bool {
        let lasting =
            |inode: &Self| (inode.kind, inode.mode, inode.uid, inode.gid, inode.size, inode.modified);
        lasting(self) == lasting(other)
    }
}

/// A file that was found by a walk and is pinned, but not opened.
#[derive(Debug)]
pub struct PinnedFile {
    pub(super) fd: OwnedFd,
    pub(super) shown: PathBuf,
    /// The mount that the root is in.
    pub(super) root_mount: MountId,
    pub inode: Inode,
}

/// The mount that an open file is in.
pub(crate) fn mount_of(fd: &OwnedFd, shown: &Path) -> Result<MountId> {
    sys::mount_id(fd.as_fd())
        .attempt("tell the mount of", shown)
        .map_err(|error| error.remedy("mount /proc, or run it on Linux 5.8 or later"))
}

impl PinnedFile {
    /// Whether it is in another mount than the root.
    ///
    /// # Errors
    /// If nobody tells.
    pub fn is_in_other_mount(&self) -> Result<bool> {
        Ok(mount_of(&self.fd, &self.shown)? != self.root_mount)
    }

    /// The number of the device that it is, if it is one.
    pub fn device(&self) -> Option<u64> {
        let stat = fstat(&self.fd).ok().filter(|_| self.inode.kind == FileKind::Device)?;
        Some(stat.st_rdev)
    }

    /// Opens it for reading, if it is a regular file on the root's own mount.
    ///
    /// # Errors
    /// State for any other; what open(2) says.
    pub fn open(&self) -> Result<File> {
        if self.inode.kind != FileKind::Regular {
            let reason = format!("it is {}, not a regular file", self.inode.kind.words());
            return Err(Error::new(Kind::State, "read", reason).at(&self.shown));
        }
        if self.is_in_other_mount()? {
            return Err(Error::new(Kind::State, "read", IN_OTHER_MOUNT).at(&self.shown));
        }
        // The descriptor's own name in /proc opens this very inode, whatever stands at its name by now.
        let again = sys::proc_path(&self.fd);
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let fd = openat(AT_FDCWD, again.as_str(), flags | OFlag::O_NOATIME, Mode::empty())
            .or_else(|_| openat(AT_FDCWD, again.as_str(), flags, Mode::empty()))
            .attempt("open", &self.shown)?;
        Ok(File::from(fd))
    }
}
