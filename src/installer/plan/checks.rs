//! Questions that several planners ask of an image before they promise a step.

use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::installer::image::Image;
use crate::installer::image::tree::Place;
use crate::installer::names::CONFIG;
use crate::paths;

/// FS_IMMUTABLE_FL and FS_APPEND_FL.
pub(crate) const UNCHANGEABLE: u32 = 0x10 | 0x20;

/// What a run that did not end left under temporary names.
pub(crate) fn leftovers(image: &Image) -> Vec<String> {
    let ours =
        image.home.iter().flat_map(|home| &home.leftovers).map(|name| format!("{}/{name}", paths::HOME));
    let theirs = image.slots.iter().flat_map(|slot| &slot.leftovers).cloned();
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

/// The name of our configuration, as a path in the image.
pub(crate) fn config_path() -> String {
    format!("{}/{CONFIG}", paths::HOME)
}

/// Whether anything can be linked into a place and run from it; else why not.
pub(crate) fn reachable(place: Option<&Place>) -> std::result::Result<(), String> {
    match place {
        Some(place) if place.elsewhere => Err(format!("{} is in another mount than the root", place.path)),
        Some(place) if place.noexec => Err(format!("{} is mounted noexec", place.path)),
        _ => Ok(()),
    }
}
