//! Every path inside a root that a stranger built, and the only module that touches one.
//!
//! The trick: a directory is opened once, with openat2(2) and RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, so
//! that no symlink, `..` or race leads out of the root; from then on there is only its descriptor and one
//! plain name. A name is never followed. A file is read only after its inode was pinned by O_PATH and seen
//! to be a regular file on the root's own mount, so no FIFO can block us, no device can be woken, and nothing
//! that is mounted inside (`/proc/kmsg`) is read. Nothing of the image is run.
#![expect(clippy::disallowed_methods, reason = "this is the module that may")]

pub(crate) mod dir;
pub(crate) mod inode;
pub(crate) mod mounts;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, fstat, fstatat};

use crate::error::{Attempt, Error, Kind, Result};
use crate::untrusted::inode::{FileKind, Inode, PinnedFile, mount_of};

pub(crate) use crate::untrusted::dir::Dir;
pub(crate) use crate::untrusted::inode::IN_OTHER_MOUNT;

/// How often a walk that a racing rename disturbed is tried again (openat2 says EAGAIN then).
const WALK_ATTEMPTS: usize = 64;

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
        let root_mount = mount_of(&fd, &shown)?;
        Ok(Self(Dir { fd, shown, root_mount }))
    }

    fn refuse(path: &Path, errno: Errno) -> Error {
        let symlink = fstatat(AT_FDCWD, path, AtFlags::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| Inode::from(stat).kind == FileKind::Symlink);
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
        let (shown, root_mount) = (self.0.shown.join(path), self.0.root_mount);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK;
        let fd = match self.walk(path, flags | OFlag::O_NOATIME) {
            // Only the owner may leave the time of access as it is; a dry run need not be root's.
            Err(error) if error.errno() == Some(Errno::EPERM) => self.walk(path, flags),
            other => other,
        };
        Ok(fd?.map(|fd| Dir { fd, shown, root_mount }))
    }

    /// The same directory, to be passed through only: its names can be looked up, and whoever watches it sees nobody
    /// open it.
    ///
    /// # Errors
    /// As [`Root::directory`].
    pub fn passable_directory(&self, path: &Path) -> Result<Option<Dir>> {
        let (shown, root_mount) = (self.0.shown.join(path), self.0.root_mount);
        Ok(self.walk(path, OFlag::O_PATH | OFlag::O_DIRECTORY)?.map(|fd| Dir { fd, shown, root_mount }))
    }

    /// What `path` leads to inside the root, symlinks followed, without opening it.
    ///
    /// # Errors
    /// As [`Root::directory`].
    pub fn find(&self, path: &Path) -> Result<Option<PinnedFile>> {
        let Some(fd) = self.walk(path, OFlag::O_PATH)? else { return Ok(None) };
        let shown = self.0.shown.join(path);
        let inode = fstat(&fd).attempt("stat", &shown)?.into();
        Ok(Some(PinnedFile { fd, inode, shown, root_mount: self.0.root_mount }))
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
            assert_eq!(root.top().inode_at(name).unwrap_err().kind(), Kind::Attack, "{name:?}");
        }
    }
}
