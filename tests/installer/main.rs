//! The installer on real trees, real mounts and the real kernel.
//!
//! Each test is run by this program calling itself again in a mount namespace of its own, with a scratch
//! directory that the parent removes: whatever happens to a test, no mount and no file is left. A host canary
//! stands beside every tree, and the parent compares it before and after.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test ends by panicking, and one that did not run says why"
)]

mod bad_input;
mod bench;
mod containment;
mod crashes;
#[path = "../support/disk.rs"]
#[expect(dead_code, reason = "no disk is attached without being mounted, and ext4 will do")]
mod disk;
mod disturbance;
mod hidden_names;
#[path = "../support/host.rs"]
#[expect(dead_code, reason = "the host runs programs here, and no scripts")]
mod host;
mod hostile_images;
mod image_table;
mod image_table_more;
mod image_table_rows;
#[path = "../support/namespace.rs"]
mod namespace;
mod ordinary_guests;
#[path = "../support/overlay.rs"]
mod overlay;
mod ownership;
mod package_managers;
mod power_loss;
mod races;
mod reports;
#[path = "../support/swap_lock.rs"]
mod swap_lock;
mod switched_root;
#[path = "../support/unchecked.rs"]
mod unchecked;

use std::process::ExitCode;

use bench::Test;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let tests: Vec<Test> = [
        ordinary_guests::TESTS,
        ownership::TESTS,
        hidden_names::TESTS,
        reports::TESTS,
        package_managers::TESTS,
        switched_root::TESTS,
        hostile_images::TESTS,
        image_table::TESTS,
        races::TESTS,
        containment::TESTS,
        disturbance::TESTS,
        bad_input::TESTS,
        crashes::TESTS,
        power_loss::TESTS,
    ]
    .concat();
    if let Some(inside) = namespace::inside() {
        let (_, test) = tests.iter().find(|(known, _)| inside.name == *known).expect("a test of that name");
        test();
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::from_args();
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("{}", unchecked::line("the installer", "mounting a guest needs root"));
    }
    let trial = |(name, _): &Test| {
        let name = *name;
        let run = move || if is_root { bench::in_namespace(name) } else { Err("it needs root".into()) };
        Trial::test(name, run).with_ignored_flag(!is_root && !unchecked::is_a_failure())
    };
    libtest_mimic::run(&arguments, tests.iter().map(trial).collect()).exit_code()
}
