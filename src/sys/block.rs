//! Block devices: their size, loop devices over image files, and trimming.
//!
//! A loop device is made with autoclear, so that it lives exactly as long as its last user: unmounting is
//! all it takes to undo it, and a process that is killed half way leaves none behind.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;

type Result<T> = nix::Result<T>;

/// What a device is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    Writable,
}

/// The size of a block device, in bytes.
///
/// # Errors
/// ENOTTY if it is none.
pub(crate) fn device_size(fd: BorrowedFd<'_>) -> Result<u64> {
    const BLKGETSIZE64: libc::Ioctl = 0x8008_1272;
    let mut size: u64 = 0;
    // SAFETY: the kernel writes 64 bits.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), BLKGETSIZE64, &raw mut size) })?;
    Ok(size)
}

/// Hands the free blocks among `length` bytes from `start` on back to the device: FITRIM (fstrim(8)).
/// Returns how many bytes it were.
///
/// # Errors
/// EOPNOTSUPP if the device has no use for them, EINVAL past the end of the filesystem.
pub(crate) fn trim(fd: BorrowedFd<'_>, start: u64, length: u64) -> Result<u64> {
    const FITRIM: libc::Ioctl = 0xC018_5879;
    let mut range = [start, length, 0];
    // SAFETY: struct fstrim_range is three 64-bit words.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), FITRIM, range.as_mut_ptr()) })?;
    Ok(range[1])
}

/// A loop device over an open file. It goes away when the descriptor is closed and nobody has it mounted. The
/// label, of which [`LABEL_MAX`] bytes count, stays with it for [`loop_label`].
///
/// # Errors
/// ENOENT without loop support, ENOSYS or EINVAL before Linux 5.8, EBUSY if others kept taking our device.
pub(crate) fn attach_loop(file: BorrowedFd<'_>, access: Access, label: &[u8]) -> Result<(OwnedFd, PathBuf)> {
    const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
    let open = |path: &str, access: Access| {
        let opened = File::options().read(true).write(access == Access::Writable).open(path);
        opened.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    };
    let control = open("/dev/loop-control", Access::Writable)?;
    for _ in 0..32 {
        // SAFETY: no argument.
        let number = Errno::result(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) })?;
        let path = format!("/dev/loop{number}");
        let device = open(&path, access)?;
        match configure(device.as_fd(), file, access, label) {
            Err(Errno::EBUSY) => {}
            other => return other.map(|()| (device.into(), path.into())),
        }
    }
    Err(Errno::EBUSY)
}

/// The device and inode number (stat(2)) of the file that a loop device shows.
///
/// # Errors
/// ENXIO if it shows none, ENOTTY if it is no loop device.
pub(crate) fn loop_backing(fd: BorrowedFd<'_>) -> Result<(u64, u64)> {
    loop_info(fd).map(|info| (info.file[0], info.file[1]))
}

/// What a loop device was labelled with when it was made.
///
/// # Errors
/// As [`loop_backing`].
pub(crate) fn loop_label(fd: BorrowedFd<'_>) -> Result<[u8; LABEL_MAX]> {
    loop_info(fd).map(|info| info.label)
}

/// Whether a loop device goes past the page cache; the kernel does not refuse to make one that cannot.
///
/// # Errors
/// As [`loop_backing`].
pub(crate) fn loop_is_direct(fd: BorrowedFd<'_>) -> Result<bool> {
    loop_info(fd).map(|info| info.flags & DIRECT_IO != 0)
}

/// Nothing is read from the device, which can take for ever.
fn loop_info(fd: BorrowedFd<'_>) -> Result<LoopInfo> {
    const LOOP_GET_STATUS64: libc::Ioctl = 0x4C05;
    let mut info = LoopInfo::default();
    // SAFETY: the struct is laid out as the kernel's, and only written.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), LOOP_GET_STATUS64, &raw mut info) })?;
    Ok(info)
}

/// The flag of a loop device that goes past the page cache.
const DIRECT_IO: u32 = 16;

/// How long a loop device's label is at most: the kernel ends it with a NUL.
pub(crate) const LABEL_MAX: usize = 64;

/// struct loop_info64 (linux/loop.h), 232 bytes. The label is what losetup once kept the file's name in, which
/// the kernel tells by itself now.
#[repr(C)]
struct LoopInfo {
    file: [u64; 5],
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    label: [u8; LABEL_MAX],
    unused: [u64; 14],
}

impl Default for LoopInfo {
    fn default() -> Self {
        Self { file: [0; 5], number: 0, encryption: [0; 2], flags: 0, label: [0; LABEL_MAX], unused: [0; 14] }
    }
}

/// Direct I/O where it works, so that a block is not cached twice; a read-only image is better off with the
/// page cache, which every guest on the machine shares.
fn configure(device: BorrowedFd<'_>, file: BorrowedFd<'_>, access: Access, label: &[u8]) -> Result<()> {
    const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
    const READ_ONLY: u32 = 1;
    const AUTOCLEAR: u32 = 4;
    /// struct loop_config (linux/loop.h), 304 bytes.
    #[repr(C)]
    struct LoopConfig {
        fd: u32,
        block_size: u32,
        info: LoopInfo,
        reserved: [u64; 8],
    }
    let fd = u32::try_from(file.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    let kinds: &[u32] = match access {
        Access::ReadOnly => &[READ_ONLY | AUTOCLEAR],
        Access::Writable => &[AUTOCLEAR | DIRECT_IO, AUTOCLEAR],
    };
    let mut info = LoopInfo::default();
    info.label.iter_mut().zip(label).for_each(|(to, from)| *to = *from);
    let mut config = LoopConfig { fd, block_size: 0, info, reserved: [0; 8] };
    let mut done = Err(Errno::EINVAL);
    for flags in kinds {
        config.info.flags = *flags;
        // SAFETY: the struct is ours, laid out as the kernel's, and read only.
        done = Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) })
            .map(drop);
        if done != Err(Errno::EINVAL) {
            break;
        }
    }
    done
}
