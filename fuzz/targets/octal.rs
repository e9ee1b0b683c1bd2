//! The kernel's octal escapes: what was encoded is decoded to itself, and anything is survived.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootfs_shim::internals::octal;

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(octal::decode(&octal::encode(bytes, b" \t\n\\")), bytes);
    octal::decode(bytes);
    assert!(octal::to_ascii(bytes).is_ascii());
});
