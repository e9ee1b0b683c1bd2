//! What is done to the mounts of an untrusted tree: always by descriptor, so that no path in it is walked.
#![expect(
    clippy::disallowed_methods,
    reason = "the only paths are those that /proc has for our own descriptors"
)]

use std::os::fd::AsFd;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::error::{Attempt, Result};
use crate::sys;
use crate::untrusted::dir::Dir;

/// Takes the mount whose root `dir` is out of its peer group, so that what is mounted on it appears nowhere else.
///
/// # Errors
/// EINVAL if `dir` is not the root of a mount.
pub(crate) fn make_private(dir: &Dir) -> Result<()> {
    sys::make_private(dir.as_fd())
        .or_else(|_| {
            // Before Linux 5.12 there is only the old call, which takes a path.
            let path = sys::proc_path(dir);
            mount(None::<&str>, path.as_str(), None::<&str>, MsFlags::MS_PRIVATE, None::<&str>)
        })
        .attempt("make the mount private at", dir.shown(""))
}

/// Unmounts the mount that this descriptor is in; `shown` is what a message calls it.
///
/// # Errors
/// What umount2(2) says.
pub(crate) fn unmount(mount: impl AsFd, shown: &str) -> Result<()> {
    umount2(sys::proc_path(&mount).as_str(), MntFlags::MNT_DETACH).attempt("unmount", shown)
}
