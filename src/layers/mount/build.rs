//! Putting the overlay root together and taking it down.
//!
//! Everything is mounted on a tmpfs over the target, in a thread with mounts of its own,
//! and the finished tree, overlay, visible upper directory and directories that are passed through, is attached to the target
//! by one call. Before that call nobody sees anything; after it everything is there. The layers' own mounts
//! go with the thread: the overlay holds private clones of them.
#![expect(
    clippy::disallowed_methods,
    reason = "the init's own devices and layers, in a namespace of our own"
)]

use std::ffi::{CStr, OsStr, OsString};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate, open};
use nix::mount::{MntFlags, MsFlags, mount as mount2, umount2};
use nix::sys::stat::Mode;

use crate::error::{Attempt, Error, Kind, Result};
use crate::kernel::namespace::in_private_namespace;
use crate::kernel::places::directory;
use crate::layers::device::{self, Attached};
use crate::layers::mount::plan::{LayerForm, MountPlan, PlannedLayer};
use crate::layers::mount::{copy_tree, passthrough};
use crate::layers::reset::pending::{self, Pending};
use crate::layers::reset::plan::Discard;
use crate::layers::reset::renew;
use crate::layers::writable::{self, ASIDE, READY, STATE_FILE};
use crate::sys;
use crate::sys::block::Access;

/// What happens to a finished root before anybody sees it; its argument is where it stands for now.
pub(crate) type Finish<'a> = dyn FnMut(&Path) -> Result<()> + Send + 'a;
/// Told while a directory is copied from the image: which, bytes done, bytes in all.
pub type Progress<'a> = dyn FnMut(&Path, u64, u64) + Send + 'a;

/// What is told of a root that stands.
#[derive(Debug)]
pub(crate) struct Mounted {
    /// What df shows as its source.
    pub source: OsString,
    /// Work that may be done later, each by whom the caller likes.
    pub pending: Vec<Pending>,
}

/// Beside overlayfs's own temporary files, which go with a reset.
const RESERVE: &str = "work/rootfs-shim-reserve";

struct Built {
    tree: OwnedFd,
    backing: OwnedFd,
    source: OsString,
    old: Vec<PathBuf>,
}

/// Carries out a plan.
///
/// # Errors
/// The step and the path that failed; nothing is mounted then.
pub(crate) fn mount(
    plan: &MountPlan,
    progress: &mut Progress<'_>,
    finish: &mut Finish<'_>,
) -> Result<Mounted> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let target = open(&plan.target, flags, Mode::empty()).attempt("open the target", &plan.target)?;
    let mut pending = Vec::new();
    if let Some(reset) = &plan.reset {
        rehearse(plan)?;
        pending.extend(renew::renew(reset)?);
    }
    if let Some(key) = &plan.trimming {
        pending::stop(key);
    }
    let built = in_private_namespace(|| build(plan, progress, finish))?;
    sys::attach_mount(built.tree.as_fd(), target.as_fd()).attempt("mount the root at", &plan.target)?;
    let renewed = plan.reset.as_ref().filter(|reset| reset.discard != Discard::Never);
    let device = !matches!(plan.writable.form, LayerForm::Directory { .. });
    if let Some(key) = renewed.map(|reset| &reset.key).or(plan.trimming.as_ref()).filter(|_| device) {
        pending.push(Pending::trim(built.backing, key));
    }
    if pending.is_empty() {
        pending.extend(Pending::delete(built.old));
    }
    Ok(Mounted { source: built.source, pending })
}

fn build(plan: &MountPlan, progress: &mut Progress<'_>, finish: &mut Finish<'_>) -> Result<Built> {
    let scaffold = std::path::absolute(&plan.target).attempt("find", &plan.target)?;
    // All sources are opened before the scaffold can hide one of them, and before the directory changes.
    let lower = open_lower(&plan.lower)?;
    let writable = OpenLayer::open(&plan.writable, Access::Writable)?;
    let names = raise_scaffold(&scaffold, plan, &lower)?;
    writable.mount("w")?;
    let image = names.first().map_or(Path::new(""), Path::new);
    let old = lay_out(Path::new("w"), image)
        .and_then(|old| passthrough::clear(Path::new("w")).map(|()| old))
        .map_err(|error| at_layer(error, &plan.writable))?;
    let source = plan.source_name.clone().unwrap_or_else(|| writable.name());
    overlay(plan, &names.join(":"), &source)?;
    let root = scaffold.join("root");
    for path in &plan.passthrough {
        passthrough::pass_through(&root, &scaffold.join("w"), path, &mut |done, total| {
            progress(path, done, total)
        })?;
    }
    // Over the scaffold, so that what it says of a path is true of the target's.
    let whole = sys::clone_all(directory(&root)?.as_fd()).attempt("take the root out of", &root)?;
    sys::attach_mount(whole.as_fd(), directory(&scaffold)?.as_fd())
        .attempt("mount the root on", &scaffold)?;
    finish(&scaffold)?;
    reserve(Path::new("w"));
    let tree = sys::clone_all(directory(&scaffold)?.as_fd()).attempt("take the root out of", &scaffold)?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let backing = open("w", flags, Mode::empty()).attempt("open", &plan.writable.path)?;
    let old = old.into_iter().filter_map(|name| Some(plan.writable.path.join(name.file_name()?))).collect();
    Ok(Built { tree, backing, source, old })
}

/// Tries what a reset cannot undo: a root that will not stand for its image's sake costs no layer.
fn rehearse(plan: &MountPlan) -> Result<()> {
    in_private_namespace(|| {
        let scaffold = std::path::absolute(&plan.target).attempt("find", &plan.target)?;
        raise_scaffold(&scaffold, plan, &open_lower(&plan.lower)?).map(drop)
    })
}

fn open_lower(lower: &[PlannedLayer]) -> Result<Vec<OpenLayer>> {
    lower.iter().map(|layer| OpenLayer::open(layer, Access::ReadOnly)).collect()
}

/// Mounts the lower layers on a tmpfs, which is the working directory from then on; their names there.
fn raise_scaffold(scaffold: &Path, plan: &MountPlan, lower: &[OpenLayer]) -> Result<Vec<String>> {
    mount2(Some("none"), scaffold, Some("tmpfs"), MsFlags::empty(), Some("mode=0700,size=1m"))
        .attempt("mount a tmpfs over", scaffold)?;
    std::env::set_current_dir(scaffold).attempt("enter", scaffold)?;
    let names = names(&plan.lower);
    for (name, layer) in names.iter().zip(lower) {
        layer.mount(name)?;
    }
    Ok(names)
}

/// A path on the scaffold means nothing to the reader; the layer's does.
fn at_layer(error: Error, layer: &PlannedLayer) -> Error {
    let inside = error.path().and_then(|path| path.strip_prefix("w").ok());
    let path = inside.map_or_else(|| layer.path.clone(), |inside| layer.path.join(inside));
    error.at(path)
}

/// A layer, opened, that is to be mounted on the scaffold.
enum OpenLayer {
    /// A clone of the mount that a directory is in, and that mount's own source.
    Clone {
        mount: OwnedFd,
        path: PathBuf,
        source: OsString,
    },
    Filesystem {
        path: PathBuf,
        attached: Attached,
        kind: &'static str,
        access: Access,
    },
}

impl OpenLayer {
    fn open(layer: &PlannedLayer, access: Access) -> Result<Self> {
        let path = std::path::absolute(&layer.path).attempt("find", &layer.path)?;
        match &layer.form {
            LayerForm::Filesystem { storage, kind } => {
                let attached = Attached::attach(&path, *storage, access)?;
                Ok(Self::Filesystem { path: layer.path.clone(), attached, kind, access })
            }
            LayerForm::Directory { source } => {
                let mount = sys::clone_mount(directory(&path)?.as_fd()).attempt("open_tree", &path)?;
                Ok(Self::Clone { mount, path, source: source.clone() })
            }
        }
    }

    fn mount(&self, point: &str) -> Result<()> {
        fs::create_dir(point).attempt("make", point)?;
        match self {
            Self::Clone { mount, path, .. } => {
                sys::attach_mount(mount.as_fd(), directory(Path::new(point))?.as_fd())
                    .attempt("bind the layer", path)
            }
            Self::Filesystem { path, attached, kind, access } => {
                let flags = if *access == Access::ReadOnly { MsFlags::MS_RDONLY } else { MsFlags::empty() };
                let options = options(kind, *access);
                mount2(Some(&attached.device), point, Some(*kind), flags, options).map_err(|errno| {
                    // The loop device of an image is gone by the time that somebody reads this.
                    let error = Error::system(format!("mount ({kind}) the layer"), path, errno);
                    error.remedy(remedy(errno, kind, *access))
                })
            }
        }
    }

    /// What df is to show.
    fn name(&self) -> OsString {
        match self {
            Self::Clone { source, .. } => source.clone(),
            Self::Filesystem { attached, .. } => attached.device.clone().into(),
        }
    }
}

/// What helps when the kernel does not mount a layer.
fn remedy(errno: Errno, kind: &str, access: Access) -> String {
    match (errno, access) {
        (Errno::ENODEV, _) => format!("the kernel has no {kind} filesystem: modprobe {kind}"),
        (Errno::EACCES | Errno::EROFS, Access::Writable) => {
            "it is read-only; blockdev --setrw makes it writable".to_owned()
        }
        (_, Access::ReadOnly) => LOG.to_owned(),
        (_, Access::Writable) => format!("{LOG}; a reset makes it new"),
    }
}

/// mount(2) has one number for many reasons.
const LOG: &str = "the kernel's log (dmesg) may say why";

/// A lower layer is never written, and a journal's replay would write it; clones of one xfs have one UUID.
fn options(kind: &str, access: Access) -> Option<&'static str> {
    match (kind, access) {
        ("ext4", Access::ReadOnly) => Some("noload"),
        ("xfs", Access::ReadOnly) => Some("norecovery,nouuid"),
        ("btrfs", Access::ReadOnly) => Some("rescue=nologreplay"),
        (_, Access::ReadOnly) => None,
        (_, Access::Writable) => device::writable_options(kind),
    }
}

/// Gives the upper directory all that the image's root has: it is what the guest's `/` shows of itself. Without the
/// label of a security module, say, nothing may enter it.
fn dress(upper: &Path, image: &Path) -> Result<()> {
    let meta = fs::metadata(image).attempt("stat", image)?;
    let [from, to] = [image, upper].map(|path| fs::File::open(path).attempt("open", path));
    let (from, to) = (from?, to?);
    std::os::unix::fs::fchown(&to, Some(meta.uid()), Some(meta.gid())).attempt("chown", upper)?;
    // An image's root that was an upper directory once says so in overlayfs's own attributes.
    let concerns = |name: &CStr| {
        copy_tree::is_everywhere(name.to_bytes()) && !name.to_bytes().starts_with(b"trusted.overlay.")
    };
    sys::xattr::copy_those(from.as_fd(), to.as_fd(), concerns)
        .attempt("copy the attributes of the image's root to", upper)?;
    to.set_permissions(fs::Permissions::from_mode(meta.mode() & 0o7777)).attempt("chmod", upper)?;
    let times = meta.modified().map(|modified| {
        let times = fs::FileTimes::new().set_modified(modified);
        meta.accessed().map_or(times, |accessed| times.set_accessed(accessed))
    });
    times.and_then(|times| to.set_times(times)).attempt("set the times of", upper)
}

/// Makes what is missing of a writable layer, the state file last, and names what earlier resets left to delete.
fn lay_out(layer: &Path, image: &Path) -> Result<Vec<PathBuf>> {
    let upper = layer.join("upper");
    if make_dir(&upper, 0o755)? {
        dress(&upper, image)?;
    }
    make_dir(&layer.join("work"), 0o700)?;
    make_dir(&layer.join("passthrough"), 0o700)?;
    let _ = fs::remove_dir_all(layer.join(RESERVE));
    // A layer that its guest has filled is mounted all the same: nothing is written that is there.
    if !fs::read(layer.join(STATE_FILE)).is_ok_and(|state| state == READY) {
        writable::write_state(layer, READY)?;
    }
    let mut old = Vec::new();
    for entry in fs::read_dir(layer).attempt("read", layer)?.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(ASIDE.as_bytes()) {
            old.push(entry.path());
        }
    }
    Ok(old)
}

/// Keeps what the next mount needs, should the guest fill the layer: overlayfs makes a directory and some files,
/// and install may have a new program to put there. There may be no room for it, and then there is none.
fn reserve(layer: &Path) {
    const FILES: usize = 8;
    const MOST: u64 = 4 << 20;
    let dir = layer.join(RESERVE);
    let Ok(space) = nix::sys::statvfs::statvfs(layer) else { return };
    let size = (space.blocks() * space.fragment_size() / 512).min(MOST);
    let _ = fs::create_dir(&dir);
    for number in 0..FILES {
        let Ok(file) = fs::File::create(dir.join(number.to_string())) else { return };
        if number == 0 {
            let _ = fallocate(&file, FallocateFlags::empty(), 0, i64::try_from(size).unwrap_or(0));
        }
    }
}

/// Whether it had to be made.
fn make_dir(path: &Path, mode: u32) -> Result<bool> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
                return Ok(false);
            }
            Err(Error::new(Kind::State, "use", "it is no directory").at(path))
        }
        other => other.attempt("make", path).map(|()| true),
    }
}

/// Where the lower layers stand on the scaffold, which is what the mount table will name them by for good: a number,
/// and of the layer's own name what needs no escaping, as far as one page holds the options.
fn names(lower: &[PlannedLayer]) -> Vec<String> {
    const ROOM: usize = 3000;
    let most = (ROOM / lower.len().max(1)).saturating_sub(4).min(32);
    let name = |(at, layer): (usize, &PlannedLayer)| {
        let own = layer.path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let own: String = own.iter().copied().filter(plain).take(most).map(char::from).collect();
        format!("{at}-{own}").trim_end_matches('-').to_owned()
    };
    lower.iter().enumerate().map(name).collect()
}

/// What makes everyday programs right: one device and lasting inode numbers for the whole tree, directories of the image
/// that can be renamed, hard links of the image that stay together. Each is said, for what is left out is as the
/// kernel was built or its module loaded. Where a layer's filesystem cannot serve one, the kernel goes on without it,
/// says so in its log, and `status` says what that costs (Documentation/filesystems/overlayfs.rst).
const FEATURES: &str = "index=on,xino=on,redirect_dir=on,metacopy=off,nfs_export=off";

/// The next best, where a kernel refuses the mount for the sake of one of them.
const NO_FEATURES: &str = "index=off,xino=auto,redirect_dir=off,metacopy=off,nfs_export=off";

fn overlay(plan: &MountPlan, lower: &str, source: &OsString) -> Result<()> {
    fs::create_dir("root").attempt("make", "root")?;
    let volatile = if plan.volatile { ",volatile" } else { "" };
    let with = |features: &str| {
        let options = format!("{features},lowerdir={lower},upperdir=w/upper,workdir=w/work{volatile}");
        mount2(Some(source.as_os_str()), "root", Some("overlay"), MsFlags::empty(), Some(options.as_str()))
    };
    let mounted = match with(FEATURES) {
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => with(NO_FEATURES),
        other => other,
    };
    let path = &plan.writable.path;
    match mounted {
        Err(_) if Path::new("w/work/work/incompat/volatile").exists() => {
            let reason = "the layer was used volatile and not reset since, so nothing in it can be trusted";
            Err(Error::new(Kind::State, "mount the overlay over", reason).at(path).remedy("add --reset"))
        }
        Err(errno) => Err(Error::system("mount the overlay over", path, errno).remedy(match errno {
            Errno::ENODEV => "the kernel has no overlay filesystem: modprobe overlay",
            Errno::ELOOP => "two of the layers are one, or inside each other",
            Errno::ESTALE => {
                "the layer was used with another image, and its files belong to that one: add --reset"
            }
            _ => LOG,
        })),
        // overlayfs goes on without a work directory that it can use, but nothing can be written then.
        Ok(()) if is_read_only("root") => {
            let error = Error::new(Kind::State, "mount the overlay over", "it came up read-only").at(path);
            Err(error.remedy(format!("{LOG}; a reset makes the layer new")))
        }
        Ok(()) => Ok(()),
    }
}

fn is_read_only(path: &str) -> bool {
    use nix::sys::statvfs::{FsFlags, statvfs};
    statvfs(path).is_ok_and(|space| space.flags().contains(FsFlags::ST_RDONLY))
}

/// Takes the mounts at these points down, in this order. If one is busy, those before it are put back: a
/// detached clone of each is held until all are gone.
///
/// # Errors
/// EBUSY and what else umount2(2) says, for the first that did not go.
pub(crate) fn unmount(points: &[PathBuf]) -> Result<()> {
    let mut gone: Vec<(&PathBuf, OwnedFd)> = Vec::new();
    for point in points {
        let step = || {
            let clone = sys::clone_mount(directory(point)?.as_fd()).attempt("open_tree", point)?;
            umount2(point, MntFlags::UMOUNT_NOFOLLOW).attempt("unmount", point)?;
            Ok(clone)
        };
        match step() {
            Ok(clone) => gone.push((point, clone)),
            Err(error) => {
                while let Some((point, clone)) = gone.pop() {
                    sys::attach_mount(clone.as_fd(), directory(point)?.as_fd())
                        .attempt("put back the mount at", point)?;
                }
                return Err(error);
            }
        }
    }
    Ok(())
}
