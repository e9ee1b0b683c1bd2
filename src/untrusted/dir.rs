//! An open directory of the untrusted root, and all that is done by descriptor and plain name.
//!
//! The invariant: no method follows a symlink at `name`, and none takes a name with a slash in it.
#![expect(clippy::disallowed_methods, reason = "this is the module that may")]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, readlinkat, renameat2};
use nix::sys::stat::{Mode, fchmod, fstat, fstatat, futimens, mkdirat};
use nix::sys::statvfs::{FsFlags, Statvfs, fstatvfs};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, linkat, unlinkat};

use crate::error::{Attempt, Error, Kind, Result};
use crate::sys::{self, MountId};
use crate::text;
use crate::untrusted::inode::{FileKind, Inode, PinnedFile, mount_of};

/// A directory with more names than this is not listed to its end. Debian's longest has fifty thousand.
pub(crate) const NAMES_CAP: usize = 1 << 17;

/// An open directory. Its methods take one plain name and never follow it.
#[derive(Debug)]
pub struct Dir {
    pub(super) fd: OwnedFd,
    pub(super) shown: PathBuf,
    /// The mount that the root is in.
    pub(super) root_mount: MountId,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A directory that is there now.
#[derive(Debug)]
pub struct MadeDirectory {
    /// It, open.
    pub dir: Dir,
    /// It was not there before.
    pub is_new: bool,
}

impl Dir {
    /// The path by which a message calls `name` in this directory.
    pub fn shown(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.shown.clone() } else { self.shown.join(name) }
    }

    /// What this directory is.
    ///
    /// # Errors
    /// What fstat(2) says.
    pub fn stat(&self) -> Result<Inode> {
        Ok(fstat(&self.fd).attempt("stat", &self.shown)?.into())
    }

    /// Its path, without symlinks, as the kernel says: mountinfo calls the root of a mount so, and nothing else.
    ///
    /// # Errors
    /// ENOENT without /proc.
    pub fn path(&self) -> Result<PathBuf> {
        std::fs::read_link(sys::proc_path(&self.fd)).attempt("tell the path of", &self.shown)
    }

    /// The mount that it is in.
    ///
    /// # Errors
    /// If nobody tells.
    pub fn mount(&self) -> Result<MountId> {
        mount_of(&self.fd, &self.shown)
    }

    /// Whether that is another mount than the root.
    ///
    /// # Errors
    /// If nobody tells.
    pub fn is_in_other_mount(&self) -> Result<bool> {
        Ok(self.mount()? != self.root_mount)
    }

    /// What stands at `name`.
    ///
    /// # Errors
    /// What fstatat(2) says, but for ENOENT.
    pub fn inode_at(&self, name: &str) -> Result<Option<Inode>> {
        match fstatat(&self.fd, self.plain(name)?, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(Error::system("stat", self.shown(name), errno)),
        }
    }

    /// Pins what stands at `name`.
    ///
    /// # Errors
    /// What openat(2) says, but for ENOENT.
    pub fn find(&self, name: &str) -> Result<Option<PinnedFile>> {
        let shown = self.shown(name);
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = match openat(&self.fd, self.plain(name)?, flags, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            fd => fd.attempt("open", &shown)?,
        };
        let inode = fstat(&fd).attempt("stat", &shown)?.into();
        Ok(Some(PinnedFile { fd, shown, inode, root_mount: self.root_mount }))
    }

    /// The content of the regular file `name`, which may have at most `cap` bytes.
    ///
    /// # Errors
    /// Attack if something else stands there, Invalid if it is larger.
    pub fn read(&self, name: &str, cap: u64) -> Result<Option<Vec<u8>>> {
        let Some(found) = self.find(name)? else { return Ok(None) };
        if found.inode.kind != FileKind::Regular {
            let reason = format!("it is {}, not a regular file", found.inode.kind.words());
            return Err(Error::new(Kind::Attack, "read", reason).at(self.shown(name)));
        }
        let mut bytes = Vec::new();
        found.open()?.take(cap + 1).read_to_end(&mut bytes).attempt("read", self.shown(name))?;
        if bytes.len() as u64 > cap {
            let reason = format!("it is larger than {cap} bytes");
            return Err(Error::new(Kind::Invalid, "read", reason).at(self.shown(name)));
        }
        Ok(Some(bytes))
    }

    /// Where the symlink `name` points, as it is written.
    ///
    /// # Errors
    /// What readlinkat(2) says.
    pub fn link_target(&self, name: &str) -> Result<OsString> {
        readlinkat(&self.fd, self.plain(name)?).attempt("read the link", self.shown(name))
    }

    /// The directory `name`; `None` if nothing stands there.
    ///
    /// # Errors
    /// Attack if something else does.
    pub fn subdirectory(&self, name: &str) -> Result<Option<Self>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(&self.fd, self.plain(name)?, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, shown: self.shown(name), root_mount: self.root_mount })),
            Err(Errno::ENOENT) => Ok(None),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let kind = self.inode_at(name)?.map_or("gone", |inode| inode.kind.words());
                let reason = format!("it is {kind}, where only a directory may be");
                let error = Error::new(Kind::Attack, "open", reason).at(self.shown(name));
                Err(error.remedy("remove it from the image if it is yours"))
            }
            Err(errno) => Err(Error::system("open", self.shown(name), errno)),
        }
    }

    /// Makes the directory `name`, whatever the umask, or opens the one that is there already.
    ///
    /// # Errors
    /// What mkdirat(2) says; Attack if something else stands there.
    pub fn make_directory(&self, name: &str, mode: u32) -> Result<MadeDirectory> {
        let is_new = match mkdirat(&self.fd, self.plain(name)?, Mode::from_bits_truncate(mode)) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(errno) => return Err(Error::system("make the directory", self.shown(name), errno)),
        };
        let gone = || Error::new(Kind::Attack, "open", "it was there and is gone").at(self.shown(name));
        let opened = self.subdirectory(name).and_then(|dir| dir.ok_or_else(gone)).and_then(|dir| {
            if is_new {
                fchmod(&dir.fd, Mode::from_bits_truncate(mode))
                    .attempt("set the mode of", self.shown(name))?;
            }
            Ok(MadeDirectory { dir, is_new })
        });
        if is_new && opened.is_err() {
            let _ = unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir);
        }
        opened
    }

    /// Makes the new file `name` with this content, on the disk when this returns. On failure it is gone. It is
    /// root's, whatever group the directory would give it.
    ///
    /// # Errors
    /// EEXIST if anything stands there; what writing says.
    pub fn create(&self, name: &str, content: &[u8], mode: u32) -> Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let shown = self.shown(name);
        let fd = openat(&self.fd, self.plain(name)?, flags, Mode::S_IRUSR).attempt("create", &shown)?;
        let mut file = File::from(fd);
        let written = file
            .write_all(content)
            .attempt("write", &shown)
            .and_then(|()| {
                fchown(&file, Some(Uid::from_raw(0)), Some(Gid::from_raw(0))).attempt("chown", &shown)
            })
            .and_then(|()| fchmod(&file, Mode::from_bits_truncate(mode)).attempt("set the mode of", &shown))
            .and_then(|()| file.sync_all().attempt("fsync", &shown));
        if written.is_err() {
            let _ = unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir);
        }
        written
    }

    /// A second name, `to`, for the inode at `from` itself, also if that is a symlink.
    ///
    /// # Errors
    /// EEXIST if anything stands at `to`, EXDEV across mounts.
    pub fn link(&self, from: &str, to_dir: &Self, to: &str) -> Result<()> {
        linkat(&self.fd, self.plain(from)?, &to_dir.fd, to_dir.plain(to)?, AtFlags::empty())
            .attempt(&format!("link {} to", text::path(self.shown(from))), to_dir.shown(to))
    }

    /// Renames within the directory, atomically taking the place of what stands at `to`.
    ///
    /// # Errors
    /// What renameat(2) says.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        renameat2(&self.fd, self.plain(from)?, &self.fd, self.plain(to)?, RenameFlags::empty())
            .attempt(&format!("rename {from} to"), self.shown(to))
    }

    /// Renames within the directory, but takes the place of nothing.
    ///
    /// # Errors
    /// EEXIST if anything stands at `to`; what renameat2(2) says.
    pub fn rename_new(&self, from: &str, to: &str) -> Result<()> {
        match renameat2(&self.fd, self.plain(from)?, &self.fd, self.plain(to)?, RenameFlags::RENAME_NOREPLACE)
        {
            Err(Errno::EINVAL | Errno::ENOSYS) => self.link(from, self, to).and_then(|()| self.unlink(from)),
            done => done.attempt(&format!("rename {from} to"), self.shown(to)),
        }
    }

    /// Exchanges two names of files, atomically. Where the filesystem cannot, in three steps with the help of a
    /// `spare` name, and `one` takes the place of `other` atomically all the same.
    ///
    /// # Errors
    /// What renameat2(2) says.
    pub fn exchange(&self, one: &str, other: &str, spare: &str) -> Result<()> {
        let (from, to) = (self.plain(one)?, self.plain(other)?);
        match renameat2(&self.fd, from, &self.fd, to, RenameFlags::RENAME_EXCHANGE) {
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                self.link(other, self, spare)?;
                self.rename(one, other).inspect_err(|_| {
                    let _ = self.unlink(spare);
                })?;
                self.rename(spare, one).inspect_err(|_| {
                    let _ = self.link(other, self, one).and_then(|()| self.rename(spare, other));
                })
            }
            done => done.attempt(&format!("exchange {one} with"), self.shown(other)),
        }
    }

    /// Sets the permission bits of this directory itself.
    ///
    /// # Errors
    /// What fchmod(2) says.
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        fchmod(&self.fd, Mode::from_bits_truncate(mode)).attempt("set the mode of", &self.shown)
    }

    /// Removes the name of a file; nothing to do if there is none.
    ///
    /// # Errors
    /// What unlinkat(2) says.
    pub fn unlink(&self, name: &str) -> Result<()> {
        match unlinkat(&self.fd, self.plain(name)?, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(Error::system("remove", self.shown(name), errno)),
        }
    }

    /// Removes an empty directory; nothing to do if there is none.
    ///
    /// # Errors
    /// ENOTEMPTY, EBUSY if something is mounted there.
    pub fn remove_directory(&self, name: &str) -> Result<()> {
        match unlinkat(&self.fd, self.plain(name)?, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(Error::system("remove the directory", self.shown(name), errno)),
        }
    }

    /// The names in here, but for `.` and `..`.
    ///
    /// # Errors
    /// What readdir(3) says; Invalid if there are more than `NAMES_CAP`.
    pub fn names(&self) -> Result<Vec<OsString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let open = |flags| nix::dir::Dir::openat(&self.fd, ".", flags, Mode::empty());
        let mut dir = open(flags | OFlag::O_NOATIME).or_else(|_| open(flags)).attempt("list", &self.shown)?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry.attempt("list", &self.shown)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
            if names.len() > NAMES_CAP {
                let reason = format!("there are more than {NAMES_CAP} names in it");
                return Err(Error::new(Kind::Invalid, "list", reason).at(&self.shown));
            }
        }
        Ok(names)
    }

    /// Puts what changed in this directory on the disk.
    ///
    /// # Errors
    /// EIO, ENOSPC.
    pub fn sync(&self) -> Result<()> {
        fsync(&self.fd).attempt("fsync", &self.shown)
    }

    /// Gives the directory the times it had when `before` was taken: what we did in it is no change of it.
    ///
    /// # Errors
    /// What futimens(2) says.
    pub fn restore_times(&self, before: &Inode) -> Result<()> {
        let (keep, time) = (TimeSpec::UTIME_OMIT, TimeSpec::new(before.modified.0, before.modified.1));
        futimens(&self.fd, &keep, &time).attempt("set the times of", &self.shown)
    }

    /// The flags that chattr(1) shows; none where the filesystem has none.
    pub fn flags(&self) -> u32 {
        sys::inode_flags(self.as_fd()).unwrap_or(0)
    }

    /// Whether programs cannot be run from here.
    pub fn is_noexec(&self) -> bool {
        fstatvfs(&self.fd).is_ok_and(|vfs| vfs.flags().contains(FsFlags::ST_NOEXEC))
    }

    /// How full the filesystem is.
    ///
    /// # Errors
    /// What fstatvfs(3) says.
    pub fn space(&self) -> Result<Statvfs> {
        fstatvfs(&self.fd).attempt("look at the space of", &self.shown)
    }

    /// Locks the directory against another of us, waiting at most `patience`; until it is dropped.
    ///
    /// # Errors
    /// State if somebody else keeps it.
    pub fn lock(&self, patience: Duration) -> Result<()> {
        let taken = sys::wait_for(patience, || match sys::try_lock(self.as_fd()) {
            Err(Errno::EWOULDBLOCK | Errno::EINTR) if !sys::is_interrupted() => None,
            done => Some(done),
        });
        match taken {
            None | Some(Err(Errno::EWOULDBLOCK | Errno::EINTR)) => {
                Err(Error::new(Kind::State, "lock", "another install or uninstall is at work")
                    .at(&self.shown)
                    .remedy("try again when it has ended"))
            }
            Some(done) => done.attempt("lock", &self.shown),
        }
    }

    fn plain<'a>(&self, name: &'a str) -> Result<&'a str> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(Error::new(Kind::Attack, "use the name", "it is not a plain file name").at(name));
        }
        Ok(name)
    }
}
