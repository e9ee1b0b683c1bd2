//! Where a symlink of an image leads, inside its root.
//!
//! The links are followed by hand, name by name, so that one that leads to a name of ours can be told from one that
//! leads to the same inode by another name (BusyBox's hard links).

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

use crate::command::tables::TOOLS;
use crate::installer::image::elf::{Architecture, architecture};
use crate::installer::image::tree::Tree;
use crate::untrusted::inode::{FileKind, PinnedFile};

/// Symlinks that are followed one after the other: as the kernel.
const LINKS: usize = 40;

/// Where a symlink leads, inside the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkTarget {
    /// To nothing, or round in circles.
    Nowhere,
    /// To something that is no regular file.
    NotAFile(FileKind),
    /// To a file that can be run.
    Program,
    /// To a file that nobody can run.
    NotExecutable,
    /// To another name of ours: the path.
    ToolName(String),
}

/// Where the link to `target` leads that stands in the directory `from`, and for which machine the program there is.
pub(crate) fn follow(tree: &Tree, from: &Path, target: &Path) -> (Option<LinkTarget>, Option<Architecture>) {
    let mut path = from.join(target);
    for _ in 0..LINKS {
        let (Some(parent), Some(last)) = (path.parent(), path.file_name().and_then(OsStr::to_str)) else {
            break;
        };
        let Ok(Some(dir)) = tree.root.passable_directory(parent) else {
            return (Some(LinkTarget::Nowhere), None);
        };
        let id = dir.stat().ok().map(|inode| inode.id);
        let directory = tree
            .tool_directories
            .iter()
            .position(|directory| id.is_some() && directory.stat().ok().map(|e| e.id) == id);
        if let (Some(directory), Some(tool)) = (directory, TOOLS.iter().find(|tool| tool.name == last)) {
            let known = tree.tool_directories.get(directory).map(|directory| directory.shown(tool.name));
            let root = tree.root.top().shown("");
            let name = known.as_deref().and_then(|path| path.strip_prefix(root).ok()).and_then(Path::to_str);
            return (name.map(|name| LinkTarget::ToolName(name.to_owned())), None);
        }
        match dir.inode_at(last) {
            Ok(Some(inode)) if inode.kind == FileKind::Symlink => match dir.link_target(last) {
                Ok(next) => path = parent.join(next),
                Err(_) => break,
            },
            _ => break,
        }
    }
    let Ok(Some(found)) = tree.root.find(&path) else { return (Some(LinkTarget::Nowhere), None) };
    match found.inode.kind {
        FileKind::Regular if found.inode.mode & 0o111 == 0 => (Some(LinkTarget::NotExecutable), None),
        FileKind::Regular => (Some(LinkTarget::Program), head(&found).as_deref().and_then(architecture)),
        kind => (Some(LinkTarget::NotAFile(kind)), None),
    }
}

fn head(found: &PinnedFile) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    found.open().ok()?.take(64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
