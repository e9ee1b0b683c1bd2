//! fstab, as the shim and as the builtin read it, by the rules of either library.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootfs_shim::internals::facts;
use rootfs_shim::internals::swap::fstab::{self, Entry, Reader, Table};

fuzz_target!(|bytes: &[u8]| {
    for reader in [Reader::Libmount, Reader::Getmntent] {
        let all = Table::parse(bytes, reader);
        let (swap, bad_lines) = facts::fstab::parse(bytes, reader);
        assert_eq!(swap.len(), all.entries.iter().filter(|entry| Entry::is_swap(entry)).count());
        assert_eq!(bad_lines, all.bad_lines);
        for option in all.entries.iter().filter_map(|entry| fstab::option(&entry.options, "pri", reader).flatten()) {
            fstab::priority(option);
        }
    }
});
