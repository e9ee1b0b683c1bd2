//! The tests on the real kernel: real overlay roots, real filesystems, real tools, real swap.
//!
//! One program in three parts: it lists the tests and runs them in parallel; called back by [`namespace`]
//! it is one test inside its namespaces; called back with [`SWEEP`] it undoes what a test left on. What
//! could not be checked here is said at the end, by name, with the reason and the remedy; with
//! `ROOTFS_SHIM_REQUIRE_ALL=1` it fails instead.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking and speaks by printing"
)]

mod cases;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use support::{Test, namespace, needs, supervise, unchecked};

/// The hidden argument for the sweep: the scratch directory follows.
pub const SWEEP: &str = "--inside-sweep";

fn main() -> ExitCode {
    if let Some(inside) = namespace::inside() {
        return run_one(&inside.name, &inside.scratch);
    }
    let argv: Vec<_> = std::env::args_os().collect();
    match argv.as_slice() {
        [_, word, scratch] if word == SWEEP => {
            supervise::sweep(Path::new(scratch)).iter().for_each(|problem| println!("{problem}"));
            ExitCode::SUCCESS
        }
        _ => run_all(),
    }
}

fn run_one(name: &str, scratch: &Path) -> ExitCode {
    let Some(test) = cases::named(name) else {
        println!("there is no test {name}");
        return ExitCode::FAILURE;
    };
    (test.run)(scratch);
    ExitCode::SUCCESS
}

fn run_all() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let strict = unchecked::is_a_failure();
    if !arguments.list && nix::unistd::geteuid().is_root() {
        supervise::sweep_strays();
    }
    let mut not_checked = Vec::new();
    let rows = arguments.filter.as_deref().and_then(cases::rows_named);
    if rows.is_some() {
        // They are chosen already, and some by their short names.
        arguments.filter = None;
    }
    let tests = rows.unwrap_or_else(cases::all);
    // There is always one that waits for its turn to swap.
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    arguments.test_threads.get_or_insert(cores + 1);
    let trials = tests.into_iter().map(|test| {
        let why = needs::missing(&test.needs);
        let asked = arguments.filter.as_ref().is_none_or(|filter| test.name.contains(filter));
        if let (Some(why), true) = (&why, asked) {
            not_checked.push(unchecked::line(&test.name, why));
        }
        trial(test, why, strict)
    });
    let trials = trials.collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        not_checked.iter().for_each(|line| eprintln!("{line}"));
        if support::tree::releases().is_empty() {
            eprintln!("{}", unchecked::line("the tools of other Debian releases", "see tests/shim/trees"));
        }
        for row in cases::same_as_native::gaps() {
            eprintln!("KNOWN GAP, not compared with a fallback: {row}");
        }
    }
    exit_code(&conclusion)
}

fn trial(test: Test, why: Option<String>, strict: bool) -> Trial {
    let ignored = why.is_some() && !strict;
    let test = Arc::new(test);
    let name = test.name.clone();
    let run = move || match why {
        Some(why) => Err(Failed::from(format!("could not be checked: {why}"))),
        None => supervise::run(&test).map_err(Failed::from),
    };
    Trial::test(name, run).with_ignored_flag(ignored)
}

fn exit_code(conclusion: &Conclusion) -> ExitCode {
    if conclusion.has_failed() { ExitCode::from(101) } else { ExitCode::SUCCESS }
}
