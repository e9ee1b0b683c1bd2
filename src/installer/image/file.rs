//! What regular files of an image hold, as far as a plan needs it: a hash, and the machine a program is for.
//!
//! Each inode is read once. The shims are hard links of one binary, and hashing that at every name was most of
//! what an install with nothing to do took. An inode is known by everything that stat(2) says of it, change
//! time included, which nobody can set.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Attempt, Result};
use crate::installer::image::elf::machine;
use crate::text::hex;
use crate::untrusted::entry::Entry;

pub(crate) use crate::installer::image::elf::Machine;
pub(crate) use crate::installer::image::link::Leads;

/// A file larger than this is not read to tell whether it is ours: an image may have one at each name.
pub(crate) const CAP: u64 = 128 << 20;

/// What is known of a file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// SHA-256; `None` for a file that is too large.
    pub sha256: Option<String>,
    /// For which machine it is, if it is an ELF file.
    pub machine: Option<Machine>,
}

/// The contents that were read.
#[derive(Debug, Default)]
pub(crate) struct Contents(Vec<(Entry, Content)>);

impl Contents {
    /// Notes what a file holds that was read already.
    pub(crate) fn learn(&mut self, entry: Entry, bytes: &[u8]) -> Content {
        let content = Content { sha256: Some(sha256(bytes)), machine: machine(bytes) };
        self.0.push((entry, content.clone()));
        content
    }

    /// What the open file holds that `entry` is of.
    ///
    /// # Errors
    /// What reading says.
    pub(crate) fn of(&mut self, entry: Entry, file: impl Read, shown: &Path) -> Result<Content> {
        if let Some((_, content)) = self.0.iter().find(|(known, _)| *known == entry) {
            return Ok(content.clone());
        }
        if entry.size > CAP {
            return Ok(Content::default());
        }
        let mut bytes = Vec::new();
        file.take(CAP).read_to_end(&mut bytes).attempt("read", shown)?;
        Ok(self.learn(entry, &bytes))
    }
}

/// A file at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
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
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        self.entry.is_same_file(&other.entry) && self.sha256 == other.sha256
    }
}

/// SHA-256 in lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
