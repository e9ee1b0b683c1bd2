//! How an image's root is mounted, and where its overlay's upper directory is.
//!
//! A path that mountinfo calls `upperdir` is a rumour: it may not resolve here, may be relative, and may be
//! a name that an image made up. The trick: overlayfs answers stat(2) of the overlay's root from the real
//! upper directory, change time to the nanosecond included, which nobody can set. Only a directory with the
//! same answer, and the same file handle where there are any, is a candidate at all; execute then proves it by a
//! file made through the overlay.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::kernel::mounts::{Mount, mount_of_id};
use crate::paths;
use crate::sys;
use crate::untrusted::inode::Inode;
use crate::untrusted::{Dir, Root};

/// How often two directories are compared, if one changes in between (a running guest's `/`).
const LOOKS: usize = 5;

/// How the image's root is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootMount {
    /// Where the mount is, from this process's root; `None` if mountinfo does not list it.
    pub point: Option<PathBuf>,
    /// The filesystem's type; empty if unknown.
    pub fstype: String,
    /// Whether what is mounted on it appears elsewhere.
    pub shared: bool,
    /// Whether nothing can be written.
    pub read_only: bool,
    /// Whether the image's root is the root of that mount, and not a directory somewhere in it.
    pub whole: bool,
    pub upper: Upper,
}

/// What is known of an overlay's upper directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Upper {
    /// It is mounted at `/.rootfs-shim/upper` already.
    Bound,
    /// Something else is mounted there.
    Occupied,
    /// It is here; if no path leads to it, its device and its path there (`/dev/vdb[/upper]`).
    Found(PathBuf),
    /// It is at none of these paths.
    Unproved(Vec<PathBuf>),
}

/// Where the caller says that upper is; it is proved in any case.
#[derive(Debug, Default)]
pub(crate) enum UpperHint<'a> {
    /// The caller does not say.
    #[default]
    Nothing,
    /// It is this directory of the host's.
    Given(&'a Path),
    /// It is this mount, which is attached nowhere; `shown` is what people read in the place of its path.
    Detached { mount: OwnedFd, shown: PathBuf },
}

impl RootMount {
    pub(crate) fn is_overlay(&self) -> bool {
        self.fstype == "overlay"
    }
}

/// Gathers what is known of the mount that `root` is in; `hint` is where the caller says that upper is.
///
/// # Errors
/// If `/proc/thread-self/mountinfo` cannot be read.
pub(crate) fn gather(
    root: &Root,
    our_directory: Option<&Dir>,
    hint: UpperHint<'_>,
) -> Result<(RootMount, Option<Root>)> {
    let mount = mount_of_id(root.top().mount()?)?;
    let mount = mount.as_ref();
    let path = root.top().path()?;
    let whole = mount.is_some_and(|mount| mount.point == path);
    let is_overlay = whole && mount.is_some_and(|mount| mount.fstype == "overlay");
    let (upper, dir) = if is_overlay || matches!(hint, UpperHint::Given(_)) {
        find_upper(root, our_directory, mount, hint)?
    } else {
        (Upper::Unproved(Vec::new()), None)
    };
    let root_mount = RootMount {
        point: mount.map(|mount| mount.point.clone()),
        fstype: mount.map(|mount| mount.fstype.clone()).unwrap_or_default(),
        shared: mount.is_some_and(|mount| mount.shared),
        read_only: mount.is_some_and(|mount| mount.read_only),
        whole,
        upper,
    };
    Ok((root_mount, dir))
}

fn find_upper(
    root: &Root,
    our_directory: Option<&Dir>,
    mount: Option<&Mount>,
    hint: UpperHint<'_>,
) -> Result<(Upper, Option<Root>)> {
    if let Some(bound) = mounted_at_upper(root, our_directory)? {
        let ours = is_upper_of(root, &bound)?;
        return Ok((if ours { Upper::Bound } else { Upper::Occupied }, None));
    }
    let candidates = match (hint, mount) {
        (UpperHint::Given(given), _) => vec![given.to_owned()],
        (UpperHint::Detached { mount, shown }, _) => {
            let candidate = Root::of_mount(mount, &shown)?;
            return Ok(match is_upper_of(root, candidate.top())? {
                true => (Upper::Found(shown), Some(candidate)),
                false => (Upper::Unproved(vec![shown]), None),
            });
        }
        (UpperHint::Nothing, Some(mount)) => candidates_of(mount),
        (UpperHint::Nothing, None) => Vec::new(),
    };
    for path in &candidates {
        if let Ok(candidate) = Root::of_host(path)
            && is_upper_of(root, candidate.top())?
        {
            return Ok((Upper::Found(path.clone()), Some(candidate)));
        }
    }
    Ok((Upper::Unproved(candidates), None))
}

/// The candidates of a mount that may show only a part of its overlay.
fn candidates_of(mount: &Mount) -> Vec<PathBuf> {
    let below = mount.root.strip_prefix("/").unwrap_or(&mount.root);
    let join = |upper: PathBuf| if below.as_os_str().is_empty() { upper } else { upper.join(below) };
    mount.upper_candidates().into_iter().map(join).collect()
}

/// What is mounted at `/.rootfs-shim/upper`, if anything is.
fn mounted_at_upper(root: &Root, our_directory: Option<&Dir>) -> Result<Option<Dir>> {
    let Some(our_directory) = our_directory else { return Ok(None) };
    let name = paths::UPPER.rsplit('/').next().unwrap_or_default();
    let Some(dir) = our_directory.subdirectory(name)? else { return Ok(None) };
    Ok((dir.mount()? != root.top().mount()?).then_some(dir))
}

/// Whether the overlay's root answers as `candidate` does.
fn is_upper_of(root: &Root, candidate: &Dir) -> Result<bool> {
    for _ in 0..LOOKS {
        let (before, there, after) = (root.top().stat()?, candidate.stat()?, root.top().stat()?);
        let answer = |inode: &Inode| (inode.mode, inode.uid, inode.gid, inode.modified, inode.changed);
        if answer(&before) == answer(&after) {
            let in_other_mount = candidate.mount()? != root.top().mount()?;
            return Ok(in_other_mount
                && answer(&before) == answer(&there)
                && !handles_differ(root, candidate));
        }
    }
    Ok(false)
}

/// Whether the kernel says that they are two: since Linux 6.5 an overlay's root has a file handle, which holds
/// the real upper directory's. Without an answer they may be one.
fn handles_differ(root: &Root, candidate: &Dir) -> bool {
    match (sys::file_handle(root.top().as_fd()), sys::file_handle(candidate.as_fd())) {
        (Ok(outer), Ok(inner)) if !inner.bytes.is_empty() => {
            !outer.bytes.windows(inner.bytes.len()).any(|part| part == inner.bytes)
        }
        _ => false,
    }
}
