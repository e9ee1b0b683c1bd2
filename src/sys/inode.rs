//! What only ioctl(2), statx(2) and file handles tell of an open file: its handle, extents, flags and filesystem.

use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::sys::fd::owned;

type Result<T> = nix::Result<T>;

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

/// One run of a file's blocks, as FIEMAP tells it (Documentation/filesystems/fiemap.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Extent {
    /// Offset in the file, in bytes.
    pub logical: u64,
    /// Offset on the device, in bytes; meaningless if `flags` says so.
    pub physical: u64,
    /// The length in bytes, which may go past the end of the file.
    pub length: u64,
    reserved64: [u64; 2],
    /// Bits that say what is special about this extent.
    pub flags: u32,
    reserved: [u32; 3],
}

/// The bits of [`Extent::flags`], without their prefix `FIEMAP_EXTENT_`.
impl Extent {
    pub(crate) const UNKNOWN: u32 = 0x2;
    const DELALLOC: u32 = 0x4;
    const ENCODED: u32 = 0x8;
    pub(crate) const INLINE: u32 = 0x200;
    const TAIL: u32 = 0x400;
    pub(crate) const UNWRITTEN: u32 = 0x800;
    pub(crate) const SHARED: u32 = 0x2000;

    /// Whether `physical` is a place that no other file has: known, not inline, not encoded, not shared.
    pub(crate) fn is_exclusive(&self) -> bool {
        let elsewhere =
            Self::UNKNOWN | Self::DELALLOC | Self::ENCODED | Self::INLINE | Self::TAIL | Self::SHARED;
        self.flags & elsewhere == 0 && self.length > 0
    }
}

/// What becomes of pages that were written and have no blocks yet, before the extents are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DirtyPages {
    /// They are left as they are, and listed as delayed.
    Left,
    /// They are given their places first, which takes as long as writing them.
    Placed,
}

/// The extents from byte `start` on, at most [`EXTENTS_AT_ONCE`].
///
/// # Errors
/// EOPNOTSUPP where the filesystem does not tell.
pub(crate) fn extents(fd: BorrowedFd<'_>, start: u64, dirty: DirtyPages) -> Result<Vec<Extent>> {
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
    map.flags = if dirty == DirtyPages::Placed { FLAG_SYNC } else { 0 };
    map.count = EXTENTS_AT_ONCE as u32;
    // SAFETY: struct fiemap with `count` extents behind it, all ours.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), FS_IOC_FIEMAP, &raw mut map) })?;
    Ok(map.extents.into_iter().take(map.mapped as usize).collect())
}

/// How many extents one [`extents`] call gives at the most.
pub(crate) const EXTENTS_AT_ONCE: usize = 64;

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

/// What chattr(1) does, with all flags at once.
///
/// # Errors
/// ENOTTY or EOPNOTSUPP where there is none of them, or not one of these.
pub(crate) fn set_inode_flags(fd: BorrowedFd<'_>, flags: u32) -> Result<()> {
    let flags = flags.cast_signed();
    // SAFETY: the kernel reads an int.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags) }).map(drop)
}

/// Whether the file is one without copy-on-write (chattr +C).
pub(crate) fn is_no_cow(fd: BorrowedFd<'_>) -> bool {
    inode_flags(fd).is_ok_and(|flags| flags & FS_NOCOW_FL != 0)
}

/// chattr +C: a file without copy-on-write, on btrfs. Works only while the file is empty.
///
/// # Errors
/// ENOTTY or EOPNOTSUPP where there is no such flag.
pub(crate) fn set_no_cow(fd: BorrowedFd<'_>) -> Result<()> {
    set_inode_flags(fd, inode_flags(fd)? | FS_NOCOW_FL)
}

const FS_NOCOW_FL: u32 = 0x0080_0000;

/// Whether chattr(1) forbids to open the file for writing: `+i`, or `+a`, which is about more than its end.
pub(crate) fn is_unwritable(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: statx is plain data, and all zeroes is a value of it.
    let mut buffer: libc::statx = unsafe { mem::zeroed() };
    // SAFETY: the path is an empty C string, the buffer is ours and of the right size.
    let done = unsafe { libc::statx(fd.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, 0, &mut buffer) };
    let flags = (libc::STATX_ATTR_IMMUTABLE | libc::STATX_ATTR_APPEND) as u64;
    done == 0 && buffer.stx_attributes & flags != 0
}
