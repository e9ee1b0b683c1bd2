//! Dispatch on argv[0], and nothing else.
//!
//! There is no Rust runtime before `main`: it would ignore SIGPIPE and open closed descriptors, and the
//! real tool would inherit both. What a caller prepared for `swapon` has to reach `swapon`.
#![no_main]

#[cfg(all(not(test), target_arch = "x86_64", target_env = "gnu"))]
mod early;

use rootfs_shim::internals::{Identity, Invocation};

/// The C entry point.
#[expect(unsafe_code, reason = "the symbol that crt1 calls cannot be exported in another way")]
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let call = Invocation::of_this_process();
    match call.identity() {
        Identity::Shim(tool) => rootfs_shim::internals::run_shim(tool, &call),
        Identity::Manager => rootfs_shim::internals::run_command(&call),
    }
}
