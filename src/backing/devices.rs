//! The filesystems of block devices that are mounted already, by the devices' numbers and not by what the guest calls
//! them.
//!
//! A guest's /dev may lack the writable device, give it another name, or be no devtmpfs at all. So a device without its
//! node gets one of our own, on a filesystem in memory that is attached nowhere: nobody who looks at mounts or at /dev sees it,
//! and it is gone with its descriptor.
#![expect(clippy::disallowed_methods, reason = "the running system's own devices, and nodes of our own")]

use std::ffi::{CStr, CString, OsString};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknodat};

use crate::kernel::devices::is_held;
use crate::kernel::mounts::{DevNo, read_proc};
use crate::kernel::places;
use crate::sys;

/// The filesystems that an upper directory can be on, but for btrfs.
const FILESYSTEMS: [&CStr; 2] = [c"ext4", c"xfs"];

/// Drives that need a medium, which to look at takes seconds: floppies and CD-ROMs (the kernel's devices.txt).
const SLOW: [u32; 2] = [2, 11];

/// A block device: its number, and a name of it for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub number: DevNo,
    pub name: PathBuf,
}

/// The block device that a path names, if it does.
pub(crate) fn named(path: &Path) -> Option<Device> {
    let meta =
        fs::metadata(path).ok().filter(|meta| path.is_absolute() && meta.file_type().is_block_device())?;
    let (major, minor) = (nix::sys::stat::major(meta.rdev()), nix::sys::stat::minor(meta.rdev()));
    let number = DevNo { major: u32::try_from(major).ok()?, minor: u32::try_from(minor).ok()? };
    Some(Device { number, name: path.to_owned() })
}

/// Every block device that the kernel lists (`/proc/partitions`), that answers at once, and that may be mounted.
pub(crate) fn all() -> Vec<Device> {
    let mut listed = parse(&read_proc("/proc/partitions"));
    listed.retain(|device| !SLOW.contains(&device.number.major));
    if let Some(mounted) = mounted() {
        listed.retain(|device| mounted.contains(&device.name));
    }
    listed
}

/// The devices that filesystems are on, by the names of `/proc/partitions`; `None` if `/sys` does not tell. Asked first,
/// because whoever asks a device itself claims it for a moment, and somebody else may want to mount it just then.
fn mounted() -> Option<Vec<PathBuf>> {
    let names = |dir: &Path| {
        let entries = fs::read_dir(dir).ok()?;
        Some(entries.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>())
    };
    // The directories are there as long as the filesystem's driver is.
    let [ext4, xfs, btrfs] = ["ext4", "xfs", "btrfs"].map(|kind| Path::new("/sys/fs").join(kind));
    let of_btrfs: Option<Vec<_>> = names(&btrfs)
        .map(|ids| ids.iter().filter_map(|id| names(&btrfs.join(id).join("devices"))).flatten().collect());
    let told = [names(&ext4), names(&xfs), of_btrfs];
    let is_told = told.iter().any(Option::is_some);
    // A slash in a device's name is none in a directory's.
    let name = |name: OsString| {
        let bytes = name.into_vec().into_iter().map(|byte| if byte == b'!' { b'/' } else { byte });
        Path::new("/dev").join(OsString::from_vec(bytes.collect()))
    };
    is_told.then(|| told.into_iter().flatten().flatten().map(name).collect())
}

fn parse(partitions: &[u8]) -> Vec<Device> {
    let line = |line: &[u8]| {
        let mut fields = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
        let number = DevNo { major: fields.next()?.parse().ok()?, minor: fields.next()?.parse().ok()? };
        Some(Device { number, name: Path::new("/dev").join(fields.nth(1)?) })
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
    /// nobody holds is left alone: to mount it would replay a stranger's journal. Only for a process or thread with mounts
    /// of its own.
    pub(crate) fn filesystem(&self, device: &Device) -> Option<OwnedFd> {
        let is_there = named(&device.name).is_some_and(|there| there.number == device.number);
        // Not everybody who may swap may make nodes (CAP_MKNOD).
        let node = if is_there { Some(device.name.clone()) } else { self.node(device.number).ok() };
        let node = node.filter(|node| is_held(node))?;
        let node = CString::new(node.as_os_str().as_bytes()).ok()?;
        let found = FILESYSTEMS.iter().find_map(|fstype| sys::filesystem_on(&node, fstype).ok());
        found.or_else(|| btrfs_on(device))
    }

    fn node(&self, device: DevNo) -> nix::Result<PathBuf> {
        let name = format!("{}:{}", device.major, device.minor);
        let number = makedev(device.major.into(), device.minor.into());
        mknodat(self.0.as_fd(), name.as_str(), SFlag::S_IFBLK, Mode::S_IRUSR, number)?;
        Ok(Path::new(&sys::proc_path(&self.0)).join(name))
    }
}

/// btrfs shows every mount of a device under the name by which it was mounted last. So it gets the guest's own name, and
/// where the guest has no such node, that name on a filesystem of ours, which stands over `/dev` in this namespace for the
/// moment.
fn btrfs_on(device: &Device) -> Option<OwnedFd> {
    let mounted = |path: &Path| {
        let path = CString::new(path.as_os_str().as_bytes()).ok()?;
        sys::filesystem_on(&path, c"btrfs").ok()
    };
    if named(&device.name).is_some_and(|there| there.number == device.number) {
        return mounted(&device.name);
    }
    let (nodes, dev) = (sys::memory_filesystem().ok()?, Path::new("/dev"));
    let name = device.name.file_name()?;
    let number = makedev(device.number.major.into(), device.number.minor.into());
    mknodat(nodes.as_fd(), name, SFlag::S_IFBLK, Mode::S_IRUSR, number).ok()?;
    sys::attach_mount(nodes.as_fd(), places::open_path(dev).ok()?.as_fd()).ok()?;
    let found = mounted(&dev.join(name));
    let _ = umount2(dev, MntFlags::MNT_DETACH);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_is_read() {
        let text =
            b"major minor  #blocks  name\n\n   7        0     131072 loop0\n 254       16 8388608 vdb\n";
        let device = |major, minor, name: &str| Device { number: DevNo { major, minor }, name: name.into() };
        assert_eq!(parse(text), [device(7, 0, "/dev/loop0"), device(254, 16, "/dev/vdb")]);
        assert_eq!(parse(b""), []);
    }
}
