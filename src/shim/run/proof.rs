//! Proving that a file of the overlay and one on the backing filesystem are one.
//!
//! Only the kernel's own word counts: overlayfs's file handle embeds the backing file's, or both names have the same
//! exclusive blocks. Times and size have to agree as well, so that a clone of the disk does not pass for the disk.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::backing::candidates;
use crate::error::{Attempt, Error, Kind, Result};
use crate::sys;

/// Proves that two open files are one inode.
///
/// # Errors
/// [`Kind::State`] if they are not, or if nothing that the kernel says can settle it.
pub(crate) fn prove(user: &File, backing: &File, path: &Path) -> Result<()> {
    let doubt = |why: &str| Error::new(Kind::State, "find the backing file of", why).at(path);
    if !same_stat(user, backing, path)? {
        return Err(doubt("another file stands at its place on the backing filesystem"));
    }
    match same_handle(user, backing) {
        Some(true) => return Ok(()),
        Some(false) => return Err(doubt("another file stands at its place on the backing filesystem")),
        None => {}
    }
    match same_blocks(user, backing) {
        Some(true) => Ok(()),
        Some(false) => Err(doubt("another file stands at its place on the backing filesystem")),
        None => Err(doubt("the kernel cannot tell whether it is the same file")),
    }
}

/// Size, blocks and times; overlayfs passes the real inode's on. A writer at work changes them between two
/// looks, hence the tries.
fn same_stat(user: &File, backing: &File, path: &Path) -> Result<bool> {
    for _ in 0..3 {
        let (a, b) = (user.metadata().attempt("stat", path)?, backing.metadata().attempt("stat", path)?);
        let key = |m: &std::fs::Metadata| {
            (m.size(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec(), m.mode(), m.uid())
        };
        if key(&a) == key(&b) && a.is_file() && b.is_file() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// overlayfs's handle of a file that was made in the upper layer embeds upper's own handle of it. Of a
/// copied-up file it embeds the lower one's, which settles nothing.
fn same_handle(user: &File, backing: &File) -> Option<bool> {
    let embedded = candidates::embedded(&sys::file_handle(user.as_fd()).ok()?)?;
    Some(embedded.handle == sys::file_handle(backing.as_fd()).ok()?)
}

/// Two files never have the same blocks, unless those are shared; FIEMAP through the overlay tells the real
/// file's.
fn same_blocks(user: &File, backing: &File) -> Option<bool> {
    let (a, b) = (
        sys::extents(user.as_fd(), 0, sys::DirtyPages::Placed).ok()?,
        sys::extents(backing.as_fd(), 0, sys::DirtyPages::Placed).ok()?,
    );
    let runs = |extents: &[sys::Extent]| {
        merged(extents.iter().map(|extent| BlockRun {
            logical: extent.logical,
            physical: extent.physical,
            length: extent.length,
        }))
    };
    if !agree(&runs(&a), &runs(&b)) {
        return Some(false);
    }
    a.iter().any(sys::Extent::is_exclusive).then_some(true)
}

/// Where some bytes of a file lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BlockRun {
    logical: u64,
    physical: u64,
    length: u64,
}

/// Neighbours as one: ext4 tells the same blocks as several extents when it reads them from the disk, and as
/// one when it has them in its cache, which can change between two looks.
fn merged(runs: impl Iterator<Item = BlockRun>) -> Vec<BlockRun> {
    let mut merged: Vec<BlockRun> = Vec::new();
    for run in runs {
        match merged.last_mut() {
            Some(last)
                if last.logical.wrapping_add(last.length) == run.logical
                    && last.physical.wrapping_add(last.length) == run.physical =>
            {
                last.length = last.length.saturating_add(run.length);
            }
            _ => merged.push(run),
        }
    }
    merged
}

/// Whether two lists of runs say the same, as far as both go: each was cut at so many extents.
fn agree(a: &[BlockRun], b: &[BlockRun]) -> bool {
    let end = |runs: &[BlockRun]| runs.last().map_or(0, |last| last.logical.saturating_add(last.length));
    let end = end(a).min(end(b));
    let cut = |runs: &[BlockRun]| -> Vec<BlockRun> {
        let within = runs.iter().filter(|run| run.logical < end);
        within.map(|run| BlockRun { length: run.length.min(end - run.logical), ..*run }).collect()
    };
    a.is_empty() == b.is_empty() && cut(a) == cut(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(runs: &[(u64, u64, u64)]) -> Vec<BlockRun> {
        merged(runs.iter().map(|&(logical, physical, length)| BlockRun { logical, physical, length }))
    }

    #[test]
    fn the_same_blocks_told_in_more_pieces_are_the_same_blocks() {
        let whole = runs(&[(0, 1000, 300), (400, 5000, 100)]);
        assert!(agree(&whole, &runs(&[(0, 1000, 100), (100, 1100, 200), (400, 5000, 50), (450, 5050, 50)])));
        assert!(agree(&whole, &runs(&[(0, 1000, 300), (400, 5000, 40)])), "cut short");
        assert!(!agree(&whole, &runs(&[(0, 1000, 300), (400, 6000, 100)])));
        assert!(!agree(&whole, &runs(&[(0, 1000, 100), (100, 1101, 200), (400, 5000, 100)])));
        assert!(!agree(&whole, &runs(&[(100, 1000, 300), (400, 5000, 100)])));
        assert!(!agree(&whole, &[]));
    }
}
