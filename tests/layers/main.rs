//! The root itself, on the real kernel: mount, unmount, reset, swap devices, kept directories.
//!
//! Without root or a tool they say so and do not run; with ROOTFS_SHIM_REQUIRE_ALL=1 they run all the same,
//! and fail.
#![allow(clippy::print_stderr, reason = "a test that did not run says why")]

mod bench;
mod docker;
mod library;
mod looking;
mod mounting;
mod refusing;
mod resetting;
mod second_way;
mod seeding;
#[path = "../support/swap_lock.rs"]
mod swap_lock;
mod swapping;
#[path = "../support/unchecked.rs"]
mod unchecked;

use bench::{Bench, Test};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let missing = bench::missing();
    let own = [
        library::TESTS,
        looking::TESTS,
        mounting::TESTS,
        refusing::TESTS,
        resetting::TESTS,
        second_way::TESTS,
        seeding::TESTS,
        swapping::TESTS,
    ]
    .concat();
    let docker = [missing.as_slice(), &bench::lacking(docker::TOOLS)].concat();
    let groups = [("the layers", own, missing), ("Docker", docker::TESTS.to_vec(), docker)];
    let required = unchecked::is_a_failure();
    let mut trials = Vec::new();
    for (what, tests, missing) in groups {
        if !missing.is_empty() {
            eprintln!("{}", unchecked::line(what, &format!("needs {}", missing.join(", "))));
        }
        let ignored = !missing.is_empty() && !required;
        trials.extend(tests.into_iter().map(|(name, test)| trial(name, test, ignored)));
    }
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
