//! An image's tree as install sees it: which tools stand where, and what of ours is there already.
//!
//! Facts only. [`Tree`] holds the directories, each opened once; [`Image`] says what stands in them, in
//! words that a plan can be made of without a system. Two paths to one directory (usr-merge, sbin-merge) are
//! one place, known by device and inode.

pub mod dpkg;
pub(crate) mod elf;
pub(crate) mod file;
pub(crate) mod guest;
pub(crate) mod link;
pub(crate) mod our_directory;
pub(crate) mod root_mount;
pub(crate) mod tree;

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::command::tables::TOOLS;
use crate::error::{Error, Kind, Result};
use crate::installer::image::dpkg::Dpkg;
use crate::installer::image::file::{Contents, Standing};
use crate::installer::image::link::follow;
use crate::installer::image::our_directory::{look_home, tokens};
use crate::installer::image::root_mount::{Hint, Layer};
use crate::installer::image::tree::{Place, Tree, Unseen, of_the_image};
use crate::installer::names::{REAL, TEMPORARY, temporary};
use crate::sys;
use crate::untrusted::entry::FileKind;
use crate::untrusted::{Dir, Root};

pub(crate) use crate::installer::image::elf::Machine;
pub(crate) use crate::installer::image::link::Leads;
pub(crate) use crate::installer::image::our_directory::Home;

/// What is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
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
    pub(crate) fn slot(&self, path: &str) -> Option<&Slot> {
        let (directory, name) = path.rsplit_once('/')?;
        let leads = |place: &Place| place.spellings.iter().any(|spelling| spelling == directory);
        let here = |slot: &&Slot| slot.tool == name && self.places.get(slot.place).is_some_and(leads);
        self.slots.iter().find(here)
    }
}

/// A tool's name in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
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

/// Looks at the whole tree; `hint` is where the caller says that the overlay's upper directory is.
///
/// # Errors
/// Attack if our directory or what is in it is not what it may be; what the calls say.
pub(crate) fn look(root: Root, hint: Hint<'_>) -> Result<(Tree, Image)> {
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
            standing.sha256 = Some(file::sha256(target.as_bytes()));
            (standing.leads, standing.machine) = follow(tree, Path::new(path), Path::new(&target));
        }
        _ => {}
    }
    Ok(Some(standing))
}
