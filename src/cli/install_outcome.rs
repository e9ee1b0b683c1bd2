//! What a person or a program reads of an install or uninstall.
//!
//! stdout has the outcome, as text or (`--json`) as the report; stderr has warnings, one error line, and the steps as
//! they are done if a person is watching.

use std::io::IsTerminal;

use crate::cli::output::{Failure, complain, print, print_json};
use crate::error::{Error, Result};
use crate::installer::options::InstallReport;
use crate::installer::plan::step::Step;
use crate::text;

/// How the outcome is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InstallTelling {
    pub dry_run: bool,
    pub json: bool,
    pub quiet: bool,
    /// What is said when it is done.
    pub done: &'static str,
}

impl InstallTelling {
    /// One line for a step, if a person is watching.
    pub(crate) fn progress(&self, step: &Step) {
        if !self.quiet && !self.json && std::io::stderr().is_terminal() {
            complain(&text::sanitise(&step.to_string()));
        }
    }

    /// Tells it all, and gives the exit status.
    pub(crate) fn outcome(&self, outcome: Result<InstallReport>) -> i32 {
        let told = outcome.as_ref().map_or_else(|error| self.failure(error), |report| self.report(report));
        let errors = [outcome.err(), told.err()];
        for error in errors.iter().flatten() {
            complain(&error.to_string());
        }
        errors.iter().flatten().next().map_or(0, Error::exit_status)
    }

    fn failure(&self, error: &Error) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        print_json(&Failure::of(error))
    }

    fn report(&self, report: &InstallReport) -> Result<()> {
        if self.json {
            return print_json(report);
        }
        if self.quiet {
            return Ok(());
        }
        for warning in &report.warnings {
            complain(&format!("warning: {}", text::sanitise(warning)));
        }
        for note in &report.notes {
            complain(&format!("note: {}", text::sanitise(note)));
        }
        if report.steps.is_empty() {
            print("nothing to do\n")
        } else if self.dry_run {
            let lines: Vec<String> = report.steps.iter().map(|step| format!("would {step}\n")).collect();
            print(&lines.concat())
        } else {
            print(&format!("{} ({} steps)\n", self.done, report.steps.len()))
        }
    }
}
