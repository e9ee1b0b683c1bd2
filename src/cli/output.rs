//! How a subcommand speaks: text or JSON on stdout, one line on stderr, a failure in either.

use std::io::Write;

use serde::Serialize;

use crate::error::{Attempt, Error, Result};
use crate::layers::options::LayersReport;
use crate::text;

/// A failure as `--json` tells it; `changed` if not everything could be put back.
#[derive(Serialize)]
pub(crate) struct Failure {
    version: u32,
    changed: bool,
    error: String,
}

impl Failure {
    pub(crate) fn of(error: &Error) -> Self {
        Self { version: 1, changed: error.changed(), error: error.to_string() }
    }
}

/// Prints to stdout; a reader who has gone away is no error.
///
/// # Errors
/// What write(2) says: nobody has read what there was to say.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.attempt("write to", "the standard output"),
    }
}

/// One value as indented JSON.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    serde_json::to_string_pretty(value).map_or(Ok(()), |text| print(&(text + "\n")))
}

/// One line on stderr, and the exit status.
pub(crate) fn fail(error: &Error) -> i32 {
    complain(&error.to_string());
    error.exit_status()
}

/// One line on stderr, in one write: two that complain at once, into one log, each have a line of their own.
pub(crate) fn complain(line: &str) {
    let _ = std::io::stderr().write_all(format!("rootfs-shim: {line}\n").as_bytes());
}

/// How the outcome of a command on the layers is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telling {
    pub dry_run: bool,
    pub json: bool,
    /// What is said when it is done.
    pub done: &'static str,
}

/// With `--json`, a failure goes to stdout as well. That it does not reach its reader says the line on stderr.
pub(crate) fn tell_failure(error: &Error, json: bool) {
    if json {
        let _ = print_json(&Failure::of(error));
    }
}

/// Tells of an outcome and gives the exit status. Work that is left over goes to a process of its own.
///
/// # Errors
/// That of the outcome, or of telling it.
pub(crate) fn tell(outcome: Result<LayersReport>, telling: Telling) -> Result<i32> {
    let Telling { dry_run, json, done } = telling;
    let mut report = outcome.inspect_err(|error| tell_failure(error, json))?;
    for work in std::mem::take(&mut report.pending) {
        if let Err(error) = work.detach() {
            report.warnings.push(error.to_string());
        }
    }
    if json {
        return print_json(&report).map(|()| 0);
    }
    for warning in &report.warnings {
        complain(&format!("warning: {}", text::sanitise(warning)));
    }
    let lines: Vec<String> = report.steps.iter().map(|step| format!("would {step}\n")).collect();
    match (report.steps.as_slice(), dry_run) {
        ([], _) => print("nothing to do\n"),
        (_, true) => print(&lines.concat()),
        (_, false) => print(&format!("{done}\n")),
    }
    .map(|()| 0)
}
