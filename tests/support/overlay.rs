//! A guest's root as a platform makes it: an overlay of images, topmost first, and a writable layer.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

/// The layers, before they are mounted.
pub struct Overlay<'a> {
    /// What the mount table shows as its source.
    pub source: &'a str,
    /// The images, topmost first.
    pub lower: Vec<&'a Path>,
    /// The backing filesystem, which has upper and work.
    pub backing: &'a Path,
    /// More mount options, each with a comma behind it.
    pub options: &'a str,
}

impl<'a> Overlay<'a> {
    /// Of one image, as most guests are.
    pub fn new(lower: &'a Path, backing: &'a Path) -> Self {
        Self { source: "root", lower: vec![lower], backing, options: "" }
    }

    /// Makes the writable layer's directories and gives upper, which can be filled before the mount.
    pub fn prepare(&self) -> PathBuf {
        let [upper, work] = ["upper", "work"].map(|name| self.backing.join(name));
        for dir in [&upper, &work] {
            fs::create_dir(dir).expect("a new backing filesystem");
        }
        upper
    }

    /// Mounts it at `root`.
    pub fn mount(&self, root: &Path) {
        let lower: Vec<_> = self.lower.iter().map(|path| escaped(path)).collect();
        let [upper, work] = ["upper", "work"].map(|name| escaped(&self.backing.join(name)));
        let (options, lower) = (self.options, lower.join(":"));
        let options = format!("{options}lowerdir={lower},upperdir={upper},workdir={work}");
        let none = MsFlags::empty();
        mount(Some(self.source), root, Some("overlay"), none, Some(options.as_str()))
            .expect("mount the overlay");
    }
}

/// A path as overlayfs takes it among its options.
fn escaped(path: &Path) -> String {
    path.to_str().expect("a test's paths are text").replace(',', "\\,")
}
