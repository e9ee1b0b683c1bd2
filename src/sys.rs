//! Every raw system call of the crate, and all of its `unsafe`: this file and the ones below `src/sys/`.
//!
//! What nix or std wraps safely is used from there; this file holds the rest, each behind a safe function
//! whose arguments cannot be misused: descriptors are borrowed, paths are C strings made here, buffers are
//! owned here. Nothing in this file decides anything.
#![allow(unsafe_code, reason = "this is the one file that may")]
#![expect(
    clippy::disallowed_methods,
    reason = "the calls themselves, and what the kernel says in /proc and /dev"
)]

pub(crate) mod block;
pub(crate) mod mounts;
pub(crate) mod process;
pub(crate) mod xattr;

use std::ffi::CStr;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

type Result<T> = nix::Result<T>;

pub use crate::sys::mounts::*;
pub(crate) use crate::sys::process::*;

/// A kernel file handle: an opaque name of an inode that the filesystem made, with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileHandle {
    /// The filesystem's own number for the layout of `bytes`; 0xf8 is overlayfs.
    pub kind: i32,
    /// Opaque, but for overlayfs, whose handle embeds the real file's.
    pub bytes: Vec<u8>,
}

/// name_to_handle_at(2) with AT_HANDLE_FID (Linux 6.5), which filesystems answer that cannot be exported.
///
/// # Errors
/// EINVAL before Linux 6.5, EOPNOTSUPP where the filesystem has no handles.
pub(crate) fn file_handle(fd: BorrowedFd<'_>) -> Result<FileHandle> {
    const AT_HANDLE_FID: i32 = 0x200;
    const MAX_HANDLE_SZ: usize = 128;
    #[repr(C)]
    struct Buffer {
        bytes: u32,
        kind: i32,
        handle: [u8; MAX_HANDLE_SZ],
    }
    let mut buffer = Buffer { bytes: MAX_HANDLE_SZ as u32, kind: 0, handle: [0; MAX_HANDLE_SZ] };
    let mut mount: i32 = 0;
    // SAFETY: struct file_handle is these two words and then handle_bytes bytes, which are ours.
    let done = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            fd.as_raw_fd(),
            c"".as_ptr(),
            &raw mut buffer,
            &raw mut mount,
            libc::AT_EMPTY_PATH | AT_HANDLE_FID,
        )
    };
    Errno::result(done)?;
    let length = (buffer.bytes as usize).min(MAX_HANDLE_SZ);
    Ok(FileHandle { kind: buffer.kind, bytes: buffer.handle.get(..length).unwrap_or(&[]).to_vec() })
}

/// One run of a file's blocks, as FIEMAP tells it (Documentation/filesystems/fiemap.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Extent {
    /// Offset in the file, in bytes.
    pub logical: u64,
    /// Offset on the device, in bytes; meaningless if `flags` says so.
    pub physical: u64,
    /// Length in bytes.
    pub length: u64,
    reserved64: [u64; 2],
    /// FIEMAP_EXTENT_* bits.
    pub flags: u32,
    reserved: [u32; 3],
}

impl Extent {
    /// Whether `physical` is a place that no other file has: known, not inline, not encoded, not shared.
    pub(crate) fn is_exclusive(&self) -> bool {
        const UNKNOWN: u32 = 0x2;
        const DELALLOC: u32 = 0x4;
        const ENCODED: u32 = 0x8;
        const INLINE: u32 = 0x200;
        const TAIL: u32 = 0x400;
        const SHARED: u32 = 0x2000;
        self.flags & (UNKNOWN | DELALLOC | ENCODED | INLINE | TAIL | SHARED) == 0 && self.length > 0
    }
}

/// The extents from byte `start` on, at most [`EXTENTS_AT_ONCE`]; with `settled`, after the file's dirty pages
/// were given their places.
///
/// # Errors
/// EOPNOTSUPP where the filesystem does not tell.
pub(crate) fn extents(fd: BorrowedFd<'_>, start: u64, settled: bool) -> Result<Vec<Extent>> {
    const FS_IOC_FIEMAP: libc::Ioctl = 0xC020_660B;
    const FLAG_SYNC: u32 = 1;
    #[repr(C)]
    struct Map {
        start: u64,
        length: u64,
        flags: u32,
        mapped: u32,
        count: u32,
        reserved: u32,
        extents: [Extent; EXTENTS_AT_ONCE],
    }
    // SAFETY: integers only, and all zeroes is a value of them.
    let mut map: Map = unsafe { mem::zeroed() };
    map.start = start;
    map.length = u64::MAX - start;
    map.flags = if settled { FLAG_SYNC } else { 0 };
    map.count = EXTENTS_AT_ONCE as u32;
    // SAFETY: struct fiemap with `count` extents behind it, all ours.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), FS_IOC_FIEMAP, &raw mut map) })?;
    Ok(map.extents.into_iter().take(map.mapped as usize).collect())
}

/// How many extents one [`extents`] call gives at the most.
pub(crate) const EXTENTS_AT_ONCE: usize = 64;

/// Opens what a handle names on the filesystem that `mount` is in, as a place: open_by_handle_at(2).
///
/// # Errors
/// ESTALE if there is no such inode, EPERM without CAP_DAC_READ_SEARCH.
pub(crate) fn open_by_handle(mount: BorrowedFd<'_>, handle: &FileHandle) -> Result<OwnedFd> {
    let mut buffer = Vec::with_capacity(8 + handle.bytes.len());
    buffer.extend_from_slice(&(handle.bytes.len() as u32).to_ne_bytes());
    buffer.extend_from_slice(&handle.kind.to_ne_bytes());
    buffer.extend_from_slice(&handle.bytes);
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: struct file_handle is these bytes; the kernel only reads them.
    let fd =
        unsafe { libc::syscall(libc::SYS_open_by_handle_at, mount.as_raw_fd(), buffer.as_mut_ptr(), flags) };
    owned(fd)
}

/// The inode flags that chattr(1) shows (FS_IMMUTABLE_FL 0x10, FS_APPEND_FL 0x20, FS_NOCOW_FL 0x800000).
///
/// # Errors
/// ENOTTY where the filesystem has none.
pub(crate) fn inode_flags(fd: BorrowedFd<'_>) -> Result<u32> {
    let mut flags: libc::c_int = 0;
    // SAFETY: the kernel writes an int.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) })?;
    Ok(flags as u32)
}

/// The UUID of the filesystem that an open file is on: FS_IOC_GETFSUUID, Linux 6.9.
///
/// # Errors
/// ENOTTY before that, or where the filesystem has none.
pub(crate) fn filesystem_uuid(fd: BorrowedFd<'_>) -> Result<[u8; 16]> {
    const FS_IOC_GETFSUUID: libc::Ioctl = 0x8011_1500;
    let mut answer = [0_u8; 17];
    // SAFETY: struct fsuuid2 is a length and sixteen bytes.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), FS_IOC_GETFSUUID, answer.as_mut_ptr()) })?;
    match answer {
        [16, uuid @ ..] => Ok(uuid),
        _ => Err(Errno::ENOTTY),
    }
}

/// Whether the file is one without copy-on-write (chattr +C).
pub(crate) fn is_no_cow(fd: BorrowedFd<'_>) -> bool {
    inode_flags(fd).is_ok_and(|flags| flags & FS_NOCOW_FL != 0)
}

const FS_NOCOW_FL: u32 = 0x0080_0000;

/// chattr +C: a file without copy-on-write, on btrfs. Works only while the file is empty.
///
/// # Errors
/// ENOTTY or EOPNOTSUPP where there is no such flag.
pub(crate) fn set_no_cow(fd: BorrowedFd<'_>) -> Result<()> {
    set_inode_flags(fd, inode_flags(fd)? | FS_NOCOW_FL)
}

/// What chattr(1) does, with all flags at once.
///
/// # Errors
/// ENOTTY or EOPNOTSUPP where there is none of them, or not one of these.
pub(crate) fn set_inode_flags(fd: BorrowedFd<'_>, flags: u32) -> Result<()> {
    let flags = flags.cast_signed();
    // SAFETY: the kernel reads an int.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags) }).map(drop)
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

/// swapon(2): `flags` are SWAP_FLAG_*.
///
/// # Errors
/// As swapon(2) says.
pub(crate) fn swapon(path: &CStr, flags: i32) -> Result<()> {
    // SAFETY: a C string and an integer.
    Errno::result(unsafe { libc::swapon(path.as_ptr(), flags) }).map(drop)
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

/// swapoff(2).
///
/// # Errors
/// As swapoff(2) says.
pub(crate) fn swapoff(path: &CStr) -> Result<()> {
    // SAFETY: a C string.
    Errno::result(unsafe { libc::swapoff(path.as_ptr()) }).map(drop)
}

/// Random bytes from the kernel: getrandom(2), which needs no /dev.
///
/// # Errors
/// ENOSYS before Linux 3.17.
pub(crate) fn random_bytes() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: the buffer is ours and its size is passed; up to 256 bytes come whole.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    Errno::result(got).map(|_| bytes)
}

/// An open file as a path that any system call takes, as long as /proc is there and the descriptor is open.
pub(crate) fn proc_path(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

fn owned(fd: libc::c_long) -> Result<OwnedFd> {
    let fd = Errno::result(fd)?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Random bytes for a name that nobody can have taken before: getrandom(2).
///
/// # Errors
/// ENOSYS before Linux 3.17.
pub(crate) fn random() -> Result<[u8; 8]> {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is ours and its size is passed.
    Errno::result(unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) })?;
    Ok(bytes)
}

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

/// strverscmp(3): names in the order of the numbers in them.
pub(crate) fn compare_versions(one: &CStr, other: &CStr) -> std::cmp::Ordering {
    unsafe extern "C" {
        fn strverscmp(one: *const libc::c_char, other: *const libc::c_char) -> libc::c_int;
    }
    // SAFETY: both are C strings, and it only reads them.
    unsafe { strverscmp(one.as_ptr(), other.as_ptr()) }.cmp(&0)
}
