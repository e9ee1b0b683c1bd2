//! Facts: what the machine looks like at the moment of a call, gathered once and never judged.
//!
//! A [`World`] is plain data, so a test can write one down. The trick that carries it: each operand is opened
//! with O_PATH, and the kernel says which mount that file is in (`STATX_MNT_ID`) and what its name is there
//! (`/proc/self/fd`). No path is ever compared with a list of mount points.

pub mod fstab;
pub(crate) mod gather;
pub(crate) mod header;
pub(crate) mod operand;

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::backing::candidates;
use crate::kernel::mounts::{DevNo, Mount, Mounts, read_proc};
use crate::kernel::places::{self, Location};
use crate::paths::{OverlayPath, UPPER};
use crate::shim::facts::operand::Operand;
use crate::swap::active::{self, Swap};
use crate::swap::fallback::{self, StandIn};
use crate::swap::fstab::Reader;
use crate::swap::tag::{self, Tag};
use crate::sys::{self, MountId};

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
    /// Active swap areas.
    pub swaps: Vec<Swap>,
    /// Those of them that stand in for a file.
    pub stand_ins: Vec<StandIn>,
    /// What a call of ours that was killed left of such devices; gathered only if asked for.
    pub leftovers: Vec<PathBuf>,
    /// The active areas' paths, looked at as operands are; gathered only if asked for.
    pub active: Vec<Operand>,
    /// The swap entries of fstab, each with what its path turned out to be; gathered only if asked for.
    pub fstab: Vec<Listed>,
    /// The files that libblkid remembers and that carry one of the tags which are asked for.
    pub remembered: Vec<Operand>,
    /// Of the tags that a known file carries, those that a device carries too.
    pub on_devices: Vec<Tag>,
    /// The lines of fstab that make no sense: its path and the line's number, from 1.
    pub bad_lines: Vec<(PathBuf, usize)>,
}

/// A swap entry of fstab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The line.
    pub entry: fstab::Entry,
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

/// What was seen by opening paths, before anybody looked at the mount table.
#[derive(Debug, Clone, Default)]
pub struct Sighted {
    /// The mount that `/` is in.
    pub root: Option<MountId>,
    /// The mount that `/.rootfs-shim/upper` is in.
    pub upper: Option<MountId>,
    /// The operands.
    pub operands: Vec<Operand>,
    /// Active swap areas.
    pub active: Vec<Operand>,
    /// fstab's entries.
    pub fstab: Vec<Listed>,
    /// Files that libblkid remembers.
    pub remembered: Vec<Operand>,
}

impl Sighted {
    fn operands(&self) -> impl Iterator<Item = &Operand> {
        let listed = self.fstab.iter().map(|listed| &listed.operand).chain(&self.remembered);
        self.operands.iter().chain(&self.active).chain(listed)
    }
}

/// What a shim wants to know about the machine.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Look for the swap signature of each operand.
    pub headers: bool,
    /// Look at the active swap areas as at operands.
    pub active: bool,
    /// Look for devices that a call of ours left.
    pub leftovers: bool,
    /// Where the upper directory is, if not at its usual place.
    pub upper: Option<PathBuf>,
    /// Read this fstab, and how.
    pub fstab: Option<(PathBuf, Reader)>,
    /// Look for the files that carry these tags.
    pub tags: Vec<Tag>,
}

impl World {
    /// Gathers the facts about `operands`. What cannot be learnt is left out; a World is never an error.
    pub fn gather(operands: &[OsString], scope: &Scope) -> Self {
        let upper = scope.upper.as_deref().unwrap_or(Path::new(UPPER));
        let backing = places::locate(upper);
        if matches!(backing, Err(Errno::EACCES | Errno::EPERM)) {
            return Self { backing: Backing::Forbidden, ..Self::default() };
        }
        let told = places::open_path(Path::new("/")).and_then(|top| sys::file_handle(top.as_fd())).ok();
        let upper_filesystem = told
            .as_ref()
            .and_then(candidates::embedded)
            .map(|(_, uuid)| uuid)
            .filter(|uuid| *uuid != [0; 16]);
        let swaps = active::parse(&read_proc("/proc/swaps"));
        let stand_ins = fallback::look(&swaps);
        let mut probed: Vec<Operand> =
            operands.iter().map(|operand| operand::probe(operand, scope.headers)).collect();
        let (fstab, bad_lines) = scope.fstab.as_ref().map(read_fstab).unwrap_or_default();
        let in_fstab = fstab.iter().filter_map(|listed| Tag::parse(&listed.entry.spec));
        let tags: Vec<Tag> = in_fstab.chain(scope.tags.iter().cloned()).collect();
        if scope.active {
            probed.extend(swaps.iter().map(|swap| operand::probe_active(&swap.path, !tags.is_empty())));
        }
        let (root, backing) = (places::locate(Path::new("/")).ok(), backing.ok());
        let sighted = Sighted {
            remembered: remembered(&tags),
            fstab,
            root: root.as_ref().map(|root| root.mount),
            upper: backing.as_ref().map(|upper| upper.mount),
            active: probed.split_off(operands.len()),
            operands: probed,
        };
        let places = root.iter().chain(&backing).chain(sighted.operands().filter_map(Operand::location));
        let mounts = mounts_of(&places.collect::<Vec<_>>());
        let mut world = Self::assemble(sighted, upper, mounts, swaps);
        world.bad_lines = bad_lines;
        world.stand_ins = stand_ins;
        if scope.leftovers {
            world.leftovers = fallback::leftovers();
        }
        world.upper_filesystem = upper_filesystem;
        world.root_unseen = world.root.is_none() && is_overlay();
        world.distrust(upper);
        world.look_for_twins();
        // A device that stands in for a file has that file's label.
        let is_own = |device: &Path| world.stand_ins.iter().all(|area| area.device != device);
        let elsewhere = |tag: &Tag| world.file_of(tag).is_some() && tag::device(tag, &is_own).is_some();
        world.on_devices = tags.into_iter().filter(elsewhere).collect();
        world
    }

    /// The known file whose swap header carries this tag, unless a device does: devices come first, and are the
    /// real tool's to find.
    pub fn file_of(&self, tag: &Tag) -> Option<&Operand> {
        let listed = self.fstab.iter().map(|listed| &listed.operand);
        let mut known = listed.chain(&self.remembered).chain(&self.active);
        let found = known.find(|operand| operand.file().is_some() && operand.header().has_tag(tag));
        found.filter(|_| !self.on_devices.contains(tag))
    }

    /// What is mounted at the bind mount's place, but is another filesystem than the overlay's own, is not the
    /// backing filesystem.
    fn distrust(&mut self, upper: &Path) {
        let there = places::open_path(upper).ok().and_then(|dir| places::filesystem_uuid(&dir));
        if let (Some(ours), Some(there)) = (self.upper_filesystem, there)
            && ours != there
            && matches!(self.backing, Backing::Mounted(_))
        {
            self.backing = Backing::Missing;
        }
    }

    /// The World that these sightings and these mounts come to; what a fixture writes down goes through here as
    /// well.
    pub fn assemble(sighted: Sighted, place: &Path, mounts: Mounts, swaps: Vec<Swap>) -> Self {
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
            stand_ins: Vec::new(),
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

    /// Looks at the backing path of each file of the root overlay.
    fn look_for_twins(&mut self) {
        let Some(upper) = self.backing.mount().map(|mount| mount.point.clone()) else { return };
        let asked = !self.swaps.is_empty();
        let twin_of = |operand: &Operand| {
            let path = self.overlay_path(&operand.file()?.location)?;
            let twin = operand::twin(&upper, &path);
            Some((twin, asked && twin == operand::Twin::File && operand::is_active_at(&upper, &path)))
        };
        let twins: Vec<Option<(operand::Twin, bool)>> = self.all_operands().map(twin_of).collect();
        let listed = self.fstab.iter_mut().map(|listed| &mut listed.operand).chain(&mut self.remembered);
        for (operand, twin) in self.operands.iter_mut().chain(&mut self.active).chain(listed).zip(twins) {
            operand.set_twin(twin);
        }
    }

    /// Operands, active areas, fstab's entries and what libblkid remembers.
    pub fn all_operands(&self) -> impl Iterator<Item = &Operand> {
        let listed = self.fstab.iter().map(|listed| &listed.operand).chain(&self.remembered);
        self.operands.iter().chain(&self.active).chain(listed)
    }
}

/// The swap entries of an fstab, each looked at, and its lines that make no sense.
fn read_fstab((path, reader): &(PathBuf, Reader)) -> (Vec<Listed>, Vec<(PathBuf, usize)>) {
    let (entries, bad) = fstab::read(path, *reader);
    let list = |entry: fstab::Entry| Listed { operand: operand::probe(&entry.spec, true), entry };
    (entries.into_iter().map(list).collect(), bad)
}

/// The files that libblkid remembers and that carry one of the tags now.
fn remembered(tags: &[Tag]) -> Vec<Operand> {
    let paths = if tags.is_empty() { Vec::new() } else { tag::remembered() };
    let operands = paths.iter().map(|path| operand::probe(path.as_os_str(), true));
    operands.filter(|operand| tags.iter().any(|tag| operand.header().has_tag(tag))).collect()
}

/// The mounts that these places are in.
fn mounts_of(places: &[&Location]) -> Mounts {
    let ids = places.iter().map(|place| place.unique);
    let wanted = |id| places.iter().any(|place| place.mount == id);
    Mounts::ask(ids).unwrap_or_else(|| Mounts::parse(&read_proc("/proc/thread-self/mountinfo"), wanted))
}

/// `/.rootfs-shim/upper` is a mount of its own only if its mount is not the root's.
fn backing_of(upper: Option<MountId>, root: Option<MountId>, place: &Path, mounts: &Mounts) -> Backing {
    let mount = upper.filter(|id| Some(*id) != root).and_then(|id| mounts.get(id));
    match mount.filter(|mount| mount.point == place) {
        Some(mount) => Backing::Mounted(mount.clone()),
        None => Backing::Missing,
    }
}

/// What statfs(2) says of `/`, which needs neither /proc nor a mount table.
#[expect(clippy::disallowed_methods, reason = "the root of the running system")]
fn is_overlay() -> bool {
    nix::sys::statfs::statfs("/")
        .is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC)
}
