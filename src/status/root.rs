//! What the root itself is made of, and whether that is in order: layers, space, passthrough directories, swap device.
//!
//! Only a root that is put together is judged. An image at rest may be configured for a swap device and for kept
//! directories that a machine will have once it runs.

use serde::Serialize;

use crate::installer::image::guest::{Capacity, Feature, Guest, PassthroughDirectory, PlatformSwapDevice};
use crate::text;
use crate::text::size_words;

/// The backing filesystem; sizes are in bytes.
#[derive(Debug, Clone, Serialize)]
pub struct BackingStatus {
    /// Where upper is visible; if no path leads to it, its device and its path there: `/dev/vdb[/upper]`.
    pub upper: String,
    /// `ext4`, `xfs` or `btrfs`.
    pub fstype: String,
    pub source: String,
    pub size: u64,
    pub used: u64,
    pub free: u64,
    /// How many files it can hold; 0 where that has no bounds of its own.
    pub inodes: u64,
    /// How many files more it can hold.
    pub inodes_free: u64,
    /// Whether nothing can be written.
    pub read_only: bool,
}

/// A directory kept on the backing filesystem, or one that should be.
#[derive(Debug, Clone, Serialize)]
pub struct PassthroughStatus {
    pub path: String,
    /// Whether the configuration names it.
    pub configured: bool,
    /// Whether the backing filesystem is mounted there.
    pub bound: bool,
    /// Whether it was seeded from the image, as a whole.
    pub seeded: bool,
}

/// The platform's own swap device; sizes are in bytes.
#[derive(Debug, Clone, Serialize)]
pub struct SwapDeviceStatus {
    /// The path in the configuration.
    pub path: String,
    /// Whether it is in use; if not, the rest is 0.
    pub active: bool,
    pub size: u64,
    pub used: u64,
    pub priority: i32,
}

/// The backing filesystem, if it was found.
pub(crate) fn backing(guest: &Guest) -> Option<BackingStatus> {
    let mount = guest.backing.as_ref()?;
    let capacity = guest.capacity.unwrap_or_default();
    Some(BackingStatus {
        upper: text::path(&mount.point),
        fstype: text::escape(mount.fstype.as_bytes()),
        source: text::path(&mount.source),
        size: capacity.size,
        used: capacity.used,
        free: capacity.free,
        inodes: capacity.inodes,
        inodes_free: capacity.inodes_free,
        read_only: mount.read_only,
    })
}

/// Each directory that is kept on the backing filesystem, or should be.
pub(crate) fn passthrough(guest: &Guest) -> Vec<PassthroughStatus> {
    let status = |directory: &PassthroughDirectory| PassthroughStatus {
        path: text::path(&directory.path),
        configured: directory.configured,
        bound: directory.bound,
        seeded: directory.seeded,
    };
    guest.passthrough.iter().map(status).collect()
}

/// The swap device, if one is configured.
pub(crate) fn swap_device(device: &PlatformSwapDevice) -> SwapDeviceStatus {
    let active = device.active.as_ref();
    SwapDeviceStatus {
        path: text::path(&device.path),
        active: active.is_some(),
        size: active.map_or(0, |swap| swap.size * 1024),
        used: active.map_or(0, |swap| swap.used * 1024),
        priority: active.map_or(0, |swap| swap.priority),
    }
}

/// What is off about the layers, the space and the directories of a root that is put together.
pub(crate) fn problems(guest: &Guest) -> Vec<String> {
    if !guest.image.root_mount.is_overlay() || !guest.image.root_mount.whole {
        return Vec::new();
    }
    let mut problems = Vec::new();
    if let Some(backing) = &guest.backing {
        let source = text::path(&backing.source);
        if backing.read_only {
            problems.push(format!(
                "the writable layer {source} is mounted read-only; the kernel's log (dmesg) may say why"
            ));
        }
        problems.extend(guest.capacity.and_then(|capacity| nearly_full(&source, capacity)));
    }
    for directory in guest.passthrough.iter().filter(|directory| !directory.bound) {
        problems.push(format!(
            "{} is to be kept on the backing filesystem, but is not bound there; mount the root with --passthrough",
            text::path(&directory.path)
        ));
    }
    if let Some(PlatformSwapDevice { path, active: None }) = &guest.swap_device {
        let path = text::path(path);
        problems.push(format!("the swap device {path} is not active; `rootfs-shim swap {path}` enables it"));
    }
    problems
}

/// What the root's own make costs those who use it.
pub(crate) fn notes(guest: &Guest) -> Vec<String> {
    let mut notes = Vec::new();
    if guest.image.root_mount.whole {
        notes.extend(guest.lacking.iter().map(|feature| cost(*feature).to_owned()));
    }
    if guest.image.root_mount.is_overlay() {
        notes.extend(guest.containers_on_overlay.iter().map(|path| {
            format!(
                "{} is in use and lies on the overlay, where container engines work slowly or not at all; \
                 passthrough = [\"@containers\"] keeps it on the backing filesystem",
                text::path(path)
            )
        }));
    }
    notes
}

/// In the words of who meets it.
fn cost(feature: Feature) -> &'static str {
    match feature {
        Feature::Xino => {
            "the overlay is mounted without xino=on: `du -x`, `find -mount` and backups that stay on one filesystem see \
             few files of the root or none"
        }
        Feature::RedirectDir => {
            "the overlay is mounted without redirect_dir=on: a directory of the image cannot be renamed in one call \
             (Invalid cross-device link)"
        }
        Feature::Index => {
            "the overlay is mounted without index=on: what is written to one of a file's hard links in the image does not \
             show in the others"
        }
    }
}

/// A twentieth is little, unless that is still a GiB.
fn nearly_full(source: &str, capacity: Capacity) -> Option<String> {
    const PLENTY: u64 = 1 << 30;
    let Capacity { size, free, inodes, inodes_free, .. } = capacity;
    if free < PLENTY.min(size / 20) {
        let (free, size) = (size_words(free), size_words(size));
        return Some(format!(
            "the writable layer {source} is nearly full, {free} of {size} are free; delete files, or give the \
             machine a larger disk"
        ));
    }
    (inodes_free < inodes / 20).then(|| {
        format!(
            "the writable layer {source} has room for {inodes_free} of {inodes} files only; delete some, or give \
             the machine a larger disk"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_space_is_told_and_a_gib_is_enough_of_any_disk() {
        let told = |size: u64, free: u64, inodes_free: u64| {
            let capacity = Capacity { size, used: size - free, free, inodes: 1000, inodes_free };
            nearly_full("/dev/vdb", capacity)
        };
        assert!(told(8 << 30, 400 << 20, 500).unwrap().contains("400 MiB of 8 GiB are free"));
        assert_eq!(told(8 << 30, 500 << 20, 500), None);
        assert_eq!(told(1 << 40, 1 << 30, 500), None);
        assert!(told(8 << 30, 4 << 30, 49).unwrap().contains("49 of 1000 files"));
        assert_eq!(nearly_full("btrfs", Capacity { size: 10, free: 9, ..Capacity::default() }), None);
    }
}
