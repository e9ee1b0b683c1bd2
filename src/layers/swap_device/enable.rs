//! Formatting and enabling the platform's own swap device, with no tool of the image.
//!
//! A new header at each boot makes all of the old contents garbage, and `discard=once` hands the old blocks
//! back to the host in the same call.
#![expect(clippy::disallowed_methods, reason = "the platform's own device")]

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;

use crate::error::{Attempt, Error, Kind, Result};
use crate::layers::swap_device::plan::SwapPlan;
use crate::swap::header::{self, ByteOrder};
use crate::swap::uuid;
use crate::sys::{self, SWAP_FLAG_DISCARD, SWAP_FLAG_DISCARD_ONCE, SWAP_FLAG_PREFER};

/// The least area that the kernel takes.
const LEAST_PAGES: u64 = 10;

/// Carries out a plan.
///
/// # Errors
/// The step and the device.
pub(crate) fn enable(plan: &SwapPlan) -> Result<()> {
    let SwapPlan::Enable { device, size, priority } = plan else { return Ok(()) };
    let page_size = header::system_page_size();
    let pages = (size / page_size as u64).min(u64::from(u32::MAX));
    let last_page = u32::try_from(pages.saturating_sub(1)).unwrap_or(u32::MAX);
    if pages < LEAST_PAGES {
        let reason = "is smaller than ten pages of memory";
        return Err(Error::new(Kind::State, "format as swap", reason).at(device));
    }
    // Without random bytes there is no UUID, which is allowed.
    let uuid = uuid::random().unwrap_or_default();
    let fields = header::Fields {
        page_size,
        last_page,
        bad_pages: &[],
        uuid,
        label: b"",
        byte_order: ByteOrder::Native,
    };
    write(device, &header::page(&fields))?;
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
