//! dpkg's list of diversions, which is the image's: what is not ours is kept byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootfs_shim::internals::installer::dpkg;

fuzz_target!(|bytes: &[u8]| {
    let ours = ["/sbin/swapon".to_owned(), "/sbin/mkswap".to_owned()];
    let Some(all) = dpkg::parse(bytes) else {
        assert_eq!(dpkg::without(bytes, &ours), bytes);
        return;
    };
    if !all.iter().any(|one| ours.iter().any(|path| dpkg::is_ours(one, path))) {
        assert_eq!(dpkg::without(&dpkg::with(bytes, &ours), &ours), bytes);
    }
});
