//! The directories of the guest that are passed through to the backing filesystem.
//!
//! The image is not trusted: a path of the guest is resolved inside its root (openat2, RESOLVE_IN_ROOT),
//! where an absolute symlink cannot lead out, and `/.rootfs-shim` may be a directory only.
//!
//! A directory that only leads to one of those has a mode that no image gives: should somebody ask for that one
//! itself one day, it is known for what it is, no copy of the image's.
#![expect(
    clippy::disallowed_methods,
    reason = "the writable layer, which is ours, in a namespace of our own"
)]

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, mkdirat};

use crate::error::{Attempt, Error, Kind, Result};
use crate::kernel::places::directory;
use crate::layers::mount::copy_tree;
use crate::sys;

/// Where a copy of the image's directory grows: beside overlayfs's own temporary files, which go with a reset.
const COPY: &str = "work/rootfs-shim-seed";
/// The mode of a directory that only leads to others which are passed through.
const WAY_MODE: u32 = 0o1000;

/// Passes `path` of the guest through to the backing filesystem: its directory there is copied from the image if
/// there is none yet, and bound in place. `layer` is the writable layer.
///
/// # Errors
/// The step and the guest's path.
pub(crate) fn pass_through(
    root: &Path,
    layer: &Path,
    path: &Path,
    progress: &mut copy_tree::CopyProgress<'_>,
) -> Result<()> {
    let point = in_root(&directory(root)?, path)?;
    let store = layer.join("passthrough");
    let stored = store.join(path.strip_prefix("/").unwrap_or(path));
    no_links(&store, path)?;
    match fs::symlink_metadata(&stored) {
        Ok(meta) if meta.mode() & 0o7777 == WAY_MODE => {
            let reason = "this layer keeps only directories below it, which came from the image one by one";
            let error = Error::new(Kind::State, "keep on the backing filesystem", reason).at(path);
            return Err(error.remedy("reset the layer, or name those directories"));
        }
        Ok(meta) if meta.is_dir() => {}
        _ => copy_from_image(layer, &store, &stored, &point, path, progress)?,
    }
    bind(&stored, &point, path)
}

/// Fills `stored`, below `store`, with what the image has at `point`. It grows under another name, so that it is there
/// whole or not at all.
fn copy_from_image(
    layer: &Path,
    store: &Path,
    stored: &Path,
    point: &OwnedFd,
    path: &Path,
    progress: &mut copy_tree::CopyProgress<'_>,
) -> Result<()> {
    let parent = stored.parent().unwrap_or(store);
    fs::DirBuilder::new().recursive(true).mode(WAY_MODE).create(parent).attempt("make a place for", path)?;
    let from = fs::read_link(sys::proc_path(point)).attempt("find", path)?;
    let temporary = layer.join(COPY);
    let put = copy_tree::copy_tree(&from, &temporary, path, progress)
        .map_err(|error| {
            Error::new(error.kind(), "keep on the backing filesystem", error.to_string()).at(path)
        })
        .and_then(|()| nix::unistd::syncfs(directory_to_read(store)?).attempt("sync", path))
        .and_then(|()| fs::rename(&temporary, stored).attempt("put in place the copy of", path));
    if put.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    put
}

/// Refuses a way to a passed-through directory that leads out of the layer: a guest that mounts its own disk can write there,
/// and would get a directory of whoever mounts the root.
fn no_links(store: &Path, path: &Path) -> Result<()> {
    let how =
        OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(directory(store)?, path.strip_prefix("/").unwrap_or(path), how) {
        Err(Errno::ELOOP) => {
            let reason = "the layer has a symlink on the way, which no mount has made";
            let error = Error::new(Kind::State, "keep on the backing filesystem", reason).at(path);
            Err(error.remedy("reset the layer"))
        }
        _ => Ok(()),
    }
}

/// Deletes what a copying that was cut short left behind.
///
/// # Errors
/// As rmdir(2) and unlink(2) say.
pub(crate) fn clear(layer: &Path) -> Result<()> {
    let left = layer.join(COPY);
    match fs::symlink_metadata(&left) {
        Ok(_) => fs::remove_dir_all(&left).attempt("delete what a cut seeding left at", left),
        Err(_) => Ok(()),
    }
}

fn bind(from: &Path, onto: &OwnedFd, shown: &Path) -> Result<()> {
    let clone = sys::clone_mount(directory(from)?.as_fd()).attempt("open_tree", shown)?;
    sys::attach_mount(clone.as_fd(), onto.as_fd()).attempt("bind", shown)
}

fn directory_to_read(path: &Path) -> Result<OwnedFd> {
    fs::File::open(path).map(OwnedFd::from).attempt("open", path)
}

/// `path` inside the root, each missing directory made on the way. What is mounted there already is a directory that
/// is passed through, which a symlink of the image may lead into: one of the two would hide the other.
fn in_root(root: &OwnedFd, path: &Path) -> Result<OwnedFd> {
    let resolve =
        ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let how = || OpenHow::new().flags(flags).resolve(resolve);
    let mut seen = PathBuf::from("/");
    let mut here = openat2(root, &seen, how()).attempt("open", &seen)?;
    for part in path.strip_prefix("/").unwrap_or(path) {
        seen.push(part);
        here = match openat2(root, &seen, how()) {
            Err(Errno::ENOENT) => {
                let mode = Mode::from_bits_truncate(0o755);
                match mkdirat(&here, part, mode) {
                    Err(Errno::EEXIST) => {
                        let reason = "the image has a symlink there that leads nowhere in it";
                        return Err(Error::new(Kind::State, "make in the guest", reason).at(&seen));
                    }
                    other => other.attempt("make in the guest", &seen)?,
                }
                // The caller's umask is not the guest's.
                fchmodat(&here, part, mode, FchmodatFlags::FollowSymlink).attempt("chmod", &seen)?;
                openat2(root, &seen, how()).attempt("open in the guest", &seen)?
            }
            Err(Errno::EXDEV) => {
                let reason = "it leads into another directory that is kept";
                let error = Error::new(Kind::State, "keep on the backing filesystem", reason).at(path);
                return Err(error.remedy("name one of them only"));
            }
            other => other.attempt("open in the guest", &seen)?,
        };
    }
    Ok(here)
}
