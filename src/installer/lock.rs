//! Installs and uninstalls take turns: each holds a lock on the guest's `/.rootfs-shim`.
//!
//! Nobody but root can open that directory, so nobody else can keep us waiting. The trick: an install makes it, if
//! need be, only to have something to lock, so it is removed again if the install comes to nothing, and the root's
//! own times are as they were.

use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::installer::image::our_directory::UNFINISHED;
use crate::paths;
use crate::untrusted::dir::MadeDirectory;
use crate::untrusted::inode::Inode;
use crate::untrusted::{Dir, Root};

/// How long one install waits for another.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the lock is taken anew because an uninstall removed the directory meanwhile.
const ATTEMPTS: usize = 8;

/// What is done where our directory is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    Make,
    Leave,
}

/// Our directory, locked until this is dropped.
pub(crate) struct Locked<'a> {
    chroot: &'a Path,
    /// The lock is this descriptor's.
    _directory: Dir,
    /// Whether the directory was made to be locked.
    pub is_new: bool,
    /// The root directory as it was before.
    before: Inode,
}

impl<'a> Locked<'a> {
    /// Locks our directory in `root`, which is at `chroot`; `None` if it is not there and shall not be made.
    ///
    /// # Errors
    /// State if somebody else keeps the lock; what making and opening the directory say.
    pub(crate) fn take(chroot: &'a Path, root: &Root, missing: IfMissing) -> Result<Option<Self>> {
        let before = root.top().stat()?;
        let locked = lock(root, missing).inspect_err(|_| restore_times(chroot, &before))?;
        Ok(locked.map(|MadeDirectory { dir, is_new }| Self { chroot, _directory: dir, is_new, before }))
    }

    /// Lets the next one in.
    pub(crate) fn release(self) {
        restore_times(self.chroot, &self.before);
    }

    /// The same after a failure: the directory goes, if it was made only to be locked.
    pub(crate) fn give_up(self) {
        if self.is_new
            && let Ok(root) = Root::open(self.chroot)
        {
            let _ = root.top().remove_directory(paths::OUR_DIRECTORY);
        }
        self.release();
    }
}

/// That our own directory came or went is no change of the image's root; but its times are no reason to fail.
fn restore_times(chroot: &Path, before: &Inode) {
    if let Ok(root) = Root::open(chroot) {
        let _ = root.top().restore_times(before);
    }
}

/// The directory, locked.
fn lock(root: &Root, missing: IfMissing) -> Result<Option<MadeDirectory>> {
    for _ in 0..ATTEMPTS {
        let MadeDirectory { dir, is_new } = if missing == IfMissing::Make {
            root.top().make_directory(paths::OUR_DIRECTORY, 0o700 | UNFINISHED)?
        } else {
            match root.top().subdirectory(paths::OUR_DIRECTORY)? {
                Some(dir) => MadeDirectory { dir, is_new: false },
                None => return Ok(None),
            }
        };
        // An uninstall that ended while we waited has removed the directory that we hold.
        let is_there = || {
            dir.lock(PATIENCE)?;
            let there = root.top().inode_at(paths::OUR_DIRECTORY)?;
            Ok(there.map(|inode| inode.id) == Some(dir.stat()?.id))
        };
        match is_there() {
            Ok(true) => return Ok(Some(MadeDirectory { dir, is_new })),
            Ok(false) => {}
            Err(error) => {
                if is_new {
                    let _ = root.top().remove_directory(paths::OUR_DIRECTORY);
                }
                return Err(error);
            }
        }
    }
    let error = Error::new(Kind::State, "lock", "it is removed again and again");
    Err(error.at(root.top().shown(paths::OUR_DIRECTORY)))
}
