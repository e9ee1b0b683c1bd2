//! What is in a root, and its overlay's upper directory also where no path leads to it.
//!
//! After a switch of the root, and on a layer that `mount` built, the paths that mountinfo has for upper lead nowhere;
//! and nothing in the tree does, so that nobody comes to the files behind the overlay's back. But the filesystem that
//! upper is on has a device. What is found on it is a mount that is attached nowhere, and it is held against the
//! overlay's root as any other candidate is.

use std::os::fd::AsFd;
use std::path::Path;

use crate::backing::candidates::Candidates;
use crate::backing::reveal::{self, UnattachedUpper};
use crate::config::Config;
use crate::error::{Attempt, Result};
use crate::installer::image::root_mount::{Upper, UpperHint};
use crate::installer::image::tree::Tree;
use crate::installer::image::{self, Image};
use crate::kernel::mounts::{self, Mount, Mounts};
use crate::untrusted::Root;
use crate::{paths, sys};

/// A root that was looked at.
pub(crate) struct Looked {
    pub tree: Tree,
    pub image: Image,
    /// The mount that shows the upper directory, or what [`UnattachedUpper`] has in the place of one; if it was found.
    pub backing: Option<Mount>,
}

/// Gathers what is in the root at `chroot`; `upper` is where the caller says that upper is, and the configuration may
/// name the device that it is on.
///
/// # Errors
/// As [`image::gather`].
pub(crate) fn gather(
    chroot: &Path,
    upper: Option<&Path>,
    config: impl FnOnce(&Tree) -> Config,
) -> Result<Looked> {
    let hint = upper.map_or(UpperHint::Nothing, UpperHint::Given);
    let (tree, image) = image::gather(Root::open(chroot)?, hint)?;
    let mounts = mounts::all_mounts();
    let backing = visible(&image, &mounts);
    let is_lost = matches!(image.root_mount.upper, Upper::Unproved(_));
    let is_overlay = image.root_mount.is_overlay() && image.root_mount.whole;
    if !is_overlay || !is_lost || upper.is_some() {
        return Ok(Looked { tree, image, backing });
    }
    let mount = sys::mount_id(tree.root.top().as_fd()).ok().and_then(|id| mounts.get(id));
    let Some(mount) = mount else { return Ok(Looked { tree, image, backing }) };
    let top = tree.root.top().as_fd().try_clone_to_owned().attempt("keep open", chroot)?;
    let candidates = Candidates::gather(top, mount, &config(&tree));
    // Without a namespace of its own the look ends here, as where nothing is found.
    let Some(UnattachedUpper { mount, shown }) = reveal::unseen(&candidates).ok().flatten() else {
        return Ok(Looked { tree, image, backing });
    };
    let hint = UpperHint::Detached { mount, shown: shown.point.clone() };
    let (tree, image) = image::gather(Root::open(chroot)?, hint)?;
    let is_found = matches!(image.root_mount.upper, Upper::Found(_));
    Ok(Looked { tree, image, backing: Some(shown).filter(|_| is_found) })
}

/// The mount that shows upper to everybody, or to who mounted the overlay.
fn visible(image: &Image, mounts: &Mounts) -> Option<Mount> {
    match &image.root_mount.upper {
        Upper::Bound => mounts.at(&image.root.join(paths::UPPER.trim_start_matches('/'))).cloned(),
        Upper::Found(path) => reveal::mount_at(path, mounts),
        Upper::Occupied | Upper::Unproved(_) => None,
    }
}
