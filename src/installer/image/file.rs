//! What regular files of an image hold, as far as a plan needs it: a hash, and the machine a program is for.
//!
//! Each inode is read once. The shims are hard links of one binary, and hashing that at every name was most of
//! what an install with nothing to do took. An inode is known by everything that stat(2) says of it, change
//! time included, which nobody can set.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Attempt, Result};
use crate::installer::manifest;
use crate::untrusted::Entry;

/// A file larger than this is not read to tell whether it is ours: an image may have one at each name.
pub const CAP: u64 = 128 << 20;

/// ELF's e_machine: 62 is x86-64, 183 AArch64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine(pub u16);

/// What is known of a file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// SHA-256; `None` for a file that is too large.
    pub sha256: Option<String>,
    /// For which machine it is, if it is an ELF file.
    pub machine: Option<Machine>,
}

/// The contents that were read.
#[derive(Debug, Default)]
pub struct Contents(Vec<(Entry, Content)>);

impl Contents {
    /// Notes what a file holds that was read already.
    pub fn learn(&mut self, entry: Entry, bytes: &[u8]) -> Content {
        let content = Content { sha256: Some(manifest::sha256(bytes)), machine: machine(bytes) };
        self.0.push((entry, content.clone()));
        content
    }

    /// What the open file holds that `entry` is of.
    ///
    /// # Errors
    /// What reading says.
    pub fn of(&mut self, entry: Entry, file: File, shown: &Path) -> Result<Content> {
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

/// For which machine an ELF file is.
pub fn machine(bytes: &[u8]) -> Option<Machine> {
    let [0x7f, b'E', b'L', b'F', _, order, ..] = bytes else { return None };
    let word: [u8; 2] = bytes.get(18..20)?.try_into().ok()?;
    Some(Machine(if *order == 2 { u16::from_be_bytes(word) } else { u16::from_le_bytes(word) }))
}
