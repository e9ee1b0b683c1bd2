//! The same image, and upper as well where the guest has switched its root since the overlay was mounted.
//!
//! In such a guest the paths that mountinfo has for upper lead nowhere, but the filesystem that it is on may be
//! mounted elsewhere, or can be. What is found there is a mount that is attached nowhere, and it is held against the
//! overlay's root as any other candidate is.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::backing::candidates::Candidates;
use crate::backing::reveal;
use crate::config::Config;
use crate::error::Result;
use crate::installer::image::root_mount::{Upper, UpperHint};
use crate::installer::image::tree::Tree;
use crate::installer::image::{self, Image};
use crate::kernel::mounts;
use crate::sys;
use crate::untrusted::Root;

/// Gathers what is in the root at `chroot`; `upper` is where the caller says that upper is, and `config` may name the
/// device that it is on.
///
/// # Errors
/// As [`image::gather`].
pub(crate) fn gather(chroot: &Path, upper: Option<&Path>, config: &Config) -> Result<(Tree, Image)> {
    let hint = upper.map_or(UpperHint::Nothing, UpperHint::Given);
    let (tree, image) = image::gather(Root::open(chroot)?, hint)?;
    let is_lost = matches!(image.root_mount.upper, Upper::Unproved(_));
    let is_own_overlay = image.running && image.root_mount.is_overlay() && image.root_mount.whole;
    if !is_own_overlay || !is_lost || upper.is_some() {
        return Ok((tree, image));
    }
    let mounts = mounts::all_mounts();
    let mount = sys::mount_id(tree.root.top().as_fd()).ok().and_then(|id| mounts.get(id));
    let candidates = mount.map(|mount| Candidates::gather(mount, &mounts, config));
    let found = candidates
        .filter(|candidates| !candidates.is_empty())
        .map(|candidates| reveal::detached(&candidates));
    match found.transpose().ok().flatten().flatten() {
        None => Ok((tree, image)),
        Some(upper) => {
            let source = mount.map(|mount| PathBuf::from(&mount.source)).unwrap_or_default();
            image::gather(Root::open(chroot)?, UpperHint::Detached { mount: upper, source })
        }
    }
}
