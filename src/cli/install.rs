//! `install` and `uninstall`: the arguments, and what a person or a program reads of the outcome.
//!
//! The work is [`crate::installer`]'s. stdout has the outcome, as text or (`--json`) as the report; stderr has
//! warnings, one error line, and the steps as they are done if a person is watching.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use crate::cli::output::{Failure, complain, print, print_json};
use crate::error::{Error, Result};
use crate::installer;
use crate::installer::options::{InstallOptions, InstallReport, UninstallOptions};
use crate::installer::plan::step::Step;

/// The arguments of `install`.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Where the guest's root is mounted
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub chroot: PathBuf,
    /// The overlay's upper directory, if it cannot be found by itself
    #[arg(long, value_name = "DIR")]
    pub upper: Option<PathBuf>,
    /// A configuration that becomes the guest's (/.rootfs-shim/config.toml)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Stand in for tools that the image does not have
    #[arg(long)]
    pub provide_missing: bool,
    /// Print the steps and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    pub json: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// The arguments of `uninstall`.
#[derive(Debug, Args)]
pub(crate) struct UninstallArgs {
    /// Where the guest's root is mounted
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub chroot: PathBuf,
    /// Print the steps and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    pub json: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// How the outcome is told.
struct Telling {
    dry_run: bool,
    json: bool,
    quiet: bool,
    done: &'static str,
}

/// Runs `install`; the exit status.
pub(crate) fn install(args: &InstallArgs) -> i32 {
    let options = InstallOptions {
        chroot: args.chroot.clone(),
        upper: args.upper.clone(),
        config: args.config.clone(),
        provide_missing: args.provide_missing,
        dry_run: args.dry_run,
        ..InstallOptions::default()
    };
    let telling = Telling { dry_run: args.dry_run, json: args.json, quiet: args.quiet, done: "installed" };
    let outcome = installer::install_watched(&options, &mut |step| telling.progress(step));
    telling.outcome(outcome)
}

/// Runs `uninstall`; the exit status.
pub(crate) fn uninstall(args: &UninstallArgs) -> i32 {
    let options = UninstallOptions { chroot: args.chroot.clone(), dry_run: args.dry_run };
    let telling = Telling { dry_run: args.dry_run, json: args.json, quiet: args.quiet, done: "uninstalled" };
    let outcome = installer::uninstall_watched(&options, &mut |step| telling.progress(step));
    telling.outcome(outcome)
}

impl Telling {
    fn progress(&self, step: &Step) {
        if !self.quiet && !self.json && std::io::stderr().is_terminal() {
            complain(&crate::text::sanitise(&step.to_string()));
        }
    }

    fn outcome(&self, outcome: Result<InstallReport>) -> i32 {
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
            complain(&format!("warning: {}", crate::text::sanitise(warning)));
        }
        for note in &report.notes {
            complain(&format!("note: {}", crate::text::sanitise(note)));
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
