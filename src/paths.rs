//! Two kinds of path that look alike and must never be mixed up.
//!
//! A file of the root overlay has a name in the guest (`OverlayPath`, what the user says) and a name on the
//! backing filesystem (`BackingPath`, what the kernel takes as swap). Both are bytes. The only way from one
//! to the other is [`OverlayPath::on`], and a backing path is a guess until execute has proved that both
//! are one file.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Where install puts everything, relative to the guest's root.
pub(crate) const OUR_DIRECTORY: &str = ".rootfs-shim";
/// The bind mount of the overlay's upper directory.
pub(crate) const UPPER: &str = "/.rootfs-shim/upper";
/// The optional configuration.
pub(crate) const CONFIG: &str = "/.rootfs-shim/config.toml";

/// A path from the root of the overlay's own tree: absolute, without symlinks, `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OverlayPath(PathBuf);

/// A path, as this process sees it, of a file that lives on the backing filesystem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackingPath(PathBuf);

impl OverlayPath {
    /// A path as the kernel prints it; `None` if it is not absolute and plain.
    pub fn parse(path: impl Into<PathBuf>) -> Option<Self> {
        let path = path.into();
        let plain = path.is_absolute()
            && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        plain.then_some(Self(path))
    }

    /// The file's name on the backing filesystem whose upper directory is visible at `upper`.
    pub fn on(&self, upper: &Path) -> BackingPath {
        BackingPath(upper.join(self.relative()))
    }

    /// The path without its leading slash, for a call that takes a directory and a name.
    pub fn relative(&self) -> &Path {
        self.0.strip_prefix("/").unwrap_or(&self.0)
    }

    /// The file's name for a process whose working directory is the upper directory. No path has two slashes in
    /// it that the kernel prints, so this can be told from everything else in what the process says.
    pub fn below_upper(&self) -> PathBuf {
        let mut name = OsString::from(".//");
        name.push(self.relative());
        name.into()
    }

    /// The bytes.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl BackingPath {
    /// The bytes.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

/// Where a file that is visible at `seen` lies in its filesystem's own tree, given that its mount shows the
/// subtree `root` at `point`: the one rule that mountinfo's fields 4 and 5 obey.
pub(crate) fn inside(root: &Path, point: &Path, seen: &Path) -> Option<OverlayPath> {
    let below = seen.strip_prefix(point).ok()?;
    let mut path = root.to_owned();
    if !below.as_os_str().is_empty() {
        path.push(below);
    }
    OverlayPath::parse(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bind_mount_of_a_directory_is_followed_home() {
        let there = inside(Path::new("/srv/data"), Path::new("/mnt"), Path::new("/mnt/a/swapfile"));
        assert_eq!(there, OverlayPath::parse("/srv/data/a/swapfile"));
        assert_eq!(inside(Path::new("/"), Path::new("/"), Path::new("/s")), OverlayPath::parse("/s"));
        assert_eq!(
            inside(Path::new("/f"), Path::new("/mnt/f"), Path::new("/mnt/f")),
            OverlayPath::parse("/f")
        );
        assert_eq!(inside(Path::new("/"), Path::new("/mnt"), Path::new("/mntx/f")), None);
    }

    #[test]
    fn only_plain_absolute_paths_are_overlay_paths() {
        for bad in ["swapfile", "", "/a/../b", "(unreachable)/swapfile"] {
            assert_eq!(OverlayPath::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_name_from_upper_is_in_no_path() {
        let path = OverlayPath::parse("/a./-b").unwrap();
        assert_eq!(path.below_upper(), Path::new(".//a./-b"));
        assert!(path.below_upper().as_os_str() == ".//a./-b", "paths compare without their slashes");
    }

    fn plain() -> impl Strategy<Value = PathBuf> {
        proptest::collection::vec("[a-z \\\\é]{1,6}", 1..5)
            .prop_map(|parts| Path::new("/").join(parts.join("/")))
    }

    proptest! {
        #[test]
        fn the_mapping_keeps_what_is_below_the_mount(root in plain(), point in plain(), below in plain()) {
            let below = below.strip_prefix("/").unwrap().to_owned();
            let path = inside(&root, &point, &point.join(&below)).unwrap();
            prop_assert_eq!(path.as_path(), root.join(&below));
            let backing = path.on(Path::new(UPPER));
            prop_assert!(backing.as_path().starts_with(UPPER));
            prop_assert_eq!(backing.as_path().strip_prefix(UPPER).unwrap(), path.relative());
        }
    }
}
