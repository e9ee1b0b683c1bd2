//! /proc/swaps, in which a user chooses the paths.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootfs_shim::world::swaps;

fuzz_target!(|bytes: &[u8]| {
    swaps::parse(bytes);
});
