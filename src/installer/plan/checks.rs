//! Questions that several planners ask of an image before they promise a step.

use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::installer::image::Image;
use crate::installer::image::tree::ToolDirectory;
use crate::installer::names::CONFIG;
use crate::paths;

/// The flags by which chattr(1) forbids every change: FS_IMMUTABLE_FL and FS_APPEND_FL.
pub(crate) const UNCHANGEABLE: u32 = 0x10 | 0x20;

/// What a run that did not end left under temporary names.
pub(crate) fn leftovers(image: &Image) -> Vec<String> {
    let ours = image
        .our_directory
        .iter()
        .flat_map(|our_directory| &our_directory.leftovers)
        .map(|name| format!("{}/{name}", paths::OUR_DIRECTORY));
    let theirs = image.tool_names.iter().flat_map(|tool_name| &tool_name.leftovers).cloned();
    let dpkgs = image.dpkg.iter().flat_map(|dpkg| &dpkg.leftovers).cloned();
    ours.chain(theirs).chain(dpkgs).collect()
}

/// That chattr(1) has not forbidden what is to be done.
pub(crate) fn changeable(flags: u32, path: &Path) -> Result<()> {
    if flags & UNCHANGEABLE == 0 {
        return Ok(());
    }
    let (word, letter) = if flags & 0x10 != 0 { ("immutable", 'i') } else { ("append-only", 'a') };
    let error = Error::new(Kind::State, "change", format!("it is {word}")).at(path);
    Err(error.remedy(format!("run chattr -{letter} on it; nothing was changed")))
}

/// That the image's root can be written at all.
pub(crate) fn may_be_changed(image: &Image) -> Result<()> {
    changeable(image.flags, &image.root)?;
    if image.root_mount.read_only {
        let error = Error::new(Kind::State, "change", "it is mounted read-only").at(&image.root);
        return Err(error.remedy("mount it read-write first"));
    }
    Ok(())
}

/// The name of our configuration, as a path in the image.
pub(crate) fn config_path() -> String {
    format!("{}/{CONFIG}", paths::OUR_DIRECTORY)
}

/// Whether anything can be linked into a directory and run from it; else why not.
pub(crate) fn reachable(directory: Option<&ToolDirectory>) -> std::result::Result<(), String> {
    match directory {
        Some(directory) if directory.in_other_mount => {
            Err(format!("{} is in another mount than the root", directory.path))
        }
        Some(directory) if directory.noexec => Err(format!("{} is mounted noexec", directory.path)),
        _ => Ok(()),
    }
}
