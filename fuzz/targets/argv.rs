//! Any argv of any tool of any kind: taken apart without a panic, and put together again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use rootfs_shim::internals::command::{Order, TOOLS, read, rewrite};

fuzz_target!(|bytes: &[u8]| {
    let [choice, rest @ ..] = bytes else { return };
    let argv: Vec<OsString> = rest.split(|byte| *byte == 0).map(|part| OsString::from_vec(part.to_vec())).collect();
    let choice = usize::from(*choice);
    let tool = &TOOLS[choice % TOOLS.len()];
    let flavour = &tool.flavours[choice / 8 % tool.flavours.len()];
    let order = if choice & 128 != 0 { Order::Posix } else { Order::Permuted };
    let request = read(tool, flavour, &argv, order);
    assert_eq!(rewrite(&argv, &[]), argv, "{request:?}");
});
