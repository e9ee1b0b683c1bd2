//! What stands at a name of an image, and what it holds as far as a plan needs it: a hash, and for which architecture
//! a program is.
//!
//! Each inode is read once. The shims are hard links of one binary, and hashing that at every name was most of
//! what an install with nothing to do took. An inode is known by everything that stat(2) says of it, change
//! time included, which nobody can set.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Attempt, Result};
use crate::installer::image::elf::{Architecture, architecture};
use crate::installer::image::link::LinkTarget;
use crate::text::hex;
use crate::untrusted::inode::Inode;

/// A file larger than this is not read to tell whether it is ours: an image may have one at each name.
pub(crate) const CAP: u64 = 128 << 20;

/// What is known of a file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileContent {
    /// SHA-256; `None` for a file that is too large.
    pub sha256: Option<String>,
    /// What it is built for, if it is an ELF file.
    pub architecture: Option<Architecture>,
}

/// What was read so far: each inode once.
#[derive(Debug, Default)]
pub(crate) struct ContentCache(Vec<(Inode, FileContent)>);

impl ContentCache {
    /// Notes what a file holds that was read already.
    pub(crate) fn learn(&mut self, inode: Inode, bytes: &[u8]) -> FileContent {
        let content = FileContent { sha256: Some(sha256(bytes)), architecture: architecture(bytes) };
        self.0.push((inode, content.clone()));
        content
    }

    /// What the open file holds that `entry` is of.
    ///
    /// # Errors
    /// What reading says.
    pub(crate) fn of(&mut self, inode: Inode, file: impl Read, shown: &Path) -> Result<FileContent> {
        if let Some((_, content)) = self.0.iter().find(|(known, _)| *known == inode) {
            return Ok(content.clone());
        }
        if inode.size > CAP {
            return Ok(FileContent::default());
        }
        let mut bytes = Vec::new();
        file.take(CAP).read_to_end(&mut bytes).attempt("read", shown)?;
        Ok(self.learn(inode, &bytes))
    }
}

/// What stands at a name: a regular file, a link, or whatever else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileAtName {
    pub inode: Inode,
    /// SHA-256 of a file's content or a link's target.
    pub sha256: Option<String>,
    /// The flags of a regular file that chattr(1) shows.
    pub flags: u32,
    /// What the program is built for, if it is an ELF file; for a link, the program that it leads to.
    pub architecture: Option<Architecture>,
    /// Where it leads, if it is a link.
    pub target: Option<LinkTarget>,
    /// Whether it is in another mount than the root; then it is not read, whatever it is.
    pub in_other_mount: bool,
}

impl FileAtName {
    /// One of which no more is known yet than the inode.
    pub(crate) fn new(inode: Inode, in_other_mount: bool) -> Self {
        Self { inode, sha256: None, flags: 0, architecture: None, target: None, in_other_mount }
    }

    /// Whether two names are one inode: by its numbers, or by all else that is known, content included.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        self.inode.is_same_file(&other.inode) && self.sha256 == other.sha256
    }
}

/// SHA-256 in lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
