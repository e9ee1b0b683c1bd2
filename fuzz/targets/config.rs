//! The configuration, which a user writes: an error is one line without anything that a terminal obeys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootfs_shim::Config;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = Config::parse(bytes) {
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
});
