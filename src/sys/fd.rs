//! Descriptors: the one that the kernel has just made for us, one as a path, the standard three, a terminal's and
//! a socket's.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

type Result<T> = nix::Result<T>;

/// Takes over the descriptor that a raw system call returned.
///
/// # Errors
/// What the call said, if it made none.
pub(crate) fn owned(fd: libc::c_long) -> Result<OwnedFd> {
    let fd = Errno::result(fd)?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// An open file as a path that any system call takes, as long as /proc is there and the descriptor is open.
pub(crate) fn proc_path(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// Borrows descriptor 0, 1 or 2, which [`occupy_closed_stdio`] has made sure to be open.
pub(crate) fn stdio(fd: u8) -> BorrowedFd<'static> {
    // SAFETY: nothing in this crate closes 0 to 2.
    unsafe { BorrowedFd::borrow_raw(i32::from(fd.min(2))) }
}

/// Gives each closed one of descriptors 0 to 2 a close-on-exec `/dev/null`, so that no file that we open
/// lands there, and tells which they were. A program that we execute still finds them closed.
pub(crate) fn occupy_closed_stdio() -> [bool; 3] {
    [0, 1, 2].map(|fd| {
        // SAFETY: F_GETFD reads a flag; open and dup3 make descriptors, which stay for the whole process.
        unsafe {
            if libc::fcntl(fd, libc::F_GETFD) >= 0 {
                return false;
            }
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            if null >= 0 && null != fd {
                libc::dup3(null, fd, libc::O_CLOEXEC);
                libc::close(null);
            }
            true
        }
    })
}

/// The device number of the terminal behind `fd`, also when that is /dev/console: TIOCGDEV.
///
/// # Errors
/// ENOTTY if it is no terminal.
pub(crate) fn terminal_device(fd: BorrowedFd<'_>) -> Result<u32> {
    const TIOCGDEV: libc::Ioctl = 0x8004_5432;
    let mut device: u32 = 0;
    // SAFETY: the kernel writes an unsigned int.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), TIOCGDEV, &raw mut device) })?;
    Ok(device)
}

/// Whose process is at the other end of a Unix socket.
///
/// # Errors
/// ENOTSOCK if it is none.
pub(crate) fn peer_uid(socket: BorrowedFd<'_>) -> Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes.
    Errno::result(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    })?;
    Ok(peer.uid)
}
