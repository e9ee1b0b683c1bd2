//! What puts back what a step of install or uninstall did, should a later one fail.
//!
//! The invariant: undoing is made of the same atomic operations as doing, so a kill in the middle of it
//! leaves a state that the next run knows.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use crate::error::{Attempt, Error, Kind, Result};
use crate::installer::execute::dpkg_divert;
use crate::installer::names::UPPER;
use crate::sys;
use crate::untrusted::Dir;
use crate::untrusted::inode::Inode;
use crate::untrusted::mounts::unmount;

/// One thing to be put back.
#[derive(Debug)]
pub(crate) enum Undo {
    /// A name that was made, and what was put there: what somebody put there since is left.
    RemoveName(Rc<Dir>, String, Option<Inode>),
    /// A directory that was made.
    RemoveDirectory(Rc<Dir>, String),
    /// A file of ours that was saved under the first name and takes the place of what is under the second.
    PutOver(Rc<Dir>, String, String),
    /// A file that was set aside to the first name and belongs under the second, where nothing is.
    PutBack(Rc<Dir>, String, String),
    /// Two names that were exchanged.
    Exchange {
        /// Where.
        dir: Rc<Dir>,
        /// Ours, and the image's.
        names: [String; 2],
        /// A temporary name.
        spare: String,
        /// What the image's name was given, which goes back to ours.
        put: Option<Inode>,
    },
    /// A directory, and the permission bits that it had.
    SetMode(Rc<Dir>, u32),
    /// Diversions that dpkg-divert made or ended, and whether they are to be made again.
    Divert(Vec<String>, bool),
    /// A mount that was made: its root.
    Unmount(OwnedFd),
    /// A mount that was taken away, and where it was.
    Mount(OwnedFd, Rc<Dir>, String),
}

impl Undo {
    /// Puts it back.
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::RemoveName(dir, name, None) => dir.unlink(&name),
            Self::RemoveName(dir, name, Some(put)) => match dir.inode_at(&name)? {
                Some(now) if !now.resembles(&put) => Err(replaced(&dir, &name)),
                _ => dir.unlink(&name),
            },
            Self::RemoveDirectory(dir, name) => dir.remove_directory(&name),
            Self::PutOver(dir, saved, name) => {
                dir.rename(&saved, &name)?;
                // If the name has never got another file, both are one inode, and that was no rename.
                dir.unlink(&saved)
            }
            Self::PutBack(dir, saved, name) => dir.rename_new(&saved, &name),
            Self::Exchange { dir, names: [ours, name], spare, put } => {
                dir.exchange(&ours, &name, &spare)?;
                match (dir.inode_at(&ours)?, put) {
                    (Some(now), Some(put)) if now.resembles(&put) => Ok(()),
                    _ => dir.exchange(&ours, &name, &spare).and(Err(replaced(&dir, &name))),
                }
            }
            Self::SetMode(dir, mode) => dir.set_mode(mode),
            Self::Divert(paths, make) => paths.iter().try_for_each(|path| dpkg_divert(path, make)),
            Self::Unmount(mount) => unmount(mount, UPPER),
            Self::Mount(mount, dir, name) => match dir.subdirectory(&name)? {
                Some(onto) => {
                    sys::attach_mount(mount.as_fd(), onto.as_fd()).attempt("mount on", dir.shown(&name))
                }
                None => Ok(()),
            },
        }
    }
}

fn replaced(dir: &Dir, name: &str) -> Error {
    Error::new(Kind::State, "put back", "somebody has replaced it meanwhile").at(dir.shown(name))
}
