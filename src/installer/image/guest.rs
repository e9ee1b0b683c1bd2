//! A guest as a whole, running or at rest: the tree, the layers below it, active swap, volumes.
//!
//! Facts that `status` prints, and by which uninstall and reset tell whether swap of this root is on. What is read in
//! the tree is read through `untrusted/`; the rest the kernel says.

use std::path::{Path, PathBuf};

use crate::backing::swap_areas::{self, ListedArea};
use crate::config::{self, Config};
use crate::error::Result;
use crate::installer::image::Image;
use crate::installer::image::root_mount::Upper;
use crate::installer::image::tree::Tree;
use crate::installer::image::upper::{self, Looked};
use crate::installer::names;
use crate::kernel::mounts::{self, Mount, Mounts};
use crate::swap::active::ActiveSwap;
use crate::untrusted::{Dir, Root};

/// A root, and what the machine has to do with it.
#[derive(Debug)]
pub(crate) struct Guest {
    /// What is in its tree, and how the root is mounted.
    pub image: Image,
    /// The mount at the root, if the root is where something is mounted.
    pub root: Option<Mount>,
    /// The mount that shows the upper directory, or what would be said of one; if it was found.
    pub backing: Option<Mount>,
    /// How full the backing filesystem is, if it was found.
    pub capacity: Option<Capacity>,
    /// Active swap areas of this machine; not all are this root's.
    pub swaps: Vec<ListedArea>,
    /// Other filesystems on disks, visible below this root.
    pub volumes: Vec<Mount>,
    /// The overlay's lower layers as its mount names them, the topmost first: a rumour, for people only.
    pub lower: Vec<PathBuf>,
    /// Directories kept on the backing filesystem: those that are, and those that the configuration wants to be.
    pub passthrough: Vec<PassthroughDirectory>,
    /// Features of overlayfs that the root lacks, though ordinary programs want them.
    pub lacking: Vec<Feature>,
    /// Directories of container engines that are in use and lie on the root itself.
    pub containers_on_overlay: Vec<PathBuf>,
    /// The platform's own swap device, if one is configured.
    pub swap_device: Option<PlatformSwapDevice>,
    /// What the configuration says, or why it says nothing.
    pub config: std::result::Result<Config, String>,
}

/// How much a filesystem holds: in bytes, and in files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Capacity {
    pub size: u64,
    pub used: u64,
    /// What everybody may still write; root may write more.
    pub free: u64,
    /// How many files it can hold; 0 where that has no bounds of its own.
    pub inodes: u64,
    /// How many files more it can hold.
    pub inodes_free: u64,
}

/// A directory kept on the backing filesystem, or one that should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PassthroughDirectory {
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
pub(crate) struct PlatformSwapDevice {
    pub path: PathBuf,
    /// The area as the kernel lists it, if it is active.
    pub active: Option<ActiveSwap>,
}

impl Guest {
    /// Gathers what is to be known of the root at `chroot`.
    ///
    /// # Errors
    /// If `chroot` is no directory, or what is in it may not be looked at.
    pub(crate) fn gather(chroot: &Path) -> Result<Self> {
        let config_of = |tree: &Tree| load(tree.our_directory.as_ref());
        let Looked { tree, image, backing } =
            upper::gather(chroot, None, |tree| config_of(tree).unwrap_or_default())?;
        // mountinfo has absolute paths without symlinks, and so has this.
        let path = tree.root.top().path().unwrap_or_else(|_| chroot.to_owned());
        let mounts = mounts::all_mounts();
        let bound = tree.our_directory.as_ref().and_then(|dir| dir.subdirectory(names::UPPER).ok()?);
        let upper = match &image.root_mount.upper {
            Upper::Bound => bound.as_ref(),
            Upper::Found(_) => tree.upper.as_ref().map(Root::top),
            Upper::Occupied | Upper::Unproved(_) => None,
        };
        let capacity = upper.and_then(capacity);
        let config = config_of(&tree);
        let wanted = config.as_ref().map(|config| config::kept_directories(&config.layers.passthrough));
        let wanted = wanted.unwrap_or_default();
        let visible = Visible { tree: &tree, path: &path, mounts: &mounts, backing: backing.as_ref() };
        let passthrough = visible.passthrough(&wanted);
        let containers_on_overlay = visible.containers_on_overlay();
        let device = config.as_ref().ok().and_then(|config| config.swap_device.device.clone());
        let seen = backing.as_ref().zip(upper);
        let swaps = swap_areas::gather(image.running, seen, &mounts, &tree.root);
        let root = image.root_mount.point.as_ref().and_then(|point| mounts.at(point)).cloned();
        Ok(Self {
            volumes: volumes(&mounts, &path, root.as_ref(), backing.as_ref()),
            lower: root.as_ref().map(Mount::lower_layers).unwrap_or_default(),
            swap_device: device.map(|path| swap_device(&tree.root, path, &swaps)),
            passthrough,
            containers_on_overlay,
            lacking: root.as_ref().map(lacking).unwrap_or_default(),
            config,
            swaps,
            capacity,
            root,
            backing,
            image,
        })
    }
}

/// The configuration of a root that may be a stranger's: read by the directory's descriptor and one name, so that
/// no link that the image puts there in the meantime is followed.
fn load(our_directory: Option<&Dir>) -> std::result::Result<Config, String> {
    let bytes = our_directory.map(|dir| dir.read(names::CONFIG, config::SIZE_CAP)).transpose();
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

/// A feature of overlayfs (Documentation/filesystems/overlayfs.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feature {
    /// One device and lasting inode numbers for all files.
    Xino,
    /// Directories of the image can be renamed.
    RedirectDir,
    /// Hard links of the image stay together.
    Index,
}

/// What a mount does not say of a feature is as the module has it, which says so in /sys.
fn lacking(root: &Mount) -> Vec<Feature> {
    if root.fstype != "overlay" {
        return Vec::new();
    }
    let is_default = |parameter: &str| {
        mounts::read_proc(&format!("/sys/module/overlay/parameters/{parameter}")).starts_with(b"Y")
    };
    let features = [
        (Feature::Xino, "xino", "xino_auto"),
        (Feature::RedirectDir, "redirect_dir", "redirect_dir"),
        (Feature::Index, "index", "index"),
    ];
    let lacks = |(_, name, parameter): &(Feature, &str, &str)| {
        // `xino=auto` may be as good as `on` or not, and the kernel does not say which.
        !root.has_feature(name).unwrap_or_else(|| *name != "xino" && is_default(parameter))
    };
    features.into_iter().filter(lacks).map(|(feature, _, _)| feature).collect()
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

/// What is visible of a guest: its directories, its path, the mounts, and that of its backing filesystem.
struct Visible<'a> {
    tree: &'a Tree,
    path: &'a Path,
    mounts: &'a Mounts,
    backing: Option<&'a Mount>,
}

impl<'a> Visible<'a> {
    /// The mount that stands at a path of the guest's, which is resolved inside of its root: a configured path may
    /// lead through the image's own symlinks.
    fn mount_at(&self, path: &Path) -> Option<&'a Mount> {
        let dir = self.tree.root.directory(path.strip_prefix("/").unwrap_or(path)).ok()??;
        let mount = self.mounts.get(dir.mount().ok()?)?;
        (mount.point == dir.path().ok()?).then_some(mount)
    }

    /// The directories that the configuration names, and those that are there without being named.
    fn passthrough(&self, configured: &[PathBuf]) -> Vec<PassthroughDirectory> {
        let is_native = |mount: &&Mount| self.backing.is_some_and(|backing| backing.device == mount.device);
        let mut all: Vec<PassthroughDirectory> = Vec::new();
        for path in configured {
            all.push(self.mount_at(path).filter(is_native).map_or_else(
                || PassthroughDirectory {
                    path: join(self.path, path),
                    configured: true,
                    bound: false,
                    seeded: false,
                },
                |mount| self.bound(mount, true),
            ));
        }
        let others = self.mounts.iter().filter(is_native).filter(|mount| {
            self.backing.is_some_and(|backing| backing.point != mount.point)
                && mount.point.starts_with(self.path)
        });
        for mount in others {
            if !all.iter().any(|known| known.path == mount.point) {
                all.push(self.bound(mount, false));
            }
        }
        all
    }

    /// Those of the container engines' directories that hold something and are in the root's own mount.
    fn containers_on_overlay(&self) -> Vec<PathBuf> {
        let root = self.tree.root.top().mount().ok();
        let is_used = |path: &&&str| {
            let dir = self.tree.root.directory(path.trim_start_matches('/').as_ref()).ok().flatten();
            dir.is_some_and(|dir| {
                dir.mount().ok() == root && dir.names().is_ok_and(|names| !names.is_empty())
            })
        };
        config::CONTAINERS.iter().filter(is_used).map(PathBuf::from).collect()
    }

    fn bound(&self, mount: &Mount, configured: bool) -> PassthroughDirectory {
        let store = self.backing.and_then(|backing| Some(backing.root.parent()?.join("passthrough")));
        let seeded = store.is_some_and(|store| mount.root.starts_with(store));
        PassthroughDirectory { path: mount.point.clone(), configured, bound: true, seeded }
    }
}

fn join(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The kernel may list a device by another of its names; both are looked up inside the root, whose configuration
/// may be a stranger's.
fn swap_device(root: &Root, path: PathBuf, swaps: &[ListedArea]) -> PlatformSwapDevice {
    let number = |path: &Path| root.find(path).ok()??.device();
    let own = number(&path);
    let is_own = |swap: &&ActiveSwap| {
        !swap.is_file && (swap.path == path || (own.is_some() && number(&swap.path) == own))
    };
    let active = swaps.iter().map(|area| &area.swap).find(is_own).cloned();
    PlatformSwapDevice { path, active }
}
