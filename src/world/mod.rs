//! Facts: what the machine looks like at the moment of a call, gathered once and never judged.
//!
//! A [`World`] is plain data, so a test can write one down. The trick that carries it: each operand is opened
//! with O_PATH, and the kernel says which mount that file is in (`STATX_MNT_ID`) and what its name is there
//! (`/proc/self/fd`). No path is ever compared with a list of mount points.

pub mod files;
pub mod mountinfo;
pub mod real;
pub mod swaps;

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use nix::errno::Errno;

use crate::paths::{OverlayPath, UPPER};
use crate::sys::MountId;
use files::{Location, Operand};
use mountinfo::{DevNo, Mount, Mounts};
use swaps::Swap;

/// What the machine looks like, as far as a shim needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// The overlay at `/`; `None` if the root is no overlay or cannot be known.
    pub root: Option<Mount>,
    /// The backing filesystem, if its upper directory is visible.
    pub backing: Backing,
    /// The operands, in their order.
    pub operands: Vec<Operand>,
    /// The mounts that operands are in.
    pub mounts: Mounts,
    /// Active swap areas.
    pub swaps: Vec<Swap>,
    /// The paths of those that are files, looked at as operands are; gathered only if asked for.
    pub active: Vec<Operand>,
}

/// What stands at the place of the bind mount that install made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Backing {
    /// Nothing is mounted there, or the place does not exist.
    #[default]
    Missing,
    /// The caller may not look.
    Forbidden,
    /// Something is mounted there. That it is this overlay's upper directory is for execute to prove, file
    /// by file.
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

/// What a shim wants to know about the machine.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// Look for the swap signature of each operand.
    pub headers: bool,
    /// Read the active swap areas and find out which are files of the root overlay.
    pub active_files: bool,
}

impl World {
    /// Gathers the facts about `operands`. What cannot be learnt is left out; a World is never an error.
    pub fn gather(operands: &[OsString], scope: Scope) -> Self {
        let backing = files::locate(Path::new(UPPER));
        if matches!(backing, Err(Errno::EACCES | Errno::EPERM)) {
            return Self { backing: Backing::Forbidden, ..Self::default() };
        }
        let swaps = swaps::parse(&fs::read("/proc/swaps").unwrap_or_default());
        let mut probed: Vec<Operand> =
            operands.iter().map(|operand| files::probe(operand, scope.headers)).collect();
        if scope.active_files {
            let paths = swaps.iter().filter(|swap| swap.is_file);
            probed.extend(paths.map(|swap| files::probe(swap.path.as_os_str(), false)));
        }
        let root = files::locate(Path::new("/")).ok();
        let wanted = |id| {
            let is = |location: Option<&Location>| location.is_some_and(|location| location.mount == id);
            is(root.as_ref())
                || is(backing.as_ref().ok())
                || probed.iter().any(|operand| is(operand.location()))
        };
        let mounts = Mounts::parse(&fs::read("/proc/self/mountinfo").unwrap_or_default(), wanted);
        let root_id = root.as_ref().map(|root| root.mount);
        let active = probed.split_off(operands.len());
        let mut world = Self {
            backing: backing_of(backing.ok().map(|place| place.mount), root_id, &mounts),
            root: root_id.and_then(|id| mounts.get(id)).filter(|mount| mount.fstype == "overlay").cloned(),
            operands: probed,
            active,
            mounts,
            swaps,
        };
        world.look_for_twins();
        world
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

    /// Looks at the backing path of each file of the root overlay.
    fn look_for_twins(&mut self) {
        let Some(upper) = self.backing.mount().map(|mount| mount.point.clone()) else { return };
        let twin_of = |operand: &Operand| {
            let path = self.overlay_path(&operand.file()?.location)?;
            Some(files::twin(&upper, &path))
        };
        let twins: Vec<Option<files::Twin>> = self.operands.iter().chain(&self.active).map(twin_of).collect();
        for (operand, twin) in self.operands.iter_mut().chain(&mut self.active).zip(twins) {
            operand.set_twin(twin);
        }
    }
}

/// `/.rootfs-shim/upper` is a mount of its own only if its mount is not the root's.
fn backing_of(place: Option<MountId>, root: Option<MountId>, mounts: &Mounts) -> Backing {
    let mount = place.filter(|id| Some(*id) != root).and_then(|id| mounts.get(id));
    match mount.filter(|mount| mount.point == Path::new(UPPER)) {
        Some(mount) => Backing::Mounted(mount.clone()),
        None => Backing::Missing,
    }
}

/// Every mount of this process, for the commands that print the World.
pub fn all_mounts() -> Mounts {
    Mounts::parse_all(&fs::read("/proc/self/mountinfo").unwrap_or_default())
}

/// The active swap areas, read anew.
pub fn active_swaps() -> Vec<Swap> {
    swaps::parse(&fs::read("/proc/swaps").unwrap_or_default())
}
