//! What a caller may ask of the layers, and what it gets back.

pub(crate) use crate::layers::reset::pending::Pending;
pub(crate) use crate::layers::reset::plan::Discard;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::Serialize;

use crate::installer::options::InstallOptions;

/// What [`mount`](crate::mount) shall do.
#[derive(Debug, Clone, Default)]
pub struct MountOptions {
    /// An existing directory, where the root is to stand.
    pub target: PathBuf,
    /// Block devices, image files or directories; the first is topmost.
    pub lower: Vec<PathBuf>,
    /// A block device, an image file or a directory.
    pub writable: PathBuf,
    /// Directories of the guest that are passed through to the backing filesystem.
    /// `@containers` stands for those of Docker, containerd, podman and k3s.
    pub passthrough: Vec<PathBuf>,
    /// What df and lsblk show; `None` or `auto` is the writable device's own path.
    pub source_name: Option<OsString>,
    /// fsync costs nothing; the layer must be new.
    pub volatile: bool,
    /// Make the writable layer new first.
    pub reset: bool,
    /// Even if it carries something that is not ours.
    pub force: bool,
    /// When a reset's old blocks go.
    pub discard: Discard,
    /// Install the shims as well; `chroot`, `upper` and `dry_run` of it are ours to set.
    pub install: Option<InstallOptions>,
    /// The steps are only planned, and nothing is changed.
    pub dry_run: bool,
}

/// What [`reset`](crate::reset) shall do.
#[derive(Debug, Clone, Default)]
pub struct ResetOptions {
    /// The writable layer: a block device, an image file or a directory.
    pub writable: PathBuf,
    /// Even if it carries something that is not ours.
    pub force: bool,
    /// When the old blocks go.
    pub discard: Discard,
    /// The steps are only planned, and nothing is changed.
    pub dry_run: bool,
}

/// What [`swap`](crate::swap) shall do.
#[derive(Debug, Clone)]
pub struct SwapOptions {
    /// The block device that becomes swap.
    pub device: PathBuf,
    /// [`PRIORITY`](crate::PRIORITY) is above every swapfile.
    pub priority: u16,
    /// The steps are only planned, and nothing is changed.
    pub dry_run: bool,
}

/// What was done. As JSON: `{"version":1,"changed":true,"source":"/dev/vdb","steps":["…"],"warnings":["…"]}`;
/// `source` is mount's only. Fields may be added to version 1, none goes.
#[derive(Debug, Default, Serialize)]
pub struct LayersReport {
    /// The version of the JSON format, which is 1.
    pub version: u32,
    /// Whether anything was changed; `false` for a dry run.
    pub changed: bool,
    /// What df shows as the root's source, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The steps that were done, or in a dry run would be, for people; one escaped line each.
    pub steps: Vec<String>,
    /// What the caller should know; one escaped line each.
    pub warnings: Vec<String>,
    /// Work that may be done later. Empty with [`Discard::Now`].
    #[serde(skip)]
    pub pending: Vec<Pending>,
}
