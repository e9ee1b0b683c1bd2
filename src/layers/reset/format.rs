//! Making a filesystem on a device or an image, so that a cut at any moment can be told and finished.
//!
//! The filesystem's own mkfs is run, mkfs.ext4 with the tables left for later: that is what makes it flat in the
//! size and in what was written. The mark goes to the disk before it starts, then the old signature is wiped, so
//! that it is believed from then on, and the mark is wiped after it is done (`layers::content`). Neither inode
//! tables nor journal of ext4 are zeroed; what an old life left there is told from the new by checksums that are
//! seeded with the new random UUID.
#![expect(clippy::disallowed_methods, reason = "the device that is to be formatted")]

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::{Attempt, Error, Kind, Result};
use crate::kernel::devices::open_when_free;
use crate::kernel::program;
use crate::layers::content::{LABEL, MARK, MARK_BLOCK, mark_offset};
use crate::sys::block;
use crate::text;

/// The blocks with the signatures of what a layer can have been: ext4 and xfs, btrfs.
const SUPERBLOCKS: [u64; 2] = [0, 64 << 10];

/// Formats `path`, which has `size` bytes, with `mkfs`, which makes a filesystem of that kind.
///
/// # Errors
/// EBUSY if somebody has it, mkfs's own last words if it fails.
pub(crate) fn format(path: &Path, size: u64, kind: &str, mkfs: &Path) -> Result<()> {
    let offset =
        mark_offset(size).ok_or_else(|| Error::new(Kind::State, "format", "is too small").at(path))?;
    let mut mark = vec![0; MARK_BLOCK];
    let words = [MARK, kind.as_bytes()].concat();
    mark.splice(..words.len(), words);
    let file = write(path, offset, &mark)?;
    // After the mark and before mkfs, in whatever order with mkfs's own writes: nothing to wait for.
    for superblock in SUPERBLOCKS {
        file.write_all_at(&[0; MARK_BLOCK], superblock).attempt("write to", path)?;
    }
    // The last one to close a device would wait for it all the same.
    let _held = File::open(path).attempt("open", path)?;
    drop(file);
    run_mkfs(path, offset, kind, mkfs)?;
    write(path, offset, &[0; MARK_BLOCK]).map(drop)
}

/// The file of an image may be in use through a loop device; that is seen by whoever attaches the loop.
fn write(path: &Path, offset: u64, bytes: &[u8]) -> Result<File> {
    let mut options = File::options();
    options.write(true).custom_flags(libc::O_CLOEXEC);
    if block::device_size(File::open(path).attempt("open", path)?.as_fd()).is_ok() {
        options.custom_flags(libc::O_CLOEXEC | libc::O_EXCL);
    }
    let file = open_when_free(|| options.open(path)).attempt("open for formatting", path)?;
    file.write_all_at(bytes, offset).attempt("write to", path)?;
    file.sync_data().attempt("sync", path)?;
    Ok(file)
}

/// No reserved blocks: the capacity is the device's, all of it. None of them discards: that is for later.
fn run_mkfs(path: &Path, end: u64, kind: &str, mkfs: &Path) -> Result<()> {
    /// It writes little, but the disk may be slow, and what it writes may wait behind what others write.
    const LIMIT: Duration = Duration::from_secs(600);
    let mut command = Command::new(mkfs);
    command.args(["-q", "-L", LABEL]);
    match kind {
        "xfs" => command.args(["-f", "-K"]),
        "btrfs" => command.args(["-f", "-K", "-b"]).arg(end.to_string()),
        _ => command.args(["-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"]),
    };
    command.arg("--").arg(path);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).env("LC_ALL", "C");
    let outcome = program::run(&mut command, LIMIT)?;
    if outcome.status.success() {
        return Ok(());
    }
    let words = outcome.last_words().map_or("it said nothing".to_owned(), text::escape);
    Err(Error::new(Kind::State, "format", format!("mkfs.{kind} failed: {words}")).at(path))
}
