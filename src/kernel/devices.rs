//! Block devices by their nodes: which one a path is, and whether somebody holds it.
//!
//! The kernel is asked, and not a list: an exclusive open fails with EBUSY while a filesystem or a swap area in any
//! mount namespace of the machine has claimed the device.
#![expect(clippy::disallowed_methods, reason = "the running system's own devices")]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use crate::sys::wait_for;

/// Whether somebody has claimed a device exclusively. What cannot be opened for another reason counts as free.
pub(crate) fn is_held(device: &Path) -> bool {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_EXCL | libc::O_NONBLOCK | libc::O_CLOEXEC);
    options.open(device).is_err_and(|error| is_busy(&error))
}

/// Whether an open failed because somebody holds the device.
pub(crate) fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBUSY)
}

/// Opens a device exclusively by `open`, waiting a little while it is busy: a filesystem that was unmounted a moment
/// ago lets go of its device a moment later.
///
/// # Errors
/// What `open` says at last.
pub(crate) fn open_when_free(open: impl Fn() -> io::Result<File>) -> io::Result<File> {
    const PATIENCE: Duration = Duration::from_millis(400);
    let opened = wait_for(PATIENCE, || match open() {
        Err(error) if is_busy(&error) => None,
        other => Some(other),
    });
    opened.unwrap_or_else(|| Err(io::Error::from_raw_os_error(libc::EBUSY)))
}

/// Whether a path is a node of the block device with that number (`st_rdev`).
pub(crate) fn is_node_of(path: &Path, number: u64) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.file_type().is_block_device() && meta.rdev() == number)
}
