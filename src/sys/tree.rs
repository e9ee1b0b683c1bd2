//! A mount with everything that is mounted on it, as one descriptor.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

type Result<T> = nix::Result<T>;

/// A clone of the mount tree that is visible below `dir`, attached nowhere.
///
/// # Errors
/// As [`super::clone_mount`].
pub fn clone_all(dir: BorrowedFd<'_>) -> Result<OwnedFd> {
    const OPEN_TREE_CLONE: u32 = 1;
    const AT_RECURSIVE: u32 = 0x8000;
    let flags = OPEN_TREE_CLONE | AT_RECURSIVE | libc::O_CLOEXEC as u32 | libc::AT_EMPTY_PATH as u32;
    // SAFETY: an empty C string and integers.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), c"".as_ptr(), flags) };
    super::owned(fd)
}
