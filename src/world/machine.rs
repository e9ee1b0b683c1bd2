//! A machine or an image as `status` sees it: the tree, the layers below it, active swap, volumes.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::config::Config;
use crate::error::Result;
use crate::paths::{self, BackingPath};
use crate::root::Root;
use crate::sys;
use crate::world::image::{self, Image};
use crate::world::layer::Hint;
use crate::world::mountinfo::{Mount, Mounts};
use crate::world::swaps::Swap;
use crate::world::{self, Backing, Scope, World};

/// The facts that `status` prints.
#[derive(Debug)]
pub struct Machine {
    /// The tree: tools, manifest, layer.
    pub image: Image,
    /// The mount at the root, if the root is where something is mounted.
    pub root: Option<Mount>,
    /// The mount at `/.rootfs-shim/upper`.
    pub backing: Option<Mount>,
    /// Of the backing filesystem.
    pub capacity: Option<Capacity>,
    /// Active swap areas of this machine, with the backing path of each file of this root.
    pub swaps: Vec<(Swap, Option<BackingPath>)>,
    /// Other filesystems on disks, visible below this root.
    pub volumes: Vec<Mount>,
    /// Directories kept on the backing filesystem.
    pub passthrough: Vec<PathBuf>,
    /// What the configuration says, or why it says nothing.
    pub config: std::result::Result<Config, String>,
}

/// In bytes.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Of the whole filesystem.
    pub size: u64,
    /// That are in use.
    pub used: u64,
}

impl Machine {
    /// Looks at the root at `chroot`.
    ///
    /// # Errors
    /// If `chroot` is no directory, or what is in it may not be looked at.
    pub fn look(chroot: &Path) -> Result<Self> {
        let root = Root::open(chroot)?;
        let running = root.top().stat()?.id == Root::open(Path::new("/"))?.top().stat()?.id;
        // mountinfo has absolute paths without symlinks, and so has this.
        let place = fs::read_link(sys::proc_path(root.top())).unwrap_or_else(|_| chroot.to_owned());
        let (_tree, image) = image::look(root, Hint::Nothing)?;
        let upper = place.join(paths::UPPER.trim_start_matches('/'));
        let mounts = world::all_mounts();
        let backing = mounts.at(&upper).cloned();
        let space = statvfs(&upper).ok().filter(|_| backing.is_some());
        let capacity = space.map(|space| {
            let size = space.blocks() * space.fragment_size();
            Capacity { size, used: size - space.blocks_free() * space.fragment_size() }
        });
        let root = image.layer.point.as_ref().and_then(|point| mounts.at(point)).cloned();
        Ok(Self {
            volumes: volumes(&mounts, &place, root.as_ref(), backing.as_ref()),
            passthrough: passthrough(&mounts, &place, backing.as_ref(), &upper),
            config: load(&place.join(paths::CONFIG.trim_start_matches('/'))),
            swaps: swaps(running),
            capacity,
            root,
            backing,
            image,
        })
    }
}

/// The configuration of a root that may be a stranger's: its directory was opened by `image::look`, which
/// refuses one that is not root's alone.
fn load(path: &Path) -> std::result::Result<Config, String> {
    Config::load(path).map(Option::unwrap_or_default).map_err(|error| error.to_string())
}

fn swaps(running: bool) -> Vec<(Swap, Option<BackingPath>)> {
    let scope = Scope { active: running, ..Scope::default() };
    let world = World::gather(&[], &scope);
    let backing = |at: usize| {
        let location = &world.active.get(at)?.file()?.location;
        let Backing::Mounted(upper) = &world.backing else { return None };
        world.overlay_path(location).map(|path| path.on(&upper.point))
    };
    let found: Vec<_> = (0..world.swaps.len()).map(backing).collect();
    world.swaps.into_iter().zip(found).collect()
}

fn volumes(mounts: &Mounts, chroot: &Path, root: Option<&Mount>, backing: Option<&Mount>) -> Vec<Mount> {
    let known = |mount: &Mount| {
        [root, backing].into_iter().flatten().any(|one| one.device == mount.device) || mount.point == chroot
    };
    let on_disk = |mount: &&Mount| mount.device.major != 0 || mount.fstype == "btrfs";
    let below = mounts.iter().filter(|mount| mount.point.starts_with(chroot));
    below.filter(on_disk).filter(|mount| !known(mount)).cloned().collect()
}

fn passthrough(mounts: &Mounts, chroot: &Path, backing: Option<&Mount>, upper: &Path) -> Vec<PathBuf> {
    let Some(backing) = backing else { return Vec::new() };
    let same = mounts.iter().filter(|mount| mount.device == backing.device && mount.point != upper);
    same.filter(|mount| mount.point.starts_with(chroot)).map(|mount| mount.point.clone()).collect()
}
