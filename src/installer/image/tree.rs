//! The directories of an image that the installer works in, held open.

use std::path::Path;

use crate::command::tables::TOOLS;
use crate::error::{Error, Kind, Result};
use crate::paths;
use crate::untrusted::entry::FileId;
use crate::untrusted::{Dir, IN_OTHER_MOUNT, Root};

/// A tree's directories, each opened once.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The root.
    pub root: Root,
    /// `/.rootfs-shim`, if it is there.
    pub home: Option<Dir>,
    /// Where tools may stand.
    pub places: Vec<Dir>,
    /// The overlay's upper directory, if a candidate was found.
    pub upper: Option<Root>,
    /// Whether that is a mount which is attached nowhere, so that it is itself to be attached.
    pub detached: bool,
    /// dpkg's directory, if this is a system of dpkg's.
    pub dpkg: Option<Dir>,
}

/// A directory where tools may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Relative to the root: `usr/sbin`.
    pub path: String,
    /// Every path of our tables that leads here, this one first: on a merged system, `sbin` as well.
    pub spellings: Vec<String>,
    /// chattr(1) flags.
    pub flags: u32,
    /// Whether programs cannot be run from it.
    pub noexec: bool,
    /// Whether it is in another mount than the root, so that nothing can be linked into it.
    pub elsewhere: bool,
}

impl Tree {
    /// Opens the places and our directory, if it is there.
    ///
    /// # Errors
    /// Attack if our directory is something else; State for an old kernel, or if a mount hides our directory.
    pub(crate) fn open(root: Root) -> Result<(Self, Vec<Place>, Unseen)> {
        let home = root.top().subdirectory(paths::HOME)?;
        if let Some(home) = &home
            && home.is_elsewhere()?
        {
            let error = Error::new(Kind::State, "use", IN_OTHER_MOUNT).at(home.shown(""));
            return Err(error.remedy("unmount what is mounted there"));
        }
        let mut tree = Self { home, root, places: Vec::new(), upper: None, detached: false, dpkg: None };
        let (mut places, mut trouble, mut seen): (Vec<Place>, Unseen, Vec<FileId>) = Default::default();
        for path in TOOLS.iter().flat_map(|tool| tool.directories) {
            if places.iter().any(|place| place.spellings.iter().any(|spelling| spelling == path)) {
                continue;
            }
            let dir = match tree.root.directory(Path::new(path)) {
                Ok(Some(dir)) => dir,
                Ok(None) => continue,
                Err(error) => {
                    trouble.warnings.push(of_the_image(error)?);
                    trouble.names.push((*path).to_owned());
                    continue;
                }
            };
            let id = dir.stat()?.id;
            let known = seen.iter().position(|seen| *seen == id);
            if let Some(place) = known.and_then(|at| places.get_mut(at)) {
                place.spellings.push((*path).to_owned());
                continue;
            }
            let elsewhere = dir.is_elsewhere()?;
            let (flags, noexec, path) = (dir.flags(), dir.is_noexec(), (*path).to_owned());
            places.push(Place { spellings: vec![path.clone()], path, flags, noexec, elsewhere });
            tree.places.push(dir);
            seen.push(id);
        }
        trouble.warnings.sort();
        trouble.warnings.dedup();
        Ok((tree, places, trouble))
    }
}

/// What could not be looked at: why, and which places and names.
#[derive(Debug, Default)]
pub(crate) struct Unseen {
    pub(crate) warnings: Vec<String>,
    pub(crate) names: Vec<String>,
}

/// What is said of a part of an image that cannot be looked at because of what the image is. If the system fails,
/// nobody knows what is there, and a plan that takes it for missing would forget it.
pub(crate) fn of_the_image(error: Error) -> Result<String> {
    use nix::errno::Errno::{EACCES, ELOOP, ENAMETOOLONG, EXDEV};
    match error.errno() {
        None | Some(EACCES | ELOOP | ENAMETOOLONG | EXDEV) => Ok(error.to_string()),
        Some(_) => Err(error),
    }
}
