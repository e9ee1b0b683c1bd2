//! `/proc/swaps` as typed entries, in the kernel's order (the latest last).
//!
//! The path of a file is printed from the root of the mount it was enabled through, so after a shim's
//! private namespace is gone an entry shows the user's own path.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::kernel::mounts::read_proc;
use crate::{octal, sys};

/// An active swap area (proc(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveSwap {
    /// The path, without the octal escapes.
    pub path: PathBuf,
    /// A file, not a partition or device.
    pub is_file: bool,
    /// Its size in KiB.
    pub size: u64,
    /// How much of it is in use, in KiB.
    pub used: u64,
    /// Higher is used first.
    pub priority: i32,
}

/// Whether a file is an active swap area: the kernel refuses to allocate space in one with ETXTBSY, and says so
/// before it looks at the range, which is one that no file can have. So nothing changes in either case.
#[expect(clippy::disallowed_methods, reason = "a descriptor of the running system's own, opened anew")]
pub fn is_active(file: &impl AsFd) -> bool {
    let is_file = file.as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
    if !is_file.is_ok_and(|meta| meta.is_file()) {
        return false;
    }
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = File::options().write(true).custom_flags(flags).open(sys::proc_path(file));
    file.is_ok_and(|file| {
        fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, i64::MAX, 1) == Err(Errno::ETXTBSY)
    })
}

/// Every entry; a line that makes no sense is left out.
pub fn parse(text: &[u8]) -> Vec<ActiveSwap> {
    text.split(|&b| b == b'\n').skip(1).filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<ActiveSwap> {
    let mut fields = line.split(|b| *b == b' ' || *b == b'\t').filter(|field| !field.is_empty());
    let path = octal::decode(fields.next()?);
    let mut number = || std::str::from_utf8(fields.next()?).ok();
    let kind = number()?;
    let (size, used, priority) = (number()?, number()?, number()?);
    Some(ActiveSwap {
        path: OsString::from_vec(path).into(),
        is_file: kind == "file",
        size: size.parse().ok()?,
        used: used.parse().ok()?,
        priority: priority.parse().ok()?,
    })
}

/// The active areas by the names that libmount gives them: where a name is gone, as a device's can be, without the
/// kernel's word for that.
pub fn active() -> Vec<ActiveSwap> {
    let mut swaps = active_swaps();
    for swap in &mut swaps {
        let name = swap.path.as_os_str().as_bytes().strip_suffix(b" (deleted)").map(OsStr::from_bytes);
        if let Some(name) = name.filter(|_| crate::kernel::places::open_path(&swap.path).is_err()) {
            swap.path = PathBuf::from(name);
        }
    }
    swaps
}

/// `/proc/swaps` as it is.
pub fn swaps_text() -> Vec<u8> {
    read_proc("/proc/swaps")
}

/// The active swap areas, read anew.
pub fn active_swaps() -> Vec<ActiveSwap> {
    parse(&read_proc("/proc/swaps"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_and_nonsense_is_left_out() {
        let text = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
            /a\\040b\\134                            file\t\t20468\t\t12\t\t-2\n\
            /dev/vdc                                partition\t1048572\t\t0\t\t100\n\nnonsense\n";
        let swaps = parse(text);
        assert_eq!(swaps.len(), 2);
        assert_eq!(swaps[0].path, PathBuf::from("/a b\\"));
        assert_eq!(
            (swaps[0].is_file, swaps[0].size, swaps[0].used, swaps[0].priority),
            (true, 20468, 12, -2)
        );
        assert!(!swaps[1].is_file);
    }
}
