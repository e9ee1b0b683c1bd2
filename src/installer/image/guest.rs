//! A machine or an image as `status` sees it: the tree, the layers below it, active swap, volumes.

use std::path::{Path, PathBuf};

use crate::backing::swap_areas::{self, Area};
use crate::config::{self, Config};
use crate::error::Result;
use crate::installer::image::root_mount::{Hint, Upper};
use crate::installer::image::tree::Tree;
use crate::installer::image::{self, Image};
use crate::installer::names;
use crate::kernel::mounts::{self, Mount, Mounts};
use crate::paths;
use crate::swap::active::Swap;
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
        let swaps = swap_areas::gather(running, seen, &mounts, &tree.root);
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
