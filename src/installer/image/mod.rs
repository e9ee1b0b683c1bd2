//! An image's tree as install sees it: which tools stand where, and what of ours is there already.
//!
//! Facts only. [`Tree`] holds the directories, each opened once; [`Image`] says what stands in them, in
//! words that a plan can be made of without a system. Two paths to one directory (usr-merge, sbin-merge) are
//! one place, known by device and inode.

pub mod dpkg;
pub mod file;
pub mod guest;
pub mod link;
pub mod our_directory;
pub mod root_mount;

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::command::tables::TOOLS;
use crate::error::{Error, Kind, Result};
use crate::installer::image::dpkg::Dpkg;
use crate::installer::image::file::Contents;
pub use crate::installer::image::file::Machine;
pub use crate::installer::image::link::Leads;
use crate::installer::image::link::follow;
pub use crate::installer::image::our_directory::Home;
use crate::installer::image::our_directory::{look_home, tokens};
use crate::installer::image::root_mount::{Hint, Layer};
use crate::installer::manifest;
use crate::untrusted::{Dir, ELSEWHERE, Entry, FileId, FileKind, Root};
use crate::{paths, sys};

/// What a renamed tool's name ends in.
pub const REAL: &str = ".real";
/// The manifest, in our directory.
pub const MANIFEST: &str = "manifest.toml";
/// The configuration, in our directory.
pub const CONFIG: &str = "config.toml";
/// The directory of the binary, in ours.
pub const BIN: &str = "bin";
/// The binary, in its directory.
pub const BINARY: &str = "rootfs-shim";
/// The file by which the upper directory is proved, under a temporary name.
pub const MARKER: &str = "marker";
/// The endings of temporary names: a staged shim, a new real tool, what a failed run puts back.
pub const TEMPORARY: [&str; 3] = ["new", "tool", "old"];

/// A tree's directories, each opened once.
#[derive(Debug)]
pub struct Tree {
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

/// What is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The root's path, for messages.
    pub root: PathBuf,
    /// Our own directory.
    pub home: Option<Home>,
    /// How the root is mounted.
    pub layer: Layer,
    /// Where tools may stand.
    pub places: Vec<Place>,
    /// What stands at each tool's name in each place.
    pub slots: Vec<Slot>,
    /// What dpkg knows, if this is a system of dpkg's.
    pub dpkg: Option<Dpkg>,
    /// The root directory's chattr(1) flags.
    pub flags: u32,
    /// Whether it has what `/usr` has, and nothing of what stands beside that.
    pub is_usr: bool,
    /// What could not be looked at, and why.
    pub warnings: Vec<String>,
    /// Places, and names in them, that could not be looked at: what stands there is not known.
    pub unseen: Vec<String>,
}

impl Image {
    /// The slot of a tool's name, by whichever path of our tables leads there: directories may have been merged
    /// since a manifest was written.
    pub fn slot(&self, path: &str) -> Option<&Slot> {
        let (directory, name) = path.rsplit_once('/')?;
        let leads = |place: &Place| place.spellings.iter().any(|spelling| spelling == directory);
        let here = |slot: &&Slot| slot.tool == name && self.places.get(slot.place).is_some_and(leads);
        self.slots.iter().find(here)
    }
}

/// A directory where tools may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
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

/// A tool's name in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Index into the places.
    pub place: usize,
    /// The path of the name: `usr/sbin/swapon`.
    pub path: String,
    /// The tool.
    pub tool: &'static str,
    /// What stands at the name.
    pub name: Option<Standing>,
    /// What stands at `.real`.
    pub real: Option<Standing>,
    /// Temporary names of a run that did not end: whole paths.
    pub leftovers: Vec<String>,
}

/// A file at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What it is.
    pub entry: Entry,
    /// SHA-256 of a file's content or a link's target.
    pub sha256: Option<String>,
    /// chattr(1) flags of a file.
    pub flags: u32,
    /// For which machine the program is, if it is an ELF file; for a link, the program it leads to.
    pub machine: Option<Machine>,
    /// Where a link leads.
    pub leads: Option<Leads>,
    /// Whether it is in another mount than the root; then it is not read, whatever it is.
    pub elsewhere: bool,
}

impl Standing {
    /// Whether two names are one inode: by its numbers, or by all else that is known, content included.
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.entry.is_same_file(&other.entry) && self.sha256 == other.sha256
    }
}

impl Tree {
    /// Opens the places and our directory, if it is there.
    ///
    /// # Errors
    /// Attack if our directory is something else; State for an old kernel, or if a mount hides our directory.
    pub fn open(root: Root) -> Result<(Self, Vec<Place>, Unseen)> {
        let home = root.top().subdirectory(paths::HOME)?;
        if let Some(home) = &home
            && home.is_elsewhere()?
        {
            let error = Error::new(Kind::State, "use", ELSEWHERE).at(home.shown(""));
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
pub struct Unseen {
    warnings: Vec<String>,
    names: Vec<String>,
}

/// What is said of a part of an image that cannot be looked at because of what the image is. If the system fails,
/// nobody knows what is there, and a plan that takes it for missing would forget it.
fn of_the_image(error: Error) -> Result<String> {
    use nix::errno::Errno::{EACCES, ELOOP, ENAMETOOLONG, EXDEV};
    match error.errno() {
        None | Some(EACCES | ELOOP | ENAMETOOLONG | EXDEV) => Ok(error.to_string()),
        Some(_) => Err(error),
    }
}

/// Looks at the whole tree; `hint` is where the caller says that the overlay's upper directory is.
///
/// # Errors
/// Attack if our directory or what is in it is not what it may be; what the calls say.
pub fn look(root: Root, hint: Hint<'_>) -> Result<(Tree, Image)> {
    let (mut tree, places, Unseen { mut warnings, names: mut unseen }) = Tree::open(root)?;
    let mut contents = Contents::default();
    let home = tree.home.as_ref().map(|dir| look_home(dir, &mut contents, &mut warnings)).transpose()?;
    tree.detached = matches!(hint, Hint::Detached(..));
    let (layer, found) = root_mount::look(&tree.root, tree.home.as_ref(), hint)?;
    tree.upper = found;
    let tokens = home.as_ref().map(tokens).unwrap_or_default();
    let dpkg = match dpkg::look(&tree.root, &tokens) {
        Ok(dpkg) => dpkg,
        Err(error) => {
            warnings.push(format!("{}; so dpkg is not told of the shims", of_the_image(error)?));
            None
        }
    };
    let (dir, dpkg) = dpkg.unzip();
    tree.dpkg = dir;
    let mut slots = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let serves = |path: &&str| place.spellings.iter().any(|spelling| spelling == path);
        for tool in TOOLS.iter().filter(|tool| tool.directories.iter().any(&serves)) {
            match look_slot(&tree, &mut contents, (index, &place.path), tool.name, &tokens) {
                Ok(slot) => slots.push(slot),
                Err(error) => {
                    warnings.push(of_the_image(error)?);
                    unseen.push(format!("{}/{}", place.path, tool.name));
                }
            }
        }
    }
    let (flags, root) = (tree.root.top().flags(), tree.root.top().shown(""));
    let has_any =
        |names: [&str; 4]| names.iter().any(|name| matches!(tree.root.top().entry(name), Ok(Some(_))));
    let is_usr = has_any(["share", "include", "libexec", "local"]) && !has_any(["usr", "etc", "dev", "proc"]);
    let image = Image { root, home, layer, places, slots, dpkg, flags, is_usr, warnings, unseen };
    Ok((tree, image))
}

fn look_slot(
    tree: &Tree,
    contents: &mut Contents,
    (place, path): (usize, &str),
    tool: &'static str,
    tokens: &[String],
) -> Result<Slot> {
    let missing = || Error::new(Kind::State, "look into", "no such place").at(path);
    let dir = tree.places.get(place).ok_or_else(missing)?;
    let mut leftovers = Vec::new();
    for end in tokens.iter().flat_map(|token| TEMPORARY.map(|end| temporary(tool, token, end))) {
        if dir.entry(&end)?.is_some_and(|entry| matches!(entry.kind, FileKind::Regular | FileKind::Symlink)) {
            leftovers.push(format!("{path}/{end}"));
        }
    }
    let name = look_name(tree, contents, dir, path, tool)?;
    let real = look_name(tree, contents, dir, path, &format!("{tool}{REAL}"))?;
    Ok(Slot { place, path: format!("{path}/{tool}"), tool, name, real, leftovers })
}

/// A name that only this run uses, for `name` in the same directory.
pub fn temporary(name: &str, token: &str, end: &str) -> String {
    format!(".{name}.{token}.{end}")
}

fn look_name(
    tree: &Tree,
    contents: &mut Contents,
    dir: &Dir,
    path: &str,
    name: &str,
) -> Result<Option<Standing>> {
    let Some(found) = dir.find(name)? else { return Ok(None) };
    let elsewhere = found.is_elsewhere()?;
    let mut standing =
        Standing { entry: found.entry, sha256: None, flags: 0, machine: None, leads: None, elsewhere };
    match found.entry.kind {
        FileKind::Regular if elsewhere => {}
        FileKind::Regular => {
            let file = found.open()?;
            standing.flags = sys::inode_flags(file.as_fd()).unwrap_or(0);
            let content = contents.of(found.entry, file, &dir.shown(name))?;
            (standing.sha256, standing.machine) = (content.sha256, content.machine);
        }
        FileKind::Symlink => {
            let target = dir.link_target(name)?;
            standing.sha256 = Some(manifest::sha256(target.as_bytes()));
            (standing.leads, standing.machine) = follow(tree, Path::new(path), Path::new(&target));
        }
        _ => {}
    }
    Ok(Some(standing))
}
