//! Extended attributes: of a path whose last component is never followed, and from one open file to another.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

type Result<T> = nix::Result<T>;

/// Names of all attributes that the caller may see.
///
/// # Errors
/// EOPNOTSUPP where the filesystem has none.
pub(crate) fn list(path: &Path) -> Result<Vec<CString>> {
    let path = c_path(path)?;
    // SAFETY: the kernel writes at most the length that is passed.
    let raw = grow(|buffer, length| unsafe { libc::llistxattr(path.as_ptr(), buffer.cast(), length) })?;
    Ok(split(&raw))
}

/// One attribute's value.
///
/// # Errors
/// ENODATA if it is not there.
pub(crate) fn get(path: &Path, name: &CStr) -> Result<Vec<u8>> {
    let path = c_path(path)?;
    // SAFETY: the kernel writes at most the length that is passed.
    grow(|buffer, length| unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), buffer.cast(), length) })
}

/// Sets one.
///
/// # Errors
/// EOPNOTSUPP, EPERM, ENOSPC as lsetxattr(2) says.
pub(crate) fn set(path: &Path, name: &CStr, value: &[u8]) -> Result<()> {
    let path = c_path(path)?;
    // SAFETY: C strings, and a buffer with its length.
    let done =
        unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(done).map(drop)
}

/// Gives `to` the attributes of `from`, access lists too, and no others: both are open files.
///
/// # Errors
/// As flistxattr(2), fgetxattr(2), fsetxattr(2) and fremovexattr(2) say.
pub(crate) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    copy_those(from, to, |_| true)
}

/// The same of those attributes whose name `concerns` us; of the others `to` keeps what it has.
///
/// # Errors
/// As [`copy`].
pub(crate) fn copy_those(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    concerns: impl Fn(&CStr) -> bool,
) -> Result<()> {
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    let names = |fd| {
        // SAFETY: the kernel writes at most the length that is passed.
        match grow(|buffer, length| unsafe { libc::flistxattr(fd, buffer.cast(), length) }) {
            Err(Errno::EOPNOTSUPP) => Ok(Vec::new()),
            other => other.map(|raw| {
                let mut names = split(&raw);
                names.retain(|name| concerns(name));
                names
            }),
        }
    };
    let wanted = names(from)?;
    for name in names(to)?.into_iter().filter(|name| !wanted.contains(name)) {
        // SAFETY: a C string.
        match Errno::result(unsafe { libc::fremovexattr(to, name.as_ptr()) }) {
            // xfs lists an access list under two names.
            Ok(_) | Err(Errno::ENODATA) => {}
            Err(errno) => return Err(errno),
        }
    }
    for name in wanted {
        // SAFETY: the kernel writes at most the length that is passed.
        let value =
            grow(|buffer, length| unsafe { libc::fgetxattr(from, name.as_ptr(), buffer.cast(), length) })?;
        // SAFETY: C strings, and a buffer with its length.
        let done = unsafe { libc::fsetxattr(to, name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
        Errno::result(done)?;
    }
    Ok(())
}

fn split(raw: &[u8]) -> Vec<CString> {
    raw.split(|b| *b == 0).filter(|n| !n.is_empty()).filter_map(|n| CString::new(n).ok()).collect()
}

/// Asks for the size, then for the value, again if it grew meanwhile.
fn grow(call: impl Fn(*mut u8, usize) -> isize) -> Result<Vec<u8>> {
    loop {
        let size = Errno::result(call(std::ptr::null_mut(), 0))?;
        let mut buffer = vec![0; usize::try_from(size).unwrap_or(0)];
        if buffer.is_empty() {
            return Ok(buffer);
        }
        match Errno::result(call(buffer.as_mut_ptr(), buffer.len())) {
            Err(Errno::ERANGE) => {}
            other => {
                buffer.truncate(usize::try_from(other?).unwrap_or(0));
                return Ok(buffer);
            }
        }
    }
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}
