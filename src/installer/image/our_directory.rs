//! What is in an image's `/.rootfs-shim`: the manifest, the binary, what a run that did not end left, and the rest.
//!
//! A name is a leftover of ours only if it is one of our own with sixteen hexadecimal digits behind it; whatever
//! else is in there is somebody else's.

use std::os::fd::AsFd;

use crate::error::{Error, Kind, Result};
use crate::installer::image::file::{self, ContentCache, FileAtName};
use crate::installer::manifest::{self, Manifest};
use crate::installer::names::{BIN, BINARY, CONFIG, MANIFEST, MARKER, TEMPORARY, UPPER};
use crate::untrusted::inode::FileKind;
use crate::untrusted::{Dir, IN_OTHER_MOUNT};
use crate::{sys, text};

/// The bit of our directory's mode that says that it is half made, or half gone: there may be no manifest in it
/// that says whose it is, and an image's own directory has no such bit.
pub(crate) const UNFINISHED: u32 = 0o1000;

/// What is in `/.rootfs-shim`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct OurDirectory {
    /// Whether its mode has the bit [`UNFINISHED`].
    pub unfinished: bool,
    /// Whether it was made a moment ago, to be locked, and nothing else is in it yet.
    pub is_new: bool,
    /// Which directories in it are there.
    pub directories: Vec<String>,
    /// The manifest; `None` if there is none or it makes no sense, which is among the warnings then.
    pub manifest: Option<Manifest>,
    pub binary: Option<FileAtName>,
    /// SHA-256 of the configuration's content.
    pub config: Option<String>,
    /// Temporary names of a run that did not end.
    pub leftovers: Vec<String>,
    /// Names in it that are somebody else's.
    pub foreign: Vec<String>,
}

impl OurDirectory {
    /// Whether the binary has this content.
    pub(crate) fn has_content(&self, sha256: &str) -> bool {
        self.binary.as_ref().is_some_and(|binary| binary.sha256.as_deref() == Some(sha256))
    }
}

/// Gathers what is in our directory, which is open.
///
/// # Errors
/// Attack for one that is not root's alone, or has something else in it where only ours may be.
pub(crate) fn gather(
    our_directory: &Dir,
    contents: &mut ContentCache,
    warnings: &mut Vec<String>,
) -> Result<OurDirectory> {
    let inode = our_directory.stat()?;
    if inode.uid != 0 || inode.mode & 0o077 != 0 {
        let reason =
            format!("it belongs to uid {} with mode {:04o}, not to root with 0700", inode.uid, inode.mode);
        let error = Error::new(Kind::Attack, "use", reason).at(our_directory.shown(""));
        return Err(error.remedy("remove it from the image, or chown and chmod it if it is yours"));
    }
    let mut facts = OurDirectory { unfinished: inode.mode & UNFINISHED != 0, ..OurDirectory::default() };
    for name in [BIN, UPPER] {
        if let Some(dir) = our_directory.subdirectory(name)? {
            facts.directories.push(name.to_owned());
            match (name, dir.is_in_other_mount()?) {
                // What somebody put there while nothing was mounted.
                (UPPER, false) => sort_names(&dir, "upper/", &[], &mut facts)?,
                (BIN, true) => {
                    let error = Error::new(Kind::State, "use", IN_OTHER_MOUNT).at(dir.shown(""));
                    return Err(error.remedy("unmount what is mounted there"));
                }
                _ => {}
            }
        }
    }
    if let Some(bytes) = our_directory.read(MANIFEST, manifest::CAP)? {
        match Manifest::parse(&bytes) {
            Ok(manifest) => facts.manifest = Some(manifest),
            Err(error) => warnings.push(error.at(our_directory.shown(MANIFEST)).to_string()),
        }
    }
    facts.config = our_directory.read(CONFIG, file::CAP)?.map(|bytes| file::sha256(&bytes));
    if let Some(bin) = our_directory.subdirectory(BIN)? {
        facts.binary = gather_binary(&bin, contents)?;
        sort_names(&bin, &format!("{BIN}/"), &[BINARY], &mut facts)?;
    }
    sort_names(our_directory, "", &[MANIFEST, CONFIG, MARKER], &mut facts)?;
    Ok(facts)
}

fn gather_binary(bin: &Dir, contents: &mut ContentCache) -> Result<Option<FileAtName>> {
    let Some(found) = bin.find(BINARY)? else { return Ok(None) };
    if found.inode.kind != FileKind::Regular {
        let reason = format!("it is {}, not a regular file", found.inode.kind.words());
        return Err(Error::new(Kind::Attack, "read", reason).at(bin.shown(BINARY)));
    }
    if found.inode.size > file::CAP {
        let reason = format!("it is larger than {} bytes", file::CAP);
        return Err(Error::new(Kind::Invalid, "read", reason).at(bin.shown(BINARY)));
    }
    if found.is_in_other_mount()? {
        return Err(Error::new(Kind::State, "read", IN_OTHER_MOUNT).at(bin.shown(BINARY)));
    }
    let file = found.open()?;
    let flags = sys::inode_flags(file.as_fd()).unwrap_or(0);
    let content = contents.of(found.inode, file, &bin.shown(BINARY))?;
    let (sha256, architecture) = (content.sha256, content.architecture);
    Ok(Some(FileAtName { sha256, flags, architecture, ..FileAtName::new(found.inode, false) }))
}

/// What runs that did not end had in their temporary names: the manifest knows, and when that was not there yet,
/// or not any more, its own temporary name does.
pub(crate) fn tokens(our_directory: &OurDirectory) -> Vec<String> {
    let of = |name: &String| name.rsplit('.').nth(1).map(str::to_owned);
    let mut tokens: Vec<String> = our_directory.leftovers.iter().filter_map(of).collect();
    tokens.extend(our_directory.manifest.as_ref().map(|manifest| manifest.token.clone()));
    tokens.retain(|token| manifest::is_token(token));
    tokens.sort();
    tokens.dedup();
    tokens
}

/// Sorts the names of a directory of ours; `known` are the files that install may make there.
fn sort_names(dir: &Dir, prefix: &str, known: &[&str], facts: &mut OurDirectory) -> Result<()> {
    for name in dir.names()? {
        let Some(name) = name.to_str() else {
            facts.foreign.push(text::path(&name));
            continue;
        };
        if is_temporary(name, known)
            && dir.inode_at(name)?.is_some_and(|inode| inode.kind == FileKind::Regular)
        {
            facts.leftovers.push(format!("{prefix}{name}"));
        } else if name == MARKER
            || !(known.contains(&name)
                || (prefix.is_empty() && facts.directories.iter().any(|one| one == name)))
        {
            facts.foreign.push(format!("{prefix}{}", text::path(name)));
        }
    }
    Ok(())
}

/// Whether that is a temporary name of ours for one of `known`.
fn is_temporary(name: &str, known: &[&str]) -> bool {
    known.iter().any(|known| {
        let rest = name.strip_prefix('.').and_then(|rest| rest.strip_prefix(known)?.strip_prefix('.'));
        rest.and_then(|rest| rest.split_once('.'))
            .is_some_and(|(token, end)| manifest::is_token(token) && TEMPORARY.contains(&end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_name_has_a_name_of_ours_and_a_token() {
        let known = [MANIFEST, CONFIG];
        for name in [".manifest.toml.0123456789abcdef.new", ".config.toml.0123456789abcdef.old"] {
            assert!(is_temporary(name, &known), "{name}");
        }
        for name in [
            ".config.toml.old",
            ".notes.0123456789abcdef.new",
            "config.toml.0123456789abcdef.old",
            ".config.toml.0123456789ABCDEF.old",
            ".config.toml.0123456789abcde.old",
            ".config.toml.0123456789abcdef.bak",
            ".config.toml.0123456789abcdef.x.old",
        ] {
            assert!(!is_temporary(name, &known), "{name}");
        }
    }
}
