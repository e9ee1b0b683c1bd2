//! fstab, as the shim and as the builtin read it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootfs_shim::builtin::fstab::{self, Entry};
use rootfs_shim::world;

fuzz_target!(|bytes: &[u8]| {
    let all = fstab::parse(bytes);
    assert_eq!(world::fstab::parse(bytes).len(), all.iter().filter(|entry| entry.is_swap()).count());
    for entry in all.iter().filter(|entry| Entry::is_swap(entry)) {
        entry.has("noauto");
        fstab::option(&entry.options, "pri");
    }
});
