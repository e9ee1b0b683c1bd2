//! How a file's blocks lie: holes, and the ranges that some kernel refuses as swap.
//!
//! Only FIEMAP tells. The number of a file's blocks (`st_blocks`) does not, since some may lie beyond its end
//! (`fallocate --keep-size`) and hide as many holes; `SEEK_HOLE` takes blocks for holes that nobody has written.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use crate::sys::{self, DirtyPages, Extent};

/// How many bytes of a file no block holds. Where the filesystem does not tell, it is a guess by their number.
///
/// # Errors
/// As fstat(2) says.
pub(crate) fn holes(file: &File) -> io::Result<u64> {
    let meta = file.metadata()?;
    Ok(match extents(file, DirtyPages::Left) {
        Ok(extents) => between(&extents, meta.size()),
        Err(_) => meta.size().saturating_sub(meta.blocks().saturating_mul(512)),
    })
}

/// The ranges that were allocated and never written: they read as zeros.
pub(crate) fn unwritten(file: &File) -> Vec<Range<u64>> {
    flagged(file, Extent::UNWRITTEN)
}

/// The ranges that another file has as well.
pub(crate) fn shared(file: &File) -> Vec<Range<u64>> {
    flagged(file, Extent::SHARED)
}

/// Empty where the filesystem does not tell: nothing is known to be the matter then.
fn flagged(file: &File, flag: u32) -> Vec<Range<u64>> {
    let size = file.metadata().map_or(0, |meta| meta.size());
    let of = |extent: &Extent| extent.logical..extent.logical.saturating_add(extent.length).min(size);
    let extents = extents(file, DirtyPages::Placed).unwrap_or_default();
    let flagged = extents.iter().filter(|extent| extent.flags & flag != 0).map(of);
    flagged.filter(|range| !range.is_empty()).collect()
}

/// All extents of a file, in the file's order.
///
/// # Errors
/// EOPNOTSUPP where the filesystem does not tell.
pub(crate) fn extents(file: &File, dirty: DirtyPages) -> nix::Result<Vec<Extent>> {
    let (mut all, mut start) = (Vec::new(), 0);
    loop {
        let some = sys::extents(file.as_fd(), start, dirty)?;
        let (full, last) = (some.len() == sys::EXTENTS_AT_ONCE, some.last().copied());
        all.extend(some);
        match last.map(|last| last.logical.saturating_add(last.length)) {
            Some(end) if full && end > start => start = end,
            _ => return Ok(all),
        }
    }
}

/// How many bytes before `size` lie in none of the extents.
fn between(extents: &[Extent], size: u64) -> u64 {
    let (mut end, mut holes) = (0, 0);
    for extent in extents {
        holes += extent.logical.min(size).saturating_sub(end);
        end = end.max(extent.logical.saturating_add(extent.length));
    }
    holes + size.saturating_sub(end)
}
