//! In which of the places that the design knows a file is.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::kernel::mounts::Mount;
use crate::kernel::places::Location;
use crate::paths::OverlayPath;
use crate::shim::facts::World;

/// Where a file is, in the design's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the root overlay, under this name.
    RootOverlay(OverlayPath),
    /// On the backing filesystem.
    Backing,
    /// On another disk that the user attached.
    Volume {
        /// Where it is mounted.
        point: PathBuf,
        source: OsString,
    },
    /// On a filesystem that cannot hold swap.
    NoSwap {
        fstype: String,
        /// Why, in the user's terms.
        reason: &'static str,
    },
    /// On a disk that is a volume or the backing filesystem, and nobody can say which.
    UntoldVolume,
    Uncertain(&'static str),
}

/// Filesystems that live in memory.
const IN_MEMORY: &[&str] = &["tmpfs", "ramfs", "devtmpfs", "hugetlbfs"];
/// Filesystems that live on another machine or in another program.
const REMOTE: &[&str] = &[
    "nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "afs", "ocfs2", "gfs2", "fuse", "fuseblk",
    "vboxsf",
];
/// Filesystems that cannot be written.
const READ_ONLY: &[&str] = &["squashfs", "erofs", "iso9660", "udf", "cramfs", "romfs"];
/// Filesystems on a disk whose device number does not say so.
const ON_DISK: &[&str] = &["btrfs", "bcachefs", "zfs"];

/// Where a file is.
pub(crate) fn place_of(world: &World, location: &Location, filesystem: Option<[u8; 16]>) -> Place {
    let Some(root) = &world.root else {
        return Place::Uncertain("the root filesystem is not an overlay");
    };
    let Some(mount) = world.mounts.get(location.mount) else {
        return Place::Uncertain("its mount is not visible from here");
    };
    if mount.device == root.device {
        return match world.overlay_path(location) {
            Some(path) => Place::RootOverlay(path),
            None => Place::Uncertain("its path is not visible from here"),
        };
    }
    if world.is_backing(mount.device) {
        return Place::Backing;
    }
    elsewhere(world, mount, filesystem)
}

fn elsewhere(world: &World, mount: &Mount, filesystem: Option<[u8; 16]>) -> Place {
    let fstype = mount.fstype.clone();
    let base = fstype.split('.').next().unwrap_or_default();
    if IN_MEMORY.contains(&base) {
        return Place::NoSwap { fstype, reason: "lives in memory" };
    }
    if REMOTE.contains(&base) {
        return Place::NoSwap { fstype, reason: "is not a local disk" };
    }
    if READ_ONLY.contains(&base) {
        return Place::NoSwap { fstype, reason: "is read-only" };
    }
    let on_disk = mount.device.major != 0 || ON_DISK.contains(&base);
    if world.backing.mount().is_none() && on_disk {
        match (world.upper_filesystem, filesystem) {
            (Some(upper), Some(this)) if upper == this => return Place::Backing,
            // Another filesystem than the one that the overlay itself names.
            (Some(_), Some(_)) => {}
            _ => return Place::UntoldVolume,
        }
    }
    if on_disk {
        return Place::Volume { point: mount.point.clone(), source: mount.source.clone() };
    }
    Place::Uncertain("its filesystem is of a kind we do not know")
}
