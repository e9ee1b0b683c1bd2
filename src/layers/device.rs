//! The device behind a layer: a block device itself, or a loop device over an image file.
#![expect(clippy::disallowed_methods, reason = "the init's own devices, in a namespace of our own")]

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;

use crate::error::{Attempt, Result};
use crate::kernel::namespace::in_private_namespace;
use crate::sys::block::{self, Access};

/// What holds a layer's filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    Device,
    /// A regular file, which is reached through a loop device.
    Image,
}

/// A block device that can be mounted.
#[derive(Debug)]
pub(crate) struct Attached {
    pub device: PathBuf,
    /// A loop device lives as long as this descriptor or a mount of it.
    pub held: Option<OwnedFd>,
}

impl Attached {
    /// Finds the device, or makes a loop device over the image.
    ///
    /// # Errors
    /// As open(2) and the loop driver say.
    pub(crate) fn attach(path: &Path, storage: Storage, access: Access) -> Result<Self> {
        if storage == Storage::Device {
            return Ok(Self { device: own_name(path).attempt("find the device", path)?, held: None });
        }
        let flags = if access == Access::ReadOnly { OFlag::O_RDONLY } else { OFlag::O_RDWR };
        let file = open(path, flags | OFlag::O_CLOEXEC, Mode::empty()).attempt("open the image", path)?;
        let (held, device) =
            block::attach_loop(file.as_fd(), access, b"").attempt("make a loop device of the image", path)?;
        Ok(Self { device, held: Some(held) })
    }
}

/// The name that df, lsblk and the guest know a device by: no symlink, as mount(8) finds it. A mapped device goes by
/// its name, which is one.
fn own_name(path: &Path) -> std::io::Result<PathBuf> {
    let real = std::fs::canonicalize(path)?;
    let is_mapped = real.as_os_str().as_encoded_bytes().starts_with(b"/dev/dm-");
    Ok(if is_mapped { path.to_owned() } else { real })
}

/// Opens a directory of the filesystem on a writable device that is mounted nowhere, which is what trimming needs. The
/// filesystem is mounted over the directory that the device's own node is in, in a namespace of its own.
///
/// # Errors
/// As mount(2) says.
pub(crate) fn root_of(path: &Path, storage: Storage, kind: &'static str) -> Result<OwnedFd> {
    in_private_namespace(|| {
        let Attached { device, held } = Attached::attach(path, storage, Access::Writable)?;
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
