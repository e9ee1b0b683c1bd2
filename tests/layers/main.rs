//! The root itself, on the real kernel: mount, unmount, reset, swap devices, kept directories.
//!
//! Without root or a tool they say so and do not run; with ROOTFS_SHIM_REQUIRE_ALL=1 they run all the same,
//! and fail.
#![allow(clippy::print_stderr, reason = "a test that did not run says why")]

mod bench;
mod looking;
mod mounting;
mod resetting;
mod seeding;
mod swapping;

use bench::{Bench, Test};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let missing = bench::missing();
    let required = std::env::var_os("ROOTFS_SHIM_REQUIRE_ALL").is_some_and(|value| value == "1");
    if !missing.is_empty() {
        eprintln!("the tests of the layers need {}", missing.join(", "));
    }
    let ignored = !missing.is_empty() && !required;
    let all = [looking::TESTS, mounting::TESTS, resetting::TESTS, seeding::TESTS, swapping::TESTS];
    let trials = all.concat().into_iter().map(|(name, test)| trial(name, test, ignored)).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

/// Each in a thread of its own: its mount namespace must not become another test's.
fn trial(name: &'static str, test: Test, ignored: bool) -> Trial {
    let run = move || {
        let thread = std::thread::spawn(move || test(&Bench::new()?));
        thread.join().unwrap_or_else(|_| Err("it panicked".into()))
    };
    Trial::test(name, run).with_ignored_flag(ignored)
}
