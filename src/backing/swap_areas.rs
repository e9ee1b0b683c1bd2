//! Which of the machine's active swap areas are a root's own, and where they lie in its upper directory.
//!
//! `/proc/swaps` is of the whole machine, and each path in it is in the words of whoever enabled the area, so a
//! name proves nothing. A file of a root counts if the file at that name in *its* upper directory is active.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::kernel::mounts::{Mount, Mounts};
use crate::kernel::places;
use crate::paths::{self, BackingPath, OverlayPath};
use crate::swap::active::{self, ActiveSwap};
use crate::swap::fallback::{self, FallbackDevice};
use crate::untrusted::{Dir, Root};

/// An active swap area, and what it has to do with a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedArea {
    /// As the kernel lists it.
    pub swap: ActiveSwap,
    /// Its path in this root, if it is a file of this root's overlay.
    pub overlay: Option<OverlayPath>,
    /// Where that lies on the backing filesystem.
    pub backing: Option<BackingPath>,
    /// The device, if it stands in for a file of this root's.
    pub stands_in: Option<PathBuf>,
    /// Whether it is this root's: such a file, such a device, or whatever file or device the running root shows. The
    /// kernel's list is of the whole machine, and the names in it are each guest's own.
    pub of_this_root: bool,
}

/// Every active area; `upper` is the root's upper directory, and the mount that shows it or would; `running` whether the
/// root is this process's own.
pub(crate) fn gather(
    running: bool,
    upper: Option<(&Mount, &Dir)>,
    mounts: &Mounts,
    root: &Root,
) -> Vec<ListedArea> {
    let all = active::active_swaps();
    let fallbacks = fallback::look(&all);
    let upper = upper.and_then(|(mount, dir)| Some((mount, dir.as_fd().try_clone_to_owned().ok()?)));
    let mut known = Vec::new();
    let overlay = |swap: &ActiveSwap| {
        let (mount, dir) = upper.as_ref().filter(|_| swap.is_file)?;
        let paths = [below(&swap.path, mount, mounts), OverlayPath::parse(&swap.path)];
        paths.into_iter().flatten().find(|path| is_area(dir, path, swap, &all, &mut known))
    };
    let overlay: Vec<_> = all.iter().map(overlay).collect();
    let area = |(swap, overlay): (ActiveSwap, Option<OverlayPath>)| {
        let backing = overlay.as_ref().zip(upper.as_ref()).map(|(path, (mount, _))| path.on(&mount.point));
        let shown =
            || !swap.is_file || places::open_path(&swap.path).is_ok_and(|file| active::is_active(&file));
        let stands_in = fallback_device(&swap, &fallbacks, running, root);
        let ours = backing.is_some() || stands_in.is_some();
        ListedArea { of_this_root: ours || (running && shown()), swap, overlay, backing, stands_in }
    };
    all.iter().cloned().zip(overlay).map(area).collect()
}

/// The device that is listed by the name of a file of this root's. The file may be gone; the running root's shim
/// disables the device all the same.
fn fallback_device(
    swap: &ActiveSwap,
    fallbacks: &[FallbackDevice],
    running: bool,
    root: &Root,
) -> Option<PathBuf> {
    let named = fallbacks.iter().filter(|area| !swap.is_file && area.name == swap.path);
    let file = root.find(swap.path.strip_prefix("/").ok()?).ok().flatten().map(|found| found.inode.id);
    let mut ours = named.filter(|area| running || file.is_some_and(|id| area.file.is(id.dev, id.ino)));
    ours.next().map(|area| area.path.clone())
}

/// The path within upper of an area that is listed by another path to the backing filesystem.
fn below(listed: &Path, upper: &Mount, mounts: &Mounts) -> Option<OverlayPath> {
    let location = places::locate(listed).ok()?;
    let mount = mounts.get(location.mount).filter(|mount| mount.device == upper.device)?;
    let file = paths::inside(&mount.root, &mount.point, &location.path)?;
    let relative = file.as_path().strip_prefix(&upper.root).ok()?;
    OverlayPath::parse(Path::new("/").join(relative))
}

/// Whether the file at `path` in upper is the area `swap`. Other guests' areas may be listed by the same name;
/// that this file is an active one the kernel says, and which of the entries is its own, the size.
fn is_area(
    dir: &OwnedFd,
    path: &OverlayPath,
    swap: &ActiveSwap,
    all: &[ActiveSwap],
    known: &mut Vec<(u64, u64)>,
) -> bool {
    let Ok(fd) = places::open_beneath(dir, path, OFlag::O_PATH) else { return false };
    let active = active::is_active(&fd);
    let Ok(meta) = File::from(fd).metadata() else { return false };
    let id = (meta.dev(), meta.ino());
    let gap = |one: &ActiveSwap| meta.len().checked_sub(one.size.saturating_mul(1024));
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
