//! What is seen by opening paths, and what is added to it once everything is visible.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::backing::candidates;
use crate::kernel::mounts::{Mounts, read_proc};
use crate::kernel::places::{self, Location};
use crate::shim::facts::operand::{self, AtBackingPath, FirstPage, Operand};
use crate::shim::facts::{Backing, Listed, Sighted, World, fstab};
use crate::swap::fstab::{BadLine, Reader};
use crate::swap::tag::{self, Tag};
use crate::swap::{active, fallback};
use crate::sys;

/// What a call wants to know about the machine.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub operands: Vec<OsString>,
    /// Whether the operands' swap headers are looked at.
    pub first_pages: FirstPage,
    /// Look at the active swap areas as at operands.
    pub active: bool,
    /// Read this fstab, and how.
    pub fstab: Option<(PathBuf, Reader)>,
    /// Look for the files that carry these tags.
    pub tags: Vec<Tag>,
}

/// Looks from this mount namespace, where the upper directory is at `upper` if it is visible. What cannot be learnt is
/// left out; a World is never an error.
pub(super) fn sight(scope: &Scope, upper: &Path) -> World {
    let backing = places::locate(upper);
    if matches!(backing, Err(Errno::EACCES | Errno::EPERM)) {
        return World { backing: Backing::Forbidden, ..World::default() };
    }
    let upper_filesystem = upper_filesystem();
    let swaps = active::parse(&read_proc("/proc/swaps"));
    let probe = |operand: &OsString| operand::probe(operand, scope.first_pages);
    let operands: Vec<Operand> = scope.operands.iter().map(probe).collect();
    let (fstab, bad_lines) = scope.fstab.as_ref().map(read_fstab).unwrap_or_default();
    let tags = all_tags(&fstab, scope);
    let mut active = Vec::new();
    if scope.active {
        let devices = if tags.is_empty() { FirstPage::Leave } else { FirstPage::Read };
        active.extend(swaps.iter().map(|swap| operand::probe_active(&swap.path, devices)));
    }
    let (root, backing) = (places::locate(Path::new("/")).ok(), backing.ok());
    let sighted = Sighted {
        remembered: remembered(&tags),
        fstab,
        root: root.as_ref().map(|root| root.mount),
        upper: backing.as_ref().map(|upper| upper.mount),
        active,
        operands,
    };
    let places = root.iter().chain(&backing).chain(sighted.all_operands().filter_map(Operand::location));
    let mounts = mounts_of(&places.collect::<Vec<_>>());
    let mut world = World::assemble(sighted, upper, mounts, swaps);
    world.bad_lines = bad_lines;
    world.upper_filesystem = upper_filesystem;
    world.root_unseen = world.root.is_none() && is_overlay();
    distrust(&mut world, upper);
    world
}

/// Adds what is known of the files at the backing paths, of fallback devices, and of the devices that carry tags.
pub(super) fn complete(world: &mut World, scope: &Scope) {
    world.fallbacks = fallback::look(&world.swaps);
    look_at_backing_paths(world);
    // A fallback device has the label of the file in whose place it is.
    let is_own = |device: &Path| world.fallbacks.iter().all(|fallback| fallback.path != device);
    let elsewhere = |tag: &Tag| world.file_of(tag).is_some() && tag::device(tag, &is_own).is_some();
    world.on_devices = all_tags(&world.fstab, scope).into_iter().filter(elsewhere).collect();
}

/// The filesystem that holds the upper directory, as the overlay at `/` itself says.
fn upper_filesystem() -> Option<[u8; 16]> {
    let handle = places::open_path(Path::new("/")).and_then(|top| sys::file_handle(top.as_fd())).ok()?;
    candidates::embedded(&handle).map(|inner| inner.filesystem).filter(|uuid| *uuid != [0; 16])
}

/// The tags that fstab and the call name.
fn all_tags(fstab: &[Listed], scope: &Scope) -> Vec<Tag> {
    let in_fstab = fstab.iter().filter_map(|listed| Tag::parse(&listed.entry.spec));
    in_fstab.chain(scope.tags.iter().cloned()).collect()
}

/// What is mounted at the bind mount's place, but is another filesystem than the overlay's own, is not the
/// backing filesystem.
fn distrust(world: &mut World, upper: &Path) {
    let there = places::open_path(upper).ok().and_then(|dir| places::filesystem_uuid(&dir));
    if let (Some(ours), Some(there)) = (world.upper_filesystem, there)
        && ours != there
        && matches!(world.backing, Backing::Mounted(_))
    {
        world.backing = Backing::Missing;
    }
}

/// Looks at the backing path of each file of the root overlay.
fn look_at_backing_paths(world: &mut World) {
    let Some(upper) = world.backing.mount().map(|mount| mount.point.clone()) else { return };
    let asked = !world.swaps.is_empty();
    let look = |operand: &Operand| {
        let path = world.overlay_path(&operand.file()?.location)?;
        let there = operand::at_backing_path(&upper, &path);
        let active = asked && there == AtBackingPath::File && operand::is_active_at(&upper, &path);
        Some((there, active))
    };
    let found: Vec<_> = world.all_operands().map(look).collect();
    for (file, found) in world.all_operands_mut().map(Operand::file_mut).zip(found) {
        if let (Some(file), Some((there, active))) = (file, found) {
            (file.at_backing_path, file.active) = (Some(there), active);
        }
    }
}

/// The swap entries of an fstab, each looked at, and its lines that make no sense.
fn read_fstab((path, reader): &(PathBuf, Reader)) -> (Vec<Listed>, Vec<BadLine>) {
    let (entries, bad) = fstab::read(path, *reader);
    let list =
        |entry: fstab::SwapEntry| Listed { operand: operand::probe(&entry.spec, FirstPage::Read), entry };
    (entries.into_iter().map(list).collect(), bad)
}

/// The files that libblkid remembers and that carry one of the tags now.
fn remembered(tags: &[Tag]) -> Vec<Operand> {
    let paths = if tags.is_empty() { Vec::new() } else { tag::remembered() };
    let operands = paths.iter().map(|path| operand::probe(path.as_os_str(), FirstPage::Read));
    operands.filter(|operand| tags.iter().any(|tag| operand.header().has_tag(tag))).collect()
}

/// The mounts that these places are in.
fn mounts_of(places: &[&Location]) -> Mounts {
    let ids = places.iter().map(|place| place.unique);
    let wanted = |id| places.iter().any(|place| place.mount == id);
    Mounts::ask(ids).unwrap_or_else(|| Mounts::parse(&read_proc("/proc/thread-self/mountinfo"), wanted))
}

/// What statfs(2) says of `/`, which needs neither /proc nor a mount table.
#[expect(clippy::disallowed_methods, reason = "the root of the running system")]
fn is_overlay() -> bool {
    nix::sys::statfs::statfs("/")
        .is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC)
}
