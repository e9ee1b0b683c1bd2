//! What is done to the mounts of an untrusted tree: always by descriptor, so that no path in it is walked.
#![expect(
    clippy::disallowed_methods,
    reason = "the only paths are those that /proc has for our own descriptors"
)]

use std::os::fd::AsFd;

use nix::mount::{MntFlags, umount2};

use crate::error::{Attempt, Result};
use crate::sys;

/// Unmounts the mount that this descriptor is in; `shown` is what a message calls it.
///
/// # Errors
/// What umount2(2) says.
pub(crate) fn unmount(mount: impl AsFd, shown: &str) -> Result<()> {
    umount2(sys::proc_path(&mount).as_str(), MntFlags::MNT_DETACH).attempt("unmount", shown)
}
