//! The names that the installer uses inside an image, beside the tools' own.

/// What a renamed tool's name ends in.
pub(crate) const REAL: &str = ".real";

/// The manifest, in our directory.
pub(crate) const MANIFEST: &str = "manifest.toml";

/// The configuration, in our directory.
pub(crate) const CONFIG: &str = "config.toml";

/// The directory of the binary, in ours.
pub(crate) const BIN: &str = "bin";

/// The binary, in its directory.
pub(crate) const BINARY: &str = "rootfs-shim";

/// The directory on which the overlay's upper directory is mounted, in ours.
pub(crate) const UPPER: &str = "upper";

/// The same, from the root.
pub(crate) const UPPER_PATH: &str = ".rootfs-shim/upper";

/// The file by which the upper directory is proved, under a temporary name.
pub(crate) const MARKER: &str = "marker";

/// The endings of temporary names: a staged shim, a new real tool, what a failed run puts back.
pub(crate) const TEMPORARY: [&str; 3] = ["new", "tool", "old"];

/// A name that only this run uses, for `name` in the same directory.
pub(crate) fn temporary(name: &str, token: &str, end: &str) -> String {
    format!(".{name}.{token}.{end}")
}
