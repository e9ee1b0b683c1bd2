//! What the C library has and Rust's has not: random bytes before there is a /dev, and the order of version numbers.

use std::ffi::CStr;

use nix::errno::Errno;

type Result<T> = nix::Result<T>;

/// Random bytes from the kernel: getrandom(2), which needs no /dev. Up to 256 of them come whole.
///
/// # Errors
/// ENOSYS before Linux 3.17.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    const { assert!(N <= 256) };
    let mut bytes = [0; N];
    // SAFETY: the buffer is ours and its size is passed.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    Errno::result(got).map(|_| bytes)
}

/// strverscmp(3): names in the order of the numbers in them.
pub(crate) fn compare_versions(one: &CStr, other: &CStr) -> std::cmp::Ordering {
    unsafe extern "C" {
        fn strverscmp(one: *const libc::c_char, other: *const libc::c_char) -> libc::c_int;
    }
    // SAFETY: both are C strings, and it only reads them.
    unsafe { strverscmp(one.as_ptr(), other.as_ptr()) }.cmp(&0)
}
