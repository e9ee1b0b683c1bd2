//! The tests, by subject.

mod active_swap;
mod area_names;
mod data_loss;
mod demo;
mod enabling;
mod fallback;
mod harness;
mod installation;
mod kills;
mod notice_streams;
mod places_and_trouble;
mod preparation;
mod rough_treatment;
pub mod same_as_native;

use crate::support::Test;

/// Every test that is run, in the order in which they begin.
pub fn all() -> Vec<Test> {
    let tests = [
        harness::tests(),
        installation::tests(),
        enabling::tests(),
        places_and_trouble::tests(),
        preparation::tests(),
        fallback::tests(),
        data_loss::tests(),
        rough_treatment::tests(),
        kills::tests(),
        same_as_native::tests(),
        demo::tests(),
        notice_streams::tests(),
        active_swap::tests(),
        area_names::tests(),
    ]
    .into_iter()
    .flatten();
    let (long, short): (Vec<Test>, Vec<Test>) = tests.partition(|test| test.is_long);
    [long, short].into_iter().flatten().collect()
}

/// The rows of that name, each a test, where no test has it.
pub fn rows_named(filter: &str) -> Option<Vec<Test>> {
    let is_a_test = all().iter().any(|test| test.name.contains(filter));
    let rows = same_as_native::single_rows().filter(|row| same_as_native::is_row_named(&row.name, filter));
    (!is_a_test).then(|| rows.collect())
}

/// The test of that name, also one that must fail, or a single row.
pub fn named(name: &str) -> Option<Test> {
    let ordinary = all().into_iter().chain(harness::broken());
    ordinary.chain(same_as_native::single_rows()).find(|test| test.name == name)
}
