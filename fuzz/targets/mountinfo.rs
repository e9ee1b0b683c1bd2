//! mountinfo, whose fields a mount's options and an image's directories choose.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootfs_shim::internals::facts::Mounts;

fuzz_target!(|bytes: &[u8]| {
    for mount in Mounts::parse_all(bytes).iter() {
        mount.upper_candidates();
    }
});
