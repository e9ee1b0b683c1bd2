//! What puts back what a step of install or uninstall did, should a later one fail.
//!
//! The invariant: undoing is made of the same atomic operations as doing, so a kill in the middle of it
//! leaves a state that the next run knows.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use nix::mount::{MntFlags, umount2};

use super::install::dpkg_divert;
use crate::error::{Attempt, Result};
use crate::root::Dir;
use crate::sys;

/// One thing to be put back.
#[derive(Debug)]
pub(super) enum Undo {
    /// A name that was made.
    RemoveName(Rc<Dir>, String),
    /// A directory that was made.
    RemoveDirectory(Rc<Dir>, String),
    /// A file that was saved under the first name and belongs under the second.
    RenameBack(Rc<Dir>, String, String),
    /// A name (third) that shall lead to the inode of another (first) again; the second is temporary.
    LinkBack(Rc<Dir>, String, String, String),
    /// A tool that was restored: it gets its `.real` back, and the shim its name.
    Reshim {
        /// Where.
        dir: Rc<Dir>,
        /// The tool's name, and the one to which it goes back.
        names: [String; 2],
        /// The directory and name of the binary.
        binary: (Rc<Dir>, String),
        /// A temporary name.
        temporary: String,
    },
    /// Diversions that dpkg-divert made or ended, and whether they are to be made again.
    Divert(Vec<String>, bool),
    /// A mount that was made: its root.
    Unmount(OwnedFd),
    /// A mount that was taken away, and where it was.
    Mount(OwnedFd, Rc<Dir>, String),
}

impl Undo {
    /// Puts it back.
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::RemoveName(dir, name) => dir.unlink(&name),
            Self::RemoveDirectory(dir, name) => dir.remove_directory(&name),
            Self::RenameBack(dir, saved, name) => dir.rename(&saved, &name),
            Self::LinkBack(dir, from, temporary, name) => {
                dir.link(&from, &dir, &temporary)?;
                dir.rename(&temporary, &name)
            }
            Self::Reshim { dir, names: [name, real], binary: (bin, binary), temporary } => {
                dir.link(&name, &dir, &real)?;
                bin.link(&binary, &dir, &temporary)?;
                dir.rename(&temporary, &name)
            }
            Self::Divert(paths, make) => paths.iter().try_for_each(|path| dpkg_divert(path, make)),
            Self::Unmount(mount) => unmount(mount),
            Self::Mount(mount, dir, name) => match dir.subdirectory(&name)? {
                Some(onto) => {
                    sys::attach_mount(mount.as_fd(), onto.as_fd()).attempt("mount on", dir.shown(&name))
                }
                None => Ok(()),
            },
        }
    }
}

/// Unmounts the mount that this descriptor is in, by descriptor: no path is walked.
#[expect(clippy::disallowed_methods, reason = "the path is a descriptor's")]
pub(super) fn unmount(mount: impl AsFd) -> Result<()> {
    umount2(sys::proc_path(&mount).as_str(), MntFlags::MNT_DETACH).attempt("unmount", ".rootfs-shim/upper")
}
