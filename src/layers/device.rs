//! Work in a mount namespace of its own, which nobody sees and which nothing survives.
//!
//! The trick that makes `mount` all or nothing: the root is put together in a thread that has its own copy of
//! the mount table, and only the finished tree is handed out, as a descriptor. Whatever goes wrong before
//! that, a kill included, the kernel takes everything down with the thread.
#![expect(clippy::disallowed_methods, reason = "the kernel's own tables and our own namespace")]

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;

use crate::error::{Attempt, Result};
use crate::kernel::namespace::in_private_namespace;
use crate::sys::block;

/// The block device to mount: the device itself, or a loop device over an image, which lives as long as the
/// descriptor or a mount of it.
///
/// # Errors
/// As open(2) and the loop driver say.
pub(crate) fn device_of(path: &Path, image: bool, read_only: bool) -> Result<(PathBuf, Option<OwnedFd>)> {
    if !image {
        return Ok((own_name(path).attempt("find the device", path)?, None));
    }
    let flags = if read_only { OFlag::O_RDONLY } else { OFlag::O_RDWR };
    let file = open(path, flags | OFlag::O_CLOEXEC, Mode::empty()).attempt("open the image", path)?;
    let (held, device) = block::attach_loop(std::os::fd::AsFd::as_fd(&file), read_only, b"")
        .attempt("make a loop device of the image", path)?;
    Ok((device, Some(held)))
}

/// The name that df, lsblk and the guest know a device by: no symlink, as mount(8) finds it. A mapped device goes by
/// its name, which is one.
fn own_name(path: &Path) -> std::io::Result<PathBuf> {
    let real = std::fs::canonicalize(path)?;
    let is_mapped = real.as_os_str().as_encoded_bytes().starts_with(b"/dev/dm-");
    Ok(if is_mapped { path.to_owned() } else { real })
}

/// A directory of the filesystem on a writable device, opened, while the filesystem is mounted nowhere: what
/// trimming needs. It is mounted over the directory that its own node is in, in a namespace of its own.
///
/// # Errors
/// As mount(2) says.
pub(crate) fn root_of(path: &Path, image: bool, kind: &'static str) -> Result<OwnedFd> {
    in_private_namespace(|| {
        let (device, held) = device_of(path, image, false)?;
        let point = device.parent().filter(|parent| !parent.as_os_str().is_empty());
        let point = point.unwrap_or(Path::new(".")).to_owned();
        mount(Some(&device), &point, Some(kind), MsFlags::empty(), writable_options(kind))
            .attempt("mount", &device)?;
        drop(held);
        open(&point, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .attempt("open the filesystem on", &device)
    })
}

/// What a writable layer is mounted with. One that is thrown away needs no inode tables zeroed in the background:
/// that would write again what the lazy mkfs has just saved.
pub(crate) fn writable_options(kind: &str) -> Option<&'static str> {
    (kind == "ext4").then_some("noinit_itable")
}
