//! swapon(2) and swapoff(2).

use std::ffi::CStr;

use nix::errno::Errno;

type Result<T> = nix::Result<T>;

/// The low bits of the flags are a priority; without this flag the kernel chooses one.
pub(crate) const SWAP_FLAG_PREFER: i32 = 0x8000;
/// Free blocks are handed back to the device, in both of the ways below unless one of them is named.
pub(crate) const SWAP_FLAG_DISCARD: i32 = 0x1_0000;
/// All of the area's blocks are handed back once, when it is enabled.
pub(crate) const SWAP_FLAG_DISCARD_ONCE: i32 = 0x2_0000;
/// Pages are handed back whenever they become free.
pub(crate) const SWAP_FLAG_DISCARD_PAGES: i32 = 0x4_0000;

/// swapon(2): `flags` are SWAP_FLAG_*.
///
/// # Errors
/// As swapon(2) says.
pub(crate) fn swapon(path: &CStr, flags: i32) -> Result<()> {
    // SAFETY: a C string and an integer.
    Errno::result(unsafe { libc::swapon(path.as_ptr(), flags) }).map(drop)
}

/// swapoff(2).
///
/// # Errors
/// As swapoff(2) says.
pub(crate) fn swapoff(path: &CStr) -> Result<()> {
    // SAFETY: a C string.
    Errno::result(unsafe { libc::swapoff(path.as_ptr()) }).map(drop)
}
