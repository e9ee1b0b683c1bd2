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
    reason = "a test ends by panicking"
)]

#[path = "installer/bench.rs"]
mod bench;
#[path = "installer/contained.rs"]
mod contained;
#[path = "installer/crash.rs"]
mod crash;
#[path = "installer/disturbed.rs"]
mod disturbed;
#[path = "installer/hostile.rs"]
mod hostile;
#[path = "installer/images.rs"]
mod images;
#[path = "installer/images_more.rs"]
mod images_more;
#[path = "installer/images_table.rs"]
mod images_table;
#[path = "installer/lasting.rs"]
mod lasting;
#[path = "installer/ordinary.rs"]
mod ordinary;
#[path = "installer/owned.rs"]
mod owned;
#[path = "installer/packages.rs"]
mod packages;
#[path = "installer/power.rs"]
mod power;
#[path = "installer/races.rs"]
mod races;
#[path = "installer/refused.rs"]
mod refused;
#[path = "installer/switched.rs"]
mod switched;
#[path = "installer/told.rs"]
mod told;

use std::process::ExitCode;

use bench::Test;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let tests: Vec<Test> = [
        ordinary::TESTS,
        owned::TESTS,
        lasting::TESTS,
        told::TESTS,
        packages::TESTS,
        switched::TESTS,
        hostile::TESTS,
        images::TESTS,
        races::TESTS,
        contained::TESTS,
        disturbed::TESTS,
        refused::TESTS,
        crash::TESTS,
        power::TESTS,
    ]
    .concat();
    if let Some(name) = std::env::var_os(bench::CHILD) {
        let (_, test) = tests.iter().find(|(known, _)| name == *known).expect("a test of that name");
        test();
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::from_args();
    let trial = |(name, _): &Test| {
        let name = *name;
        Trial::test(name, move || bench::in_namespace(name))
    };
    libtest_mimic::run(&arguments, tests.iter().map(trial).collect()).exit_code()
}
