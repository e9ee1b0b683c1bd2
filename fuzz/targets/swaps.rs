//! /proc/swaps, in which a user chooses the paths.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootfs_shim::internals::swap::active;

fuzz_target!(|bytes: &[u8]| {
    active::parse(bytes);
});
