//! Facts: what the machine looks like at the moment of a call, gathered once and never judged.
//!
//! A [`World`] is plain data, so a test can write one down. The trick that carries it: each operand is opened
//! with O_PATH, and the kernel says which mount that file is in (`STATX_MNT_ID`) and what its name is there
//! (`/proc/self/fd`). No path is ever compared with a list of mount points.

pub mod fstab;
pub(crate) mod gather;
pub(crate) mod header;
pub(crate) mod needs;
pub(crate) mod operand;
mod sight;

use std::path::{Path, PathBuf};

use crate::kernel::mounts::{DevNo, Mount, Mounts};
use crate::kernel::places::Location;
use crate::paths::OverlayPath;
use crate::shim::facts::operand::Operand;
use crate::swap::active::ActiveSwap;
use crate::swap::fallback::FallbackDevice;
use crate::swap::fstab::BadLine;
use crate::swap::tag::Tag;
use crate::sys::MountId;

/// What the machine looks like, as far as a shim needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// The overlay at `/`; `None` if the root is no overlay or cannot be known.
    pub root: Option<Mount>,
    /// The root is an overlay, but where it is mounted is not visible from here (no /proc, a chroot).
    pub root_unseen: bool,
    /// The UUID of the filesystem that holds the overlay's upper directory, as the overlay itself says.
    pub upper_filesystem: Option<[u8; 16]>,
    /// The backing filesystem, if its upper directory is visible.
    pub backing: Backing,
    /// The operands, in their order.
    pub operands: Vec<Operand>,
    /// The mounts that operands are in.
    pub mounts: Mounts,
    /// The active swap areas, as `/proc/swaps` lists them.
    pub swaps: Vec<ActiveSwap>,
    /// Those of them that are fallback devices, each in the place of a file.
    pub fallbacks: Vec<FallbackDevice>,
    /// Fallback devices that a call of ours left when it was killed; gathered only if asked for.
    pub leftovers: Vec<PathBuf>,
    /// The active areas' paths, looked at as operands are; gathered only if asked for.
    pub active: Vec<Operand>,
    /// The swap entries of fstab, each with what its path turned out to be; gathered only if asked for.
    pub fstab: Vec<Listed>,
    /// The files that libblkid remembers and that carry one of the tags which are asked for.
    pub remembered: Vec<Operand>,
    /// Of the tags that a known file carries, those that a device carries too.
    pub on_devices: Vec<Tag>,
    /// The lines of fstab that make no sense.
    pub bad_lines: Vec<BadLine>,
}

/// A swap entry of fstab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What its line says.
    pub entry: fstab::SwapEntry,
    /// Its first field, looked at as an operand.
    pub operand: Operand,
}

/// What stands at the place of the bind mount that install made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Backing {
    /// Nothing is mounted there, or the place does not exist.
    #[default]
    Missing,
    /// The caller may not look.
    Forbidden,
    /// Something is mounted there. That it is this overlay's upper directory is proved later, file by file.
    Mounted(Mount),
}

impl Backing {
    /// The mount, if there is one.
    pub fn mount(&self) -> Option<&Mount> {
        match self {
            Self::Mounted(mount) => Some(mount),
            Self::Missing | Self::Forbidden => None,
        }
    }
}

/// What was seen by opening paths, before anybody looked at the mount table.
#[derive(Debug, Clone, Default)]
pub struct Sighted {
    /// The mount that `/` is in.
    pub root: Option<MountId>,
    /// The mount that `/.rootfs-shim/upper` is in.
    pub upper: Option<MountId>,
    /// What the command line names, in its order.
    pub operands: Vec<Operand>,
    /// The active swap areas, if they were asked for.
    pub active: Vec<Operand>,
    /// The swap entries of fstab, if they were asked for.
    pub fstab: Vec<Listed>,
    /// Files that libblkid remembers.
    pub remembered: Vec<Operand>,
}

impl Sighted {
    /// All that was looked at as an operand is.
    pub(crate) fn all_operands(&self) -> impl Iterator<Item = &Operand> {
        let listed = self.fstab.iter().map(|listed| &listed.operand).chain(&self.remembered);
        self.operands.iter().chain(&self.active).chain(listed)
    }
}

impl World {
    /// The known file whose swap header carries this tag, unless a device does: devices come first, and are the
    /// real tool's to find.
    pub fn file_of(&self, tag: &Tag) -> Option<&Operand> {
        let listed = self.fstab.iter().map(|listed| &listed.operand);
        let mut known = listed.chain(&self.remembered).chain(&self.active);
        let found = known.find(|operand| operand.file().is_some() && operand.header().has_tag(tag));
        found.filter(|_| !self.on_devices.contains(tag))
    }

    /// The World that these sightings and these mounts come to; what a fixture writes down goes through here as
    /// well.
    pub fn assemble(sighted: Sighted, place: &Path, mounts: Mounts, swaps: Vec<ActiveSwap>) -> Self {
        let Sighted { root, upper, operands, active, fstab, remembered } = sighted;
        let root_mount = root.and_then(|id| mounts.get(id)).filter(|mount| mount.fstype == "overlay");
        Self {
            root_unseen: false,
            upper_filesystem: None,
            backing: backing_of(upper, root, place, &mounts),
            root: root_mount.cloned(),
            operands,
            active,
            fstab,
            remembered,
            on_devices: Vec::new(),
            mounts,
            swaps,
            fallbacks: Vec::new(),
            leftovers: Vec::new(),
            bad_lines: Vec::new(),
        }
    }

    /// The path of a file within the root overlay's own tree, if that is where it is.
    pub fn overlay_path(&self, location: &Location) -> Option<OverlayPath> {
        let mount = self.mounts.get(location.mount)?;
        let root = self.root.as_ref()?;
        if mount.device != root.device {
            return None;
        }
        crate::paths::inside(&mount.root, &mount.point, &location.path)
    }

    /// Whether a mount shows the backing filesystem.
    pub fn is_backing(&self, device: DevNo) -> bool {
        self.backing.mount().is_some_and(|mount| mount.device == device)
    }

    /// Operands, active areas, fstab's entries and what libblkid remembers.
    pub fn all_operands(&self) -> impl Iterator<Item = &Operand> {
        let listed = self.fstab.iter().map(|listed| &listed.operand).chain(&self.remembered);
        self.operands.iter().chain(&self.active).chain(listed)
    }

    /// The same, in the same order.
    pub(crate) fn all_operands_mut(&mut self) -> impl Iterator<Item = &mut Operand> {
        let listed = self.fstab.iter_mut().map(|listed| &mut listed.operand).chain(&mut self.remembered);
        self.operands.iter_mut().chain(&mut self.active).chain(listed)
    }
}

/// `/.rootfs-shim/upper` is a mount of its own only if its mount is not the root's.
fn backing_of(upper: Option<MountId>, root: Option<MountId>, place: &Path, mounts: &Mounts) -> Backing {
    let mount = upper.filter(|id| Some(*id) != root).and_then(|id| mounts.get(id));
    match mount.filter(|mount| mount.point == place) {
        Some(mount) => Backing::Mounted(mount.clone()),
        None => Backing::Missing,
    }
}
