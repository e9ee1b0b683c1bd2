//! Formatting and enabling the platform's own swap device, with no tool of the image.
//!
//! A new header at each boot makes all of the old contents garbage, and `discard=once` hands the old blocks
//! back to the host in the same call.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;

use crate::error::{Attempt, Error, Kind, Result};
use crate::plan::swapdev::SwapPlan;
use crate::sys;

use super::swap_header::SwapHeader;

const SWAP_FLAG_PREFER: i32 = 0x8000;
const SWAP_FLAG_DISCARD: i32 = 0x1_0000;
const SWAP_FLAG_DISCARD_ONCE: i32 = 0x2_0000;

/// Carries out a plan.
///
/// # Errors
/// The step and the device.
pub fn enable(plan: &SwapPlan) -> Result<()> {
    let SwapPlan::Enable { device, size, priority } = plan else { return Ok(()) };
    let page = page_size();
    let header = SwapHeader::new(*size, page, b"").ok_or_else(|| {
        Error::new(Kind::State, "format as swap", "is smaller than ten pages of memory").at(device)
    })?;
    write(device, &header.bytes(page))?;
    let path =
        CString::new(device.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL).attempt("swapon", device)?;
    let plain = SWAP_FLAG_PREFER | i32::from(*priority);
    sys::swapon(&path, plain | SWAP_FLAG_DISCARD | SWAP_FLAG_DISCARD_ONCE).attempt("swapon", device)
}

fn write(device: &Path, header: &[u8]) -> Result<()> {
    let mut options = File::options();
    options.write(true).custom_flags(libc::O_EXCL | libc::O_CLOEXEC);
    let file = options.open(device).attempt("open for formatting", device)?;
    file.write_all_at(header, 0).attempt("write a swap header to", device)?;
    file.sync_data().attempt("sync", device)
}

/// The kernel's, in bytes.
fn page_size() -> usize {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(4096)
}
