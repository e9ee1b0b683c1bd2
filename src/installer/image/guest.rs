//! A machine or an image as `status` sees it: the tree, the layers below it, active swap, volumes.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::config::{self, Config};
use crate::error::Result;
use crate::installer::image::root_mount::{Hint, Upper};
use crate::installer::image::tree::Tree;
use crate::installer::image::{self, Image};
use crate::installer::names;
use crate::kernel::mounts::{Mount, Mounts};
use crate::kernel::{mounts, places};
use crate::paths::{self, BackingPath, OverlayPath};
use crate::swap::active::{self, Swap};
use crate::swap::fallback::{self, FallbackDevice};
use crate::untrusted::{Dir, Root};

/// The facts that `status` prints.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The tree: tools, manifest, layer.
    pub image: Image,
    /// The mount at the root, if the root is where something is mounted.
    pub root: Option<Mount>,
    /// The mount at `/.rootfs-shim/upper`.
    pub backing: Option<Mount>,
    /// Of the backing filesystem.
    pub capacity: Option<Capacity>,
    /// Whether this is the root of the process that looks.
    pub running: bool,
    /// Active swap areas of this machine; not all are this root's.
    pub swaps: Vec<Area>,
    /// Other filesystems on disks, visible below this root.
    pub volumes: Vec<Mount>,
    /// The overlay's lower layers as its mount names them, the topmost first: a rumour, for people only.
    pub lower: Vec<PathBuf>,
    /// Directories kept on the backing filesystem: those that are, and those that the configuration wants to be.
    pub kept: Vec<Kept>,
    /// The platform's own swap device, if one is configured.
    pub swap_device: Option<SwapDevice>,
    /// What the configuration says, or why it says nothing.
    pub config: std::result::Result<Config, String>,
}

/// An active swap area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Area {
    /// As the kernel lists it.
    pub swap: Swap,
    /// Where it lies, if it is a file of this root's overlay.
    pub backing: Option<BackingPath>,
    /// The device, if it stands in for a file of this root's.
    pub stands_in: Option<PathBuf>,
    /// Whether it is this root's: such a file, such a device, or one or a device that the running root shows. The kernel's list is
    /// of the whole machine, and the names in it are each guest's own.
    pub of_this_root: bool,
}

/// Of a filesystem; in bytes, but for the inodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Of the whole filesystem.
    pub size: u64,
    /// That are in use.
    pub used: u64,
    /// That everybody may still write.
    pub free: u64,
    /// How many files it can hold; 0 where that has no bounds of its own.
    pub inodes: u64,
    /// How many more.
    pub inodes_free: u64,
}

/// A directory kept on the backing filesystem, or one that should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Where it is, the root's own path included.
    pub path: PathBuf,
    /// Whether the configuration names it.
    pub configured: bool,
    /// Whether the backing filesystem is mounted there.
    pub bound: bool,
    /// Whether that is its place in the writable layer, where it is only once its copy from the image is whole.
    pub seeded: bool,
}

/// The platform's own swap device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SwapDevice {
    /// As it is configured.
    pub path: PathBuf,
    /// As the kernel lists it, if it is active.
    pub active: Option<Swap>,
}

impl Machine {
    /// Looks at the root at `chroot`.
    ///
    /// # Errors
    /// If `chroot` is no directory, or what is in it may not be looked at.
    pub(crate) fn look(chroot: &Path) -> Result<Self> {
        let root = Root::open(chroot)?;
        let running = root.top().stat()?.id == Root::open(Path::new("/"))?.top().stat()?.id;
        // mountinfo has absolute paths without symlinks, and so has this.
        let place = root.top().path().unwrap_or_else(|_| chroot.to_owned());
        let (tree, image) = image::look(root, Hint::Nothing)?;
        let upper = join(&place, Path::new(paths::UPPER));
        let mounts = mounts::all_mounts();
        let backing = mounts.at(&upper).cloned();
        let bound = tree.home.as_ref().and_then(|home| home.subdirectory("upper").ok()?);
        let capacity = backing.as_ref().and_then(|_| capacity(bound.as_ref()?));
        let config = load(tree.home.as_ref());
        let wanted = config.as_ref().map_or(&[][..], |config| &config.layers.passthrough);
        let kept = kept(&Guest { tree: &tree, place: &place, mounts: &mounts }, backing.as_ref(), wanted);
        let device = config.as_ref().ok().and_then(|config| config.swap_device.device.clone());
        let seen = match &image.layer.upper {
            Upper::Bound => bound.as_ref().map(|dir| (upper.as_path(), dir)),
            Upper::Found(path) => tree.upper.as_ref().map(|root| (path.as_path(), root.top())),
            Upper::Occupied | Upper::Unproved(_) => None,
        };
        let swaps = swaps(running, seen, &mounts, &tree.root);
        let root = image.layer.point.as_ref().and_then(|point| mounts.at(point)).cloned();
        Ok(Self {
            volumes: volumes(&mounts, &place, root.as_ref(), backing.as_ref()),
            lower: root.as_ref().map(Mount::lower_layers).unwrap_or_default(),
            swap_device: device.map(|path| swap_device(&tree.root, path, &swaps)),
            kept,
            config,
            swaps,
            running,
            capacity,
            root,
            backing,
            image,
        })
    }
}

/// The configuration of a root that may be a stranger's: read by the directory's descriptor and one name, so that
/// no link that the image puts there in the meantime is followed.
fn load(home: Option<&Dir>) -> std::result::Result<Config, String> {
    let bytes = home.map(|home| home.read(names::CONFIG, config::SIZE_CAP)).transpose();
    let bytes = bytes.map_err(|error| error.to_string())?.flatten();
    bytes
        .map_or_else(|| Ok(Config::default()), |bytes| Config::parse(&bytes))
        .map_err(|error| error.to_string())
}

fn swaps(running: bool, upper: Option<(&Path, &Dir)>, mounts: &Mounts, root: &Root) -> Vec<Area> {
    let all = active::active_swaps();
    let fallbacks = fallback::look(&all);
    let upper = upper.and_then(|(path, dir)| Some((path, dir.as_fd().try_clone_to_owned().ok()?)));
    let mut known = Vec::new();
    let backing = |swap: &Swap| {
        let (point, dir) = upper.as_ref().filter(|_| swap.is_file)?;
        let paths = [below(&swap.path, point, mounts), OverlayPath::parse(&swap.path)];
        let path = paths.into_iter().flatten().find(|path| is_area(dir, path, swap, &all, &mut known))?;
        Some(path.on(point))
    };
    let backing: Vec<_> = all.iter().map(backing).collect();
    let area = |(swap, backing): (Swap, Option<BackingPath>)| {
        let shown =
            || !swap.is_file || places::open_path(&swap.path).is_ok_and(|file| active::is_active(&file));
        let stands_in = fallback_device(&swap, &fallbacks, running, root);
        let ours = backing.is_some() || stands_in.is_some();
        Area { of_this_root: ours || (running && shown()), swap, backing, stands_in }
    };
    all.iter().cloned().zip(backing).map(area).collect()
}

/// The device that is listed by the name of a file of this root's. The file may be gone; the running root's shim
/// disables the device all the same.
fn fallback_device(swap: &Swap, fallbacks: &[FallbackDevice], running: bool, root: &Root) -> Option<PathBuf> {
    let named = fallbacks.iter().filter(|area| !swap.is_file && area.name == swap.path);
    let file = root.find(swap.path.strip_prefix("/").ok()?).ok().flatten().map(|found| found.entry.id);
    let mut ours = named.filter(|area| running || file.is_some_and(|id| area.file.is(id.dev, id.ino)));
    ours.next().map(|area| area.path.clone())
}

/// The path within upper of an area that is listed by another path to the backing filesystem.
fn below(listed: &Path, upper: &Path, mounts: &Mounts) -> Option<OverlayPath> {
    let in_filesystem = |path: &Path| {
        let location = places::locate(path).ok()?;
        let mount = mounts.get(location.mount)?;
        Some((mount.device, paths::inside(&mount.root, &mount.point, &location.path)?))
    };
    let ((device, file), (other, upper)) = (in_filesystem(listed)?, in_filesystem(upper)?);
    let relative = file.as_path().strip_prefix(upper.as_path()).ok().filter(|_| device == other)?;
    OverlayPath::parse(Path::new("/").join(relative))
}

/// Whether the file at `path` in upper is the area `swap`. Other guests' areas may be listed by the same name;
/// that this file is an active one the kernel says, and which of the entries is its own, the size.
fn is_area(
    dir: &OwnedFd,
    path: &OverlayPath,
    swap: &Swap,
    all: &[Swap],
    known: &mut Vec<(u64, u64)>,
) -> bool {
    let Ok(fd) = places::open_beneath(dir, path, OFlag::O_PATH) else { return false };
    let active = active::is_active(&fd);
    let Ok(meta) = File::from(fd).metadata() else { return false };
    let id = (meta.dev(), meta.ino());
    let gap = |one: &Swap| meta.len().checked_sub(one.size.saturating_mul(1024));
    let fits = |mine: u64| {
        let same_name = all.iter().filter(|other| other.path == swap.path);
        same_name.filter_map(gap).all(|other| mine <= other)
    };
    let ours = active && !known.contains(&id) && gap(swap).is_some_and(fits);
    if ours {
        known.push(id);
    }
    ours
}

fn volumes(mounts: &Mounts, chroot: &Path, root: Option<&Mount>, backing: Option<&Mount>) -> Vec<Mount> {
    let known = |mount: &Mount| {
        [root, backing].into_iter().flatten().any(|one| one.device == mount.device) || mount.point == chroot
    };
    let on_disk = |mount: &&Mount| mount.device.major != 0 || mount.fstype == "btrfs";
    let below = mounts.iter().filter(|mount| mount.point.starts_with(chroot));
    below.filter(on_disk).filter(|mount| !known(mount)).cloned().collect()
}

fn capacity(dir: &Dir) -> Option<Capacity> {
    let space = dir.space().ok()?;
    let bytes = |blocks| blocks * space.fragment_size();
    Some(Capacity {
        size: bytes(space.blocks()),
        used: bytes(space.blocks() - space.blocks_free()),
        free: bytes(space.blocks_available()),
        inodes: space.files(),
        inodes_free: space.files_available(),
    })
}

/// A root that is looked at: its directories, its path, and the mounts that are visible.
struct Guest<'a> {
    tree: &'a Tree,
    place: &'a Path,
    mounts: &'a Mounts,
}

impl Guest<'_> {
    /// The mount that stands at a path of the guest's, which is resolved inside of its root: a configured path may
    /// lead through the image's own symlinks.
    fn mount_at(&self, path: &Path) -> Option<&Mount> {
        let dir = self.tree.root.directory(path.strip_prefix("/").unwrap_or(path)).ok()??;
        let mount = self.mounts.get(dir.mount().ok()?)?;
        (mount.point == dir.path().ok()?).then_some(mount)
    }
}

fn kept(guest: &Guest<'_>, backing: Option<&Mount>, wanted: &[PathBuf]) -> Vec<Kept> {
    let store = backing.and_then(|backing| Some(backing.root.parent()?.join("passthrough")));
    let is_seeded = |mount: &Mount| store.as_ref().is_some_and(|store| mount.root.starts_with(store));
    let is_native = |mount: &&Mount| backing.is_some_and(|backing| backing.device == mount.device);
    let found = |mount: &Mount, configured| Kept {
        path: mount.point.clone(),
        configured,
        bound: true,
        seeded: is_seeded(mount),
    };
    let mut kept: Vec<Kept> = Vec::new();
    for path in wanted {
        kept.push(guest.mount_at(path).filter(is_native).map_or_else(
            || Kept { path: join(guest.place, path), configured: true, bound: false, seeded: false },
            |mount| found(mount, true),
        ));
    }
    let others = guest.mounts.iter().filter(is_native).filter(|mount| {
        backing.is_some_and(|backing| backing.point != mount.point) && mount.point.starts_with(guest.place)
    });
    for mount in others {
        if !kept.iter().any(|known| known.path == mount.point) {
            kept.push(found(mount, false));
        }
    }
    kept
}

fn join(place: &Path, path: &Path) -> PathBuf {
    place.join(path.strip_prefix("/").unwrap_or(path))
}

/// The kernel may list a device by another of its names; both are looked up inside the root, whose configuration
/// may be a stranger's.
fn swap_device(root: &Root, path: PathBuf, swaps: &[Area]) -> SwapDevice {
    let number = |path: &Path| root.find(path).ok()??.device();
    let own = number(&path);
    let is_own =
        |swap: &&Swap| !swap.is_file && (swap.path == path || (own.is_some() && number(&swap.path) == own));
    let active = swaps.iter().map(|area| &area.swap).find(is_own).cloned();
    SwapDevice { path, active }
}
