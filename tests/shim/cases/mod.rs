//! The tests, by subject.

mod active;
mod demo;
mod enable;
mod harmless;
mod install;
mod itself;
mod killed;
mod names;
mod notices;
mod ready;
mod rough;
pub mod same;
mod scenes;
mod standin;

use crate::harness::Test;

/// Every test that is run.
pub fn all() -> Vec<Test> {
    [
        itself::tests(),
        install::tests(),
        enable::tests(),
        scenes::tests(),
        ready::tests(),
        standin::tests(),
        harmless::tests(),
        rough::tests(),
        killed::tests(),
        same::tests(),
        demo::tests(),
        notices::tests(),
        active::tests(),
        names::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The test of that name, also one that must fail.
pub fn named(name: &str) -> Option<Test> {
    all().into_iter().chain(itself::broken()).find(|test| test.name == name)
}
