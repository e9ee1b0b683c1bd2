//! Who else than root may read or change a swap area, which mkswap and swapon warn of: what was swapped out is in it.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// Permissions that are too wide, and those that are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InsecureMode {
    pub mode: u32,
    pub suggested: u32,
}

/// The permissions of an area, if they are too wide. A device may be its group's too.
pub(crate) fn insecure_mode(meta: &Metadata) -> Option<InsecureMode> {
    let (forbidden, suggested) =
        if meta.file_type().is_block_device() { (0o7007, 0o660) } else { (0o7077, 0o600) };
    let mode = meta.mode() & 0o7777;
    (mode & forbidden != 0).then_some(InsecureMode { mode, suggested })
}

/// The owner of a file that is not root's.
pub(crate) fn insecure_owner(meta: &Metadata) -> Option<u32> {
    Some(meta.uid()).filter(|owner| meta.is_file() && *owner != 0)
}
