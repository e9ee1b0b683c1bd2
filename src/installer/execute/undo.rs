//! What puts back what a step of install or uninstall did, should a later one fail.
//!
//! The invariant: undoing is made of the same atomic operations as doing, so a kill in the middle of it
//! leaves a state that the next run knows.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use crate::error::{Attempt, Error, Kind, Result};
use crate::installer::execute::dpkg_divert::{Divert, dpkg_divert};
use crate::sys;
use crate::untrusted::Dir;
use crate::untrusted::inode::Inode;

/// One thing to be put back.
#[derive(Debug)]
pub(crate) enum Undo {
    /// A name that was made, and what was put there: what somebody put there since is left.
    RemoveName { dir: Rc<Dir>, name: String, put: Option<Inode> },
    /// A directory that was made.
    RemoveDirectory { parent: Rc<Dir>, name: String },
    /// A file of ours that was saved under one name and takes the place of what is under the other by now.
    PutOver { dir: Rc<Dir>, saved: String, name: String },
    /// A file that was set aside to one name and belongs under the other, where nothing is.
    PutBack { dir: Rc<Dir>, saved: String, name: String },
    /// A name of ours and one of the image's that were exchanged, by way of a temporary one. `put` is what the image's
    /// name was given, which goes back to ours.
    Exchange { dir: Rc<Dir>, ours: String, name: String, spare: String, put: Option<Inode> },
    /// A directory, and the permission bits that it had.
    SetMode { dir: Rc<Dir>, mode: u32 },
    /// A diversion that dpkg-divert ended or made, and what sets that right.
    Divert { path: String, divert: Divert },
    /// A mount that was taken away, and the name that it was mounted on.
    Mount { mount: OwnedFd, dir: Rc<Dir>, name: String },
}

impl Undo {
    /// Puts that one thing back.
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::RemoveName { dir, name, put: None } => dir.unlink(&name),
            Self::RemoveName { dir, name, put: Some(put) } => match dir.inode_at(&name)? {
                Some(now) if !now.resembles(&put) => Err(replaced(&dir, &name)),
                _ => dir.unlink(&name),
            },
            Self::RemoveDirectory { parent, name } => parent.remove_directory(&name),
            Self::PutOver { dir, saved, name } => {
                dir.rename(&saved, &name)?;
                // If the name has never got another file, both are one inode, and that was no rename.
                dir.unlink(&saved)
            }
            Self::PutBack { dir, saved, name } => dir.rename_new(&saved, &name),
            Self::Exchange { dir, ours, name, spare, put } => {
                dir.exchange(&ours, &name, &spare)?;
                match (dir.inode_at(&ours)?, put) {
                    (Some(now), Some(put)) if now.resembles(&put) => Ok(()),
                    _ => dir.exchange(&ours, &name, &spare).and(Err(replaced(&dir, &name))),
                }
            }
            Self::SetMode { dir, mode } => dir.set_mode(mode),
            Self::Divert { path, divert } => dpkg_divert(&path, divert),
            Self::Mount { mount, dir, name } => match dir.subdirectory(&name)? {
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
