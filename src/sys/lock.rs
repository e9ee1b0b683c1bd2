//! Locks and leases of open files, each tried once: waiting is the caller's business.

use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use crate::sys::signals::unharmed;

type Result<T> = nix::Result<T>;

/// Locks the open file against everybody else who locks it, until its last descriptor is closed: flock(2).
/// nix's `Flock` panics if unlocking fails; closing cannot.
///
/// # Errors
/// EWOULDBLOCK if somebody else has it.
pub(crate) fn try_lock(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: integers.
    Errno::result(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }).map(drop)
}

/// As [`try_lock`], but not against those who use flock(2): of them may be whoever called us. The file is open for
/// writing.
///
/// # Errors
/// EWOULDBLOCK if somebody else has it.
pub(crate) fn try_lock_among_us(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: flock is plain data, and all zeroes is a value of it: the whole file.
    let mut lock: libc::flock = unsafe { mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    // SAFETY: the struct is ours.
    Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }).map(drop)
}

/// Locks the open file for reading against whoever locks it for writing as dpkg and apt do, until a descriptor of
/// it is closed: fcntl(2), F_SETLK. If somebody has, the answer is who; 0 if that is not to be seen from here.
///
/// # Errors
/// ENOLCK where the filesystem has no locks.
pub(crate) fn try_read_lock(fd: BorrowedFd<'_>) -> Result<Option<i32>> {
    // SAFETY: flock is plain data, and all zeroes is a value of it: the whole file.
    let mut lock: libc::flock = unsafe { mem::zeroed() };
    lock.l_type = libc::F_RDLCK as libc::c_short;
    // SAFETY: the struct is ours.
    match Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETLK, &raw const lock) }) {
        Ok(_) => Ok(None),
        Err(Errno::EAGAIN | Errno::EACCES) => {
            // SAFETY: as above; the kernel writes who it is.
            let asked = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
            Errno::result(asked).map(|_| Some(lock.l_pid))
        }
        Err(errno) => Err(errno),
    }
}

/// Whether anybody has the file open for writing, which `reader` has not: whoever has it open may get no read
/// lease then, fcntl(2).
///
/// # Errors
/// EINVAL where the filesystem has no leases.
pub(crate) fn is_written(reader: BorrowedFd<'_>) -> Result<bool> {
    // SAFETY: integers.
    let lease = |kind: i32| Errno::result(unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETLEASE, kind) });
    // Who opens it in between is kept waiting for that long, and we are told so by a signal.
    unharmed(|| match lease(libc::F_RDLCK) {
        Err(Errno::EAGAIN) => Ok(true),
        other => other.and_then(|_| lease(libc::F_UNLCK)).map(|_| false),
    })
}
