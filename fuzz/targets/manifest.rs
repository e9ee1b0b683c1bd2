//! The manifest, which an image may have brought along: what is understood is written and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootfs_shim::internals::installer::Manifest;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    let written = manifest.to_bytes().expect("every manifest can be written");
    assert_eq!(Manifest::parse(&written).expect("and read back"), manifest);
});
