//! An image's tree as install sees it: which tools stand where, and what of ours is there already.
//!
//! Facts only. [`Tree`] holds the directories, each opened once; [`Image`] says what stands in them, in
//! words that a plan can be made of without a system. A tool's directory that two paths of our tables lead to
//! (usr-merge, sbin-merge) is one directory, known by device and inode.

pub mod dpkg;
pub(crate) mod elf;
pub(crate) mod file;
pub(crate) mod guest;
pub(crate) mod link;
pub(crate) mod our_directory;
pub(crate) mod root_mount;
pub(crate) mod tree;
pub(crate) mod upper;

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::command::tables::TOOLS;
use crate::error::{Error, Kind, Result};
use crate::installer::image::dpkg::Dpkg;
use crate::installer::image::file::{ContentCache, FileAtName};
use crate::installer::image::link::follow;
use crate::installer::image::our_directory::{OurDirectory, tokens};
use crate::installer::image::root_mount::{RootMount, UpperHint};
use crate::installer::image::tree::{ToolDirectory, Tree, Unseen, of_the_image};
use crate::installer::manifest::Manifest;
use crate::installer::names::{REAL, TEMPORARY, temporary};
use crate::sys;
use crate::untrusted::inode::{FileKind, Inode};
use crate::untrusted::{Dir, Root};

/// What is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    /// The root's path, for messages.
    pub root: PathBuf,
    /// Whether it is the root of the process that looks.
    pub running: bool,
    /// What is in `/.rootfs-shim`, if that is there.
    pub our_directory: Option<OurDirectory>,
    pub root_mount: RootMount,
    pub tool_directories: Vec<ToolDirectory>,
    /// Each tool's name in each of the directories that may have it.
    pub tool_names: Vec<ToolName>,
    /// What dpkg knows, if this is a system of dpkg's.
    pub dpkg: Option<Dpkg>,
    /// The root directory's chattr(1) flags.
    pub flags: u32,
    /// Whether it has what `/usr` has, and nothing of what stands beside that.
    pub is_usr: bool,
    /// What could not be looked at, and why.
    pub warnings: Vec<String>,
    /// Tools' directories, and names in them, that could not be looked at: what stands there is not known.
    pub unseen: Vec<String>,
}

impl Image {
    /// A tool's name, by whichever path of our tables leads there: directories may have been merged since a manifest
    /// was written.
    pub(crate) fn tool_name(&self, path: &str) -> Option<&ToolName> {
        let (directory, tool) = path.rsplit_once('/')?;
        let leads_here = |at: &ToolDirectory| at.spellings.iter().any(|spelling| spelling == directory);
        let is_it = |name: &&ToolName| {
            name.tool == tool && self.tool_directories.get(name.directory).is_some_and(leads_here)
        };
        self.tool_names.iter().find(is_it)
    }

    /// The directory that a tool's name is in.
    pub(crate) fn directory_of(&self, tool_name: &ToolName) -> Option<&ToolDirectory> {
        self.tool_directories.get(tool_name.directory)
    }

    /// The manifest, if there is one that makes sense.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        self.our_directory.as_ref()?.manifest.as_ref()
    }
}

/// A tool's name in one directory, and what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolName {
    /// Index into the image's tool directories.
    pub directory: usize,
    /// The path of the name: `usr/sbin/swapon`.
    pub path: String,
    /// `swapon`, `swapoff` or `mkswap`.
    pub tool: &'static str,
    /// What stands at the name itself.
    pub at_name: Option<FileAtName>,
    /// What stands at the same name with `.real` behind it.
    pub at_real: Option<FileAtName>,
    /// Temporary names of a run that did not end: whole paths.
    pub leftovers: Vec<String>,
}

/// Gathers what is in the whole tree; `hint` is where the caller says that the overlay's upper directory is.
///
/// # Errors
/// Attack if our directory or what is in it is not what it may be; what the calls say.
pub(crate) fn gather(root: Root, hint: UpperHint<'_>) -> Result<(Tree, Image)> {
    let running = root.top().stat()?.id == Root::open(Path::new("/"))?.top().stat()?.id;
    let (mut tree, tool_directories, mut unseen) = Tree::open(root)?;
    let mut contents = ContentCache::default();
    let our_directory = match &tree.our_directory {
        Some(dir) => Some(our_directory::gather(dir, &mut contents, &mut unseen.warnings)?),
        None => None,
    };
    let (root_mount, upper) = root_mount::gather(&tree.root, tree.our_directory.as_ref(), hint)?;
    tree.upper = upper;
    let tokens = our_directory.as_ref().map(tokens).unwrap_or_default();
    let dpkg = match dpkg::gather(&tree.root, &tokens) {
        Ok(dpkg) => dpkg,
        Err(error) => {
            unseen.warnings.push(format!("{}; so dpkg is not told of the shims", of_the_image(error)?));
            None
        }
    };
    let (dir, dpkg) = dpkg.unzip();
    tree.dpkg = dir;
    let mut lookup = Lookup { tree: &tree, contents, tokens: &tokens };
    let tool_names = lookup.tool_names(&tool_directories, &mut unseen)?;
    let image = Image {
        root: tree.root.top().shown(""),
        running,
        our_directory,
        root_mount,
        tool_directories,
        tool_names,
        dpkg,
        flags: tree.root.top().flags(),
        is_usr: is_usr(tree.root.top()),
        warnings: unseen.warnings,
        unseen: unseen.names,
    };
    Ok((tree, image))
}

/// Whether that looks like a `/usr` and not like a root.
fn is_usr(top: &Dir) -> bool {
    let has_any = |names: [&str; 4]| names.iter().any(|name| matches!(top.inode_at(name), Ok(Some(_))));
    has_any(["share", "include", "libexec", "local"]) && !has_any(["usr", "etc", "dev", "proc"])
}

/// What is needed to tell what stands at a name.
struct Lookup<'a> {
    tree: &'a Tree,
    contents: ContentCache,
    /// What runs that did not end had in their temporary names.
    tokens: &'a [String],
}

impl Lookup<'_> {
    fn tool_names(&mut self, directories: &[ToolDirectory], unseen: &mut Unseen) -> Result<Vec<ToolName>> {
        let mut names = Vec::new();
        for (index, directory) in directories.iter().enumerate() {
            let serves = |path: &&str| directory.spellings.iter().any(|spelling| spelling == path);
            for tool in TOOLS.iter().filter(|tool| tool.directories.iter().any(&serves)) {
                match self.tool_name((index, &directory.path), tool.name) {
                    Ok(name) => names.push(name),
                    Err(error) => {
                        unseen.warnings.push(of_the_image(error)?);
                        unseen.names.push(format!("{}/{}", directory.path, tool.name));
                    }
                }
            }
        }
        Ok(names)
    }

    fn tool_name(&mut self, (directory, path): (usize, &str), tool: &'static str) -> Result<ToolName> {
        let missing = || Error::new(Kind::State, "look into", "no such place").at(path);
        let dir = self.tree.tool_directories.get(directory).ok_or_else(missing)?;
        let is_file = |inode: Inode| matches!(inode.kind, FileKind::Regular | FileKind::Symlink);
        let mut leftovers = Vec::new();
        for name in self.tokens.iter().flat_map(|token| TEMPORARY.map(|end| temporary(tool, token, end))) {
            if dir.inode_at(&name)?.is_some_and(is_file) {
                leftovers.push(format!("{path}/{name}"));
            }
        }
        let at_name = self.file_at(dir, path, tool)?;
        let at_real = self.file_at(dir, path, &format!("{tool}{REAL}"))?;
        Ok(ToolName { directory, path: format!("{path}/{tool}"), tool, at_name, at_real, leftovers })
    }

    /// What stands at `name` in the directory `dir`, which is at `path`.
    fn file_at(&mut self, dir: &Dir, path: &str, name: &str) -> Result<Option<FileAtName>> {
        let Some(pinned) = dir.find(name)? else { return Ok(None) };
        let mut file = FileAtName::new(pinned.inode, pinned.is_in_other_mount()?);
        match pinned.inode.kind {
            FileKind::Regular if file.in_other_mount => {}
            FileKind::Regular => {
                let open = pinned.open()?;
                file.flags = sys::inode_flags(open.as_fd()).unwrap_or(0);
                let content = self.contents.of(pinned.inode, open, &dir.shown(name))?;
                (file.sha256, file.architecture) = (content.sha256, content.architecture);
            }
            FileKind::Symlink => {
                let target = dir.link_target(name)?;
                file.sha256 = Some(file::sha256(target.as_bytes()));
                (file.target, file.architecture) = follow(self.tree, Path::new(path), Path::new(&target));
            }
            _ => {}
        }
        Ok(Some(file))
    }
}
