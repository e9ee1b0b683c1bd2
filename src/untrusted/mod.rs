//! Every path inside a root that a stranger built, and the only module that touches one.
//!
//! The trick: a directory is opened once, with openat2(2) and RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, so
//! that no symlink, `..` or race leads out of the root; from then on there is only its descriptor and one
//! plain name. A name is never followed. A file is read only after its inode was pinned by O_PATH and seen
//! to be a regular file on the root's own mount, so no FIFO can block us, no device can be woken, and nothing
//! that is mounted inside (`/proc/kmsg`) is read. Nothing of the image is run.
#![expect(clippy::disallowed_methods, reason = "this is the module that may")]

pub mod dir;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use crate::error::{Attempt, Error, Kind, Result};
use crate::sys::{self, MountId};
pub use crate::untrusted::dir::Dir;

/// How often a walk that a racing rename disturbed is tried again (openat2 says EAGAIN then).
const WALK_ATTEMPTS: usize = 64;
/// Why something is left alone: nothing can be linked there, and what it is the image does not say.
pub const ELSEWHERE: &str = "it is in another mount than the root";

/// An inode's identity, within one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The filesystem.
    pub dev: u64,
    /// The inode in it.
    pub ino: u64,
}

/// What kind of thing stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A socket.
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

/// What stands at a name, or behind a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which inode.
    pub id: FileId,
    /// What it is.
    pub kind: FileKind,
    /// The permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// In bytes.
    pub size: u64,
    /// How many names it has.
    pub links: u64,
    /// Last change of the content, seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Last change of the inode, which nobody can set: seconds and nanoseconds.
    pub changed: (i64, i64),
}

impl From<FileStat> for Entry {
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
            id: FileId { dev: stat.st_dev, ino: stat.st_ino },
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

impl Entry {
    /// Whether two names are one inode. On overlayfs a new link of a copied-up file shows another number
    /// than the old name, until both are looked up anew; what tells then is the change time, which nobody
    /// can set, with everything else that stat(2) says. Two files that differ in content may in theory pass:
    /// who would lose one compares that as well.
    pub fn is_same_file(&self, other: &Self) -> bool {
        let inode = |entry: &Self| Self { id: self.id, ..*entry };
        self.id == other.id || (self.links > 1 && inode(self) == inode(other))
    }

    /// Whether this is what `other` was seen as, other names of it having come and gone: that changes an inode's
    /// count of links and its change time, and on overlayfs its number.
    pub fn resembles(&self, other: &Self) -> bool {
        let lasting =
            |entry: &Self| (entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.modified);
        lasting(self) == lasting(other)
    }
}

/// The root directory of an image, and the one place from which paths are walked.
#[derive(Debug)]
pub struct Root(Dir);

impl Root {
    /// Opens `path` itself: not what it links to, because an operator who names a link has not said which
    /// tree is meant, and the link may be the image's.
    ///
    /// # Errors
    /// State if it is missing, no directory, or a symlink.
    pub fn open(path: &Path) -> Result<Self> {
        // Without this, `link/` would follow the link.
        let plain: PathBuf = path.components().collect();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(AT_FDCWD, &plain, flags, Mode::empty()) {
            Ok(fd) => Self::new(fd, plain),
            Err(errno) => Err(Self::refuse(&plain, errno)),
        }
    }

    /// Opens a directory of the host's, whose links are followed: for the upper directory.
    ///
    /// # Errors
    /// What open(2) says.
    pub fn of_host(path: &Path) -> Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let fd = openat(AT_FDCWD, path, flags, Mode::empty()).attempt("open", path)?;
        Self::new(fd, path.to_owned())
    }

    fn new(fd: OwnedFd, shown: PathBuf) -> Result<Self> {
        let home = mount_of(&fd, &shown)?;
        Ok(Self(Dir { fd, shown, home }))
    }

    fn refuse(path: &Path, errno: Errno) -> Error {
        let symlink = fstatat(AT_FDCWD, path, AtFlags::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| Entry::from(stat).kind == FileKind::Symlink);
        let state = |reason: &str| Error::new(Kind::State, "open the root directory", reason).at(path);
        match errno {
            Errno::ENOENT => {
                state("it does not exist").remedy("name the directory where the guest's root is mounted")
            }
            Errno::ENOTDIR | Errno::ELOOP if symlink => {
                state("it is a symbolic link").remedy("name the directory that it leads to")
            }
            Errno::ENOTDIR => {
                state("it is not a directory").remedy("name the directory where the guest's root is mounted")
            }
            errno => Error::system("open the root directory", path, errno),
        }
    }

    /// The root of a mount that is open already, and by which name a message calls it.
    ///
    /// # Errors
    /// If nobody tells which mount it is.
    pub fn of_mount(fd: OwnedFd, shown: &Path) -> Result<Self> {
        Self::new(fd, shown.to_owned())
    }

    /// The directory itself.
    pub fn top(&self) -> &Dir {
        &self.0
    }

    /// The real directory that `path` leads to inside the root; `None` if there is none.
    ///
    /// # Errors
    /// Attack if the walk is still disturbed after many attempts, State if the kernel has no openat2(2), or
    /// what the call says, e.g. ELOOP.
    pub fn directory(&self, path: &Path) -> Result<Option<Dir>> {
        let (shown, home) = (self.0.shown.join(path), self.0.home);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK;
        let fd = match self.walk(path, flags | OFlag::O_NOATIME) {
            // Only the owner may leave the time of access as it is; a dry run need not be root's.
            Err(error) if error.errno() == Some(Errno::EPERM) => self.walk(path, flags),
            other => other,
        };
        Ok(fd?.map(|fd| Dir { fd, shown, home }))
    }

    /// The same as a place only: its names can be looked up, and whoever watches it sees nobody open it.
    ///
    /// # Errors
    /// As [`Root::directory`].
    pub fn place(&self, path: &Path) -> Result<Option<Dir>> {
        let (shown, home) = (self.0.shown.join(path), self.0.home);
        Ok(self.walk(path, OFlag::O_PATH | OFlag::O_DIRECTORY)?.map(|fd| Dir { fd, shown, home }))
    }

    /// What `path` leads to inside the root, symlinks followed, without opening it.
    ///
    /// # Errors
    /// As [`Root::directory`].
    pub fn find(&self, path: &Path) -> Result<Option<Found>> {
        let Some(fd) = self.walk(path, OFlag::O_PATH)? else { return Ok(None) };
        let shown = self.0.shown.join(path);
        let entry = fstat(&fd).attempt("stat", &shown)?.into();
        Ok(Some(Found { fd, entry, shown, home: self.0.home }))
    }

    fn walk(&self, path: &Path, flags: OFlag) -> Result<Option<OwnedFd>> {
        let shown = self.0.shown.join(path);
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        for _ in 0..WALK_ATTEMPTS {
            match openat2(&self.0.fd, path, how) {
                Ok(fd) => return Ok(Some(fd)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
                Err(errno) if is_forbidden(errno, flags) => {
                    return Err(Error::system("openat2", shown, errno)
                        .remedy("Linux 5.6 or later is needed, and no seccomp filter that hides openat2"));
                }
                Err(errno) => return Err(Error::system("open", shown, errno)),
            }
        }
        Err(Error::new(Kind::Attack, "open", "directories on the way are renamed again and again").at(shown))
    }
}

/// Whether openat2(2) itself is not to be had: it says EPERM only to O_NOATIME, and a filter says that as well.
fn is_forbidden(errno: Errno, flags: OFlag) -> bool {
    errno == Errno::ENOSYS || (errno == Errno::EPERM && !flags.contains(OFlag::O_NOATIME))
}

/// A file that was found by a walk and is pinned, but not opened.
#[derive(Debug)]
pub struct Found {
    fd: OwnedFd,
    shown: PathBuf,
    /// The root's mount.
    home: MountId,
    /// What it is.
    pub entry: Entry,
}

/// The mount that an open file is in.
fn mount_of(fd: &OwnedFd, shown: &Path) -> Result<MountId> {
    sys::mount_id(fd.as_fd())
        .attempt("tell the mount of", shown)
        .map_err(|error| error.remedy("mount /proc, or run it on Linux 5.8 or later"))
}

impl Found {
    /// Whether it is in another mount than the root.
    ///
    /// # Errors
    /// If nobody tells.
    pub fn is_elsewhere(&self) -> Result<bool> {
        Ok(mount_of(&self.fd, &self.shown)? != self.home)
    }

    /// The number of the device that it is, if it is one.
    pub fn device(&self) -> Option<u64> {
        let stat = fstat(&self.fd).ok().filter(|_| self.entry.kind == FileKind::Device)?;
        Some(stat.st_rdev)
    }

    /// Opens it for reading, if it is a regular file on the root's own mount.
    ///
    /// # Errors
    /// State for any other; what open(2) says.
    pub fn open(&self) -> Result<File> {
        if self.entry.kind != FileKind::Regular {
            let reason = format!("it is {}, not a regular file", self.entry.kind.words());
            return Err(Error::new(Kind::State, "read", reason).at(&self.shown));
        }
        if self.is_elsewhere()? {
            return Err(Error::new(Kind::State, "read", ELSEWHERE).at(&self.shown));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_pipe_is_never_opened() {
        let scratch = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&scratch.path().join("pipe"), Mode::S_IRWXU).unwrap();
        let root = Root::open(scratch.path()).unwrap();
        let error = root.top().find("pipe").unwrap().unwrap().open().unwrap_err();
        assert!(error.to_string().contains("a named pipe"), "{error}");
        assert_eq!(root.top().read("pipe", 1).unwrap_err().kind(), Kind::Attack);
    }

    #[test]
    fn a_name_is_one_plain_name() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::open(scratch.path()).unwrap();
        for name in ["", ".", "..", "a/b", "/etc", "../x"] {
            assert_eq!(root.top().entry(name).unwrap_err().kind(), Kind::Attack, "{name:?}");
        }
    }
}
