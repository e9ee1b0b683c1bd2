//! The root itself, on the real kernel: mount, unmount, reset, swap devices, kept directories.
//!
//! Without root or a tool they say so and do not run; with ROOTFS_SHIM_REQUIRE_ALL=1 they run all the same,
//! and fail.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "what prepares a test may end it by panicking, and one that did not run says why"
)]

mod bench;
#[path = "../support/disk.rs"]
#[expect(dead_code, reason = "the program under test makes the filesystems and the mounts")]
mod disk;
mod docker;
#[path = "../support/host.rs"]
#[expect(dead_code, reason = "scripts run in a bench")]
mod host;
mod library;
mod mount;
#[path = "../support/namespace.rs"]
mod namespace;
mod passthrough;
mod plain_disk;
mod refusals;
mod reset;
mod second_way;
mod status;
mod swap_device;
#[path = "../support/swap_lock.rs"]
mod swap_lock;
#[path = "../support/unchecked.rs"]
mod unchecked;

use std::process::ExitCode;

use bench::{Bench, Test};
use libtest_mimic::{Arguments, Trial};
use namespace::Inside;

fn main() -> ExitCode {
    let own = [
        library::TESTS,
        status::TESTS,
        mount::TESTS,
        refusals::TESTS,
        reset::TESTS,
        second_way::TESTS,
        passthrough::TESTS,
        plain_disk::TESTS,
        swap_device::TESTS,
    ]
    .concat();
    if let Some(inside) = namespace::inside() {
        return run_one(&[&own, docker::TESTS].concat(), inside);
    }
    let arguments = Arguments::from_args();
    let missing = bench::missing();
    let docker = [missing.as_slice(), &bench::lacking(docker::TOOLS)].concat();
    let groups = [("the layers", own, missing), ("Docker", docker::TESTS.to_vec(), docker)];
    let required = unchecked::is_a_failure();
    let (mut trials, mut not_checked) = (Vec::new(), Vec::new());
    for (what, tests, missing) in groups {
        if !missing.is_empty() {
            not_checked.push(unchecked::line(what, &format!("needs {}", missing.join(", "))));
        }
        let ignored = !missing.is_empty() && !required;
        let trial =
            |(name, _)| Trial::test(name, move || bench::in_namespace(name)).with_ignored_flag(ignored);
        trials.extend(tests.into_iter().map(trial));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Last, where the many lines of what is ignored cannot push it off the screen.
    not_checked.iter().for_each(|line| eprintln!("{line}"));
    conclusion.exit_code()
}

fn run_one(tests: &[(&str, Test)], inside: Inside) -> ExitCode {
    let known = tests.iter().find(|(name, _)| inside.name == *name);
    let ended = match known {
        Some((_, test)) => Bench::new(inside.scratch).and_then(|bench| test(&bench)),
        None => Err("there is no test of that name".into()),
    };
    let Err(failed) = ended else { return ExitCode::SUCCESS };
    eprintln!("{}", failed.message().unwrap_or("it failed"));
    ExitCode::FAILURE
}
