//! What is wanted of the image, as the planners read it.

use crate::installer::image::Machine;

/// What the caller wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Sixteen random hexadecimal digits for temporary names.
    pub token: String,
    /// SHA-256 of the binary that is to be installed.
    pub binary: String,
    /// The machine it is for.
    pub machine: Option<Machine>,
    /// SHA-256 of the configuration that is to be written.
    pub config: Option<String>,
    /// Whether the caller said where upper is.
    pub upper_given: bool,
    /// Whether to stand in for tools that the image does not have.
    pub provide_missing: bool,
    /// Whether the image is this process's own root.
    pub running: bool,
    /// Whether `/.rootfs-shim` was made a moment ago, to be locked.
    pub home_made: bool,
}
