//! Where a symlink of an image leads, inside its root.
//!
//! The links are followed by hand, name by name, so that one that leads to a name of ours can be told from one that
//! leads to the same inode by another name (BusyBox's hard links).

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

use crate::command::tables::TOOLS;
use crate::installer::image::elf::{Machine, machine};
use crate::installer::image::tree::Tree;
use crate::untrusted::entry::{FileKind, Found};

/// Symlinks that are followed one after the other: as the kernel.
const LINKS: usize = 40;

/// Where a symlink leads, inside the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leads {
    /// To nothing, or round in circles.
    Nowhere,
    /// To something that is no regular file.
    Astray(FileKind),
    /// To a file that can be run.
    File,
    /// To a file that nobody can run.
    Text,
    /// To another name of ours: the path.
    Name(String),
}

/// Where the link to `target` leads that stands in the directory `from`, and for which machine the program there is.
pub(crate) fn follow(tree: &Tree, from: &Path, target: &Path) -> (Option<Leads>, Option<Machine>) {
    let mut path = from.join(target);
    for _ in 0..LINKS {
        let (Some(parent), Some(last)) = (path.parent(), path.file_name().and_then(OsStr::to_str)) else {
            break;
        };
        let Ok(Some(dir)) = tree.root.place(parent) else { return (Some(Leads::Nowhere), None) };
        let id = dir.stat().ok().map(|entry| entry.id);
        let place =
            tree.places.iter().position(|place| id.is_some() && place.stat().ok().map(|e| e.id) == id);
        if let (Some(place), Some(tool)) = (place, TOOLS.iter().find(|tool| tool.name == last)) {
            let known = tree.places.get(place).map(|place| place.shown(tool.name));
            let root = tree.root.top().shown("");
            let name = known.as_deref().and_then(|path| path.strip_prefix(root).ok()).and_then(Path::to_str);
            return (name.map(|name| Leads::Name(name.to_owned())), None);
        }
        match dir.entry(last) {
            Ok(Some(entry)) if entry.kind == FileKind::Symlink => match dir.link_target(last) {
                Ok(next) => path = parent.join(next),
                Err(_) => break,
            },
            _ => break,
        }
    }
    let Ok(Some(found)) = tree.root.find(&path) else { return (Some(Leads::Nowhere), None) };
    match found.entry.kind {
        FileKind::Regular if found.entry.mode & 0o111 == 0 => (Some(Leads::Text), None),
        FileKind::Regular => (Some(Leads::File), head(&found).as_deref().and_then(machine)),
        kind => (Some(Leads::Astray(kind)), None),
    }
}

fn head(found: &Found) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    found.open().ok()?.take(64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
