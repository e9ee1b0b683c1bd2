//! A machine or an image as `status` sees it: the tree, the layers below it, active swap, volumes.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::sys::statvfs::statvfs;

use crate::config::{self, Config};
use crate::error::Result;
use crate::paths::{self, BackingPath, OverlayPath};
use crate::root::{Dir, Root};
use crate::sys;
use crate::world::image::{self, Image};
use crate::world::layer::{Hint, Upper};
use crate::world::mountinfo::{Mount, Mounts};
use crate::world::swaps::Swap;
use crate::world::{self, files};

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
    /// Whether this is the root of the process that looks.
    pub running: bool,
    /// Active swap areas of this machine; not all are this root's.
    pub swaps: Vec<Area>,
    /// Other filesystems on disks, visible below this root.
    pub volumes: Vec<Mount>,
    /// Directories kept on the backing filesystem.
    pub passthrough: Vec<PathBuf>,
    /// What the configuration says, or why it says nothing.
    pub config: std::result::Result<Config, String>,
}

/// An active swap area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// As the kernel lists it.
    pub swap: Swap,
    /// Where it lies, if it is a file of this root's overlay.
    pub backing: Option<BackingPath>,
    /// Whether it is this root's: such a file, or one or a device that the running root shows. The kernel's list is
    /// of the whole machine, and the names in it are each guest's own.
    pub of_this_root: bool,
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
        let (tree, image) = image::look(root, Hint::Nothing)?;
        let upper = place.join(paths::UPPER.trim_start_matches('/'));
        let mounts = world::all_mounts();
        let backing = mounts.at(&upper).cloned();
        let space = statvfs(&upper).ok().filter(|_| backing.is_some());
        let capacity = space.map(|space| {
            let size = space.blocks() * space.fragment_size();
            Capacity { size, used: size - space.blocks_free() * space.fragment_size() }
        });
        let seen = match &image.layer.upper {
            Upper::Bound => Some(upper.as_path()),
            Upper::Found(path) => Some(path.as_path()),
            Upper::Occupied | Upper::Unproved(_) => None,
        };
        let swaps = swaps(running, seen, &mounts);
        let root = image.layer.point.as_ref().and_then(|point| mounts.at(point)).cloned();
        Ok(Self {
            volumes: volumes(&mounts, &place, root.as_ref(), backing.as_ref()),
            passthrough: passthrough(&mounts, &place, backing.as_ref(), &upper),
            config: load(tree.home.as_ref()),
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
    let bytes = home.map(|home| home.read(image::CONFIG, config::SIZE_CAP)).transpose();
    let bytes = bytes.map_err(|error| error.to_string())?.flatten();
    bytes
        .map_or_else(|| Ok(Config::default()), |bytes| Config::parse(&bytes))
        .map_err(|error| error.to_string())
}

fn swaps(running: bool, upper: Option<&Path>, mounts: &Mounts) -> Vec<Area> {
    let all = world::active_swaps();
    let upper = upper.and_then(|path| Some((path, files::open_path(path).ok()?)));
    let mut known = Vec::new();
    let backing = |swap: &Swap| {
        let (point, dir) = upper.as_ref().filter(|_| swap.is_file)?;
        let paths = [below(&swap.path, point, mounts), OverlayPath::parse(&swap.path)];
        let path = paths.into_iter().flatten().find(|path| is_area(dir, path, swap, &all, &mut known))?;
        Some(path.on(point))
    };
    let backing: Vec<_> = all.iter().map(backing).collect();
    let area = |(swap, backing): (Swap, Option<BackingPath>)| {
        let shown = || !swap.is_file || files::open_path(&swap.path).is_ok_and(|file| is_active(&file));
        Area { of_this_root: backing.is_some() || (running && shown()), swap, backing }
    };
    all.iter().cloned().zip(backing).map(area).collect()
}

/// The path within upper of an area that is listed by another path to the backing filesystem.
fn below(listed: &Path, upper: &Path, mounts: &Mounts) -> Option<OverlayPath> {
    let in_filesystem = |path: &Path| {
        let location = files::locate(path).ok()?;
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
    let Ok(fd) = files::open_beneath(dir, path, OFlag::O_PATH) else { return false };
    let active = is_active(&fd);
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

/// Whether a file is an active swap area: the kernel refuses to allocate space in one with ETXTBSY, and says so
/// before it looks at the range, which is one that no file can have. So nothing changes in either case.
fn is_active(file: &impl AsFd) -> bool {
    let is_file = file.as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
    if !is_file.is_ok_and(|meta| meta.is_file()) {
        return false;
    }
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = File::options().write(true).custom_flags(flags).open(sys::proc_path(file));
    file.is_ok_and(|file| {
        fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, i64::MAX, 1) == Err(Errno::ETXTBSY)
    })
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
