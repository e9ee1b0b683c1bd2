//! The filesystems of block devices that are mounted already, by the devices' numbers and not by what the guest calls
//! them.
//!
//! A guest's /dev may lack the writable device, give it another name, or be no devtmpfs at all. So each device gets a
//! node of our own, on a filesystem in memory that is attached nowhere: nobody who looks at mounts or at /dev sees it,
//! and it is gone with its descriptor.
#![expect(clippy::disallowed_methods, reason = "the running system's own devices, and nodes of our own")]

use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknodat};

use crate::kernel::devices::is_held;
use crate::kernel::mounts::{DevNo, read_proc};
use crate::sys;

/// The filesystems that an upper directory can be on.
const FILESYSTEMS: [&CStr; 3] = [c"ext4", c"xfs", c"btrfs"];

/// Drives that need a medium, which to look at takes seconds: floppies and CD-ROMs (the kernel's devices.txt).
const SLOW: [u32; 2] = [2, 11];

/// The number of the block device that a path names, if it does.
pub(crate) fn number_at(path: &Path) -> Option<DevNo> {
    let meta =
        fs::metadata(path).ok().filter(|meta| path.is_absolute() && meta.file_type().is_block_device())?;
    let (major, minor) = (nix::sys::stat::major(meta.rdev()), nix::sys::stat::minor(meta.rdev()));
    Some(DevNo { major: u32::try_from(major).ok()?, minor: u32::try_from(minor).ok()? })
}

/// Every block device that the kernel lists (`/proc/partitions`) and that answers at once.
pub(crate) fn all() -> Vec<DevNo> {
    parse(&read_proc("/proc/partitions")).into_iter().filter(|device| !SLOW.contains(&device.major)).collect()
}

fn parse(partitions: &[u8]) -> Vec<DevNo> {
    let line = |line: &[u8]| {
        let mut fields = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
        Some(DevNo { major: fields.next()?.parse().ok()?, minor: fields.next()?.parse().ok()? })
    };
    partitions.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// A place for nodes that nobody else sees.
#[derive(Debug)]
pub(crate) struct Nodes(OwnedFd);

impl Nodes {
    /// Makes the place.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN; ENOSYS before Linux 5.2.
    pub(crate) fn new() -> nix::Result<Self> {
        sys::memory_filesystem().map(Self)
    }

    /// The filesystem on `device` as a mount that is attached nowhere; `None` if no mounted one is on it. A device that
    /// nobody holds is left alone: to mount it would replay a stranger's journal.
    pub(crate) fn filesystem(&self, device: DevNo) -> Option<OwnedFd> {
        let node = self.node(device).ok().filter(|node| is_held(node))?;
        let node = CString::new(node.as_os_str().as_bytes()).ok()?;
        FILESYSTEMS.iter().find_map(|fstype| sys::filesystem_on(&node, fstype).ok())
    }

    fn node(&self, device: DevNo) -> nix::Result<PathBuf> {
        let name = format!("{}:{}", device.major, device.minor);
        let number = makedev(device.major.into(), device.minor.into());
        mknodat(self.0.as_fd(), name.as_str(), SFlag::S_IFBLK, Mode::S_IRUSR, number)?;
        Ok(Path::new(&sys::proc_path(&self.0)).join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_is_read() {
        let text =
            b"major minor  #blocks  name\n\n   7        0     131072 loop0\n 254       16 8388608 vdb\n";
        let number = |major, minor| DevNo { major, minor };
        assert_eq!(parse(text), [number(7, 0), number(254, 16)]);
        assert_eq!(parse(b""), []);
    }
}
