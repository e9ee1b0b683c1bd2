//! The directories of an image that the installer works in, held open.

use std::path::Path;

use crate::command::tables::TOOLS;
use crate::error::{Error, Kind, Result};
use crate::paths;
use crate::untrusted::inode::InodeId;
use crate::untrusted::{Dir, IN_OTHER_MOUNT, Root};

/// A tree's directories, each opened once.
#[derive(Debug)]
pub(crate) struct Tree {
    pub root: Root,
    /// `/.rootfs-shim`, if it is there.
    pub our_directory: Option<Dir>,
    /// Those of the image's tool directories, in the same order.
    pub tool_directories: Vec<Dir>,
    /// The overlay's upper directory, if a candidate was found.
    pub upper: Option<Root>,
    /// dpkg's directory, if this is a system of dpkg's.
    pub dpkg: Option<Dir>,
}

/// A directory in which tools' names may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolDirectory {
    /// Relative to the root: `usr/sbin`.
    pub path: String,
    /// Every path of our tables that leads here, this one first: on a merged system, `sbin` as well.
    pub spellings: Vec<String>,
    /// The flags that chattr(1) shows.
    pub flags: u32,
    /// Whether programs cannot be run from it.
    pub noexec: bool,
    /// Whether it is in another mount than the root, so that nothing can be linked into it.
    pub in_other_mount: bool,
}

impl Tree {
    /// Opens the directories of tools, and ours if it is there.
    ///
    /// # Errors
    /// Attack if our directory is something else; State for an old kernel, or if a mount hides our directory.
    pub(crate) fn open(root: Root) -> Result<(Self, Vec<ToolDirectory>, Unseen)> {
        let our_directory = root.top().subdirectory(paths::OUR_DIRECTORY)?;
        if let Some(dir) = &our_directory
            && dir.is_in_other_mount()?
        {
            let error = Error::new(Kind::State, "use", IN_OTHER_MOUNT).at(dir.shown(""));
            return Err(error.remedy("unmount what is mounted there"));
        }
        let (mut unseen, mut known, mut dirs) = (Unseen::default(), Vec::new(), Vec::new());
        let mut directories: Vec<ToolDirectory> = Vec::new();
        for path in TOOLS.iter().flat_map(|tool| tool.directories) {
            if directories.iter().any(|at| at.spellings.iter().any(|spelling| spelling == path)) {
                continue;
            }
            let dir = match root.directory(Path::new(path)) {
                Ok(Some(dir)) => dir,
                Ok(None) => continue,
                Err(error) => {
                    unseen.warnings.push(of_the_image(error)?);
                    unseen.names.push((*path).to_owned());
                    continue;
                }
            };
            let id = dir.stat()?.id;
            let same = known.iter().position(|known: &InodeId| *known == id);
            if let Some(directory) = same.and_then(|at| directories.get_mut(at)) {
                directory.spellings.push((*path).to_owned());
                continue;
            }
            directories.push(ToolDirectory {
                path: (*path).to_owned(),
                spellings: vec![(*path).to_owned()],
                in_other_mount: dir.is_in_other_mount()?,
                flags: dir.flags(),
                noexec: dir.is_noexec(),
            });
            dirs.push(dir);
            known.push(id);
        }
        unseen.warnings.sort();
        unseen.warnings.dedup();
        let tree = Self { root, our_directory, tool_directories: dirs, upper: None, dpkg: None };
        Ok((tree, directories, unseen))
    }
}

/// What could not be looked at: why, and which directories and names of tools.
#[derive(Debug, Default)]
pub(crate) struct Unseen {
    pub warnings: Vec<String>,
    pub names: Vec<String>,
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
