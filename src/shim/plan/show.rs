//! A plan as text for `explain` and for the tests, and as JSON.

use std::fmt;

use serde::Serialize;

use crate::command::request::Why;
use crate::shim::plan::types::{Decided, Decision, FileNow, Mode, Plan, Reason};
use crate::text::{self, size_words};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for operand in &self.operands {
            writeln!(f, "{}: {}", text::path(&operand.given), words(operand))?;
        }
        match self.mode {
            Mode::HandOver(reason) => {
                writeln!(f, "run: {}", command(&self.argv))?;
                writeln!(f, "as it is, because {}; its exit status is the caller's", reason_words(reason))
            }
            Mode::Mask if !self.has_runs() => writeln!(f, "run nothing"),
            Mode::Mask => {
                writeln!(f, "run: {}", command(&self.masked_argv()))?;
                writeln!(f, "in a private mount namespace where the backing file stands at the user's path")
            }
            Mode::Supervise => {
                let runs = self.runs(&vec![true; self.operands.len()]);
                for run in &runs {
                    let place = if run.private {
                        " (in the upper directory, which is mounted for it alone)"
                    } else {
                        ""
                    };
                    writeln!(f, "run: {}{place}", command(&self.argv_in_upper(run)))?;
                }
                if runs.is_empty() {
                    writeln!(f, "run nothing")?;
                }
                f.write_str(if self.lenient {
                    "exit status 0 even if it fails, with a notice\n"
                } else {
                    "exit status of the real tool\n"
                })
            }
        }
    }
}

/// The JSON of `explain --json`.
#[derive(Debug, Serialize)]
pub struct PlanJson {
    pub version: u32,
    pub command: &'static str,
    /// The operands, escaped, with what shall happen to each.
    pub operands: Vec<OperandJson>,
    /// `untouched`, `masked` or `supervised`.
    #[serde(rename = "road")]
    pub mode: &'static str,
    /// The runs of the real tool, escaped.
    pub runs: Vec<RunJson>,
    /// Whether a failure is exit status 0.
    pub lenient: bool,
}

/// One operand of [`PlanJson`].
#[derive(Debug, Serialize)]
pub struct OperandJson {
    /// As it was given.
    pub given: String,
    /// `as-it-is`, `backing`, `refuse`, `skip`, `leave`, `stand-in` or `stood-in`.
    pub decision: &'static str,
    /// The file on the backing filesystem, where one is used: its name from the upper directory.
    pub backing: Option<String>,
    pub why: String,
}

/// One run of [`PlanJson`].
#[derive(Debug, Serialize)]
pub struct RunJson {
    pub argv: Vec<String>,
    /// In the upper directory, in a mount or a mount namespace of its own.
    pub private: bool,
}

impl Plan {
    /// For `--json`.
    pub fn json(&self) -> PlanJson {
        let argv = |argv: &[std::ffi::OsString]| {
            argv.iter().map(|arg| text::escape(arg.as_encoded_bytes())).collect()
        };
        let (mode, runs) = match self.mode {
            Mode::HandOver(_) => ("untouched", vec![RunJson { argv: argv(&self.argv), private: false }]),
            Mode::Mask if !self.has_runs() => ("masked", Vec::new()),
            Mode::Mask => ("masked", vec![RunJson { argv: argv(&self.masked_argv()), private: true }]),
            Mode::Supervise => {
                let runs = self.runs(&vec![true; self.operands.len()]);
                (
                    "supervised",
                    runs.iter()
                        .map(|run| RunJson { argv: argv(&self.argv_in_upper(run)), private: run.private })
                        .collect(),
                )
            }
        };
        let operands = self.operands.iter().map(|operand| OperandJson {
            given: text::escape(operand.given.as_encoded_bytes()),
            decision: match operand.decision {
                Decision::AsItIs { .. } | Decision::IfFound => "as-it-is",
                Decision::Backing(_) => "backing",
                Decision::Refuse { .. } => "refuse",
                Decision::Skip { .. } => "skip",
                Decision::Leave { .. } => "leave",
                Decision::Fallback { .. } => "stand-in",
                Decision::ActiveFallback { .. } => "stood-in",
            },
            backing: match &operand.decision {
                Decision::Backing(backed) => {
                    Some(text::escape(backed.overlay.below_upper().as_os_str().as_encoded_bytes()))
                }
                _ => None,
            },
            why: words(operand),
        });
        PlanJson {
            version: 1,
            command: self.tool.name,
            operands: operands.collect(),
            mode,
            runs,
            lenient: self.lenient,
        }
    }
}

fn words(operand: &Decided) -> String {
    match &operand.decision {
        Decision::AsItIs { why, .. } => format!("{why}; as it is"),
        Decision::IfFound => "is a label or UUID; as it is, and no failure if nothing has it".to_owned(),
        Decision::Refuse { point, source, .. } => {
            format!("is on the volume {} ({}); refused", text::path(point), text::path(source))
        }
        Decision::Fallback { fstype, fallbacks, .. } => {
            let kinds: Vec<&str> = fallbacks.iter().map(|kind| kind.word()).collect();
            format!("is on {fstype}, which cannot hold swap; {} stands in for it", kinds.join(", else "))
        }
        Decision::ActiveFallback { device, file: FileNow::Named, .. } => {
            format!("{} stands in for it", text::path(&device.path))
        }
        Decision::ActiveFallback { device, file: FileNow::Gone, .. } => {
            format!("is gone; {} stood in for it", text::path(&device.path))
        }
        Decision::Leave { words, .. } => (*words).to_owned(),
        Decision::Skip { fstype, reason, .. } => format!("is on {fstype}, which {reason}; skipped"),
        Decision::Backing(backed) => {
            let name = text::path(backed.overlay.relative());
            let mut text = format!("is on the root overlay; {name} in the upper directory takes its place");
            text += ", once it is proved to be the same file";
            let (facts, orders) = (&backed.facts, &backed.orders);
            if orders.recreate {
                text += "; made new at the same size first, because it is in the lower layer only";
            } else if orders.copy_up && facts.lower_only {
                text += "; copied up from the lower layer first";
            }
            if orders.fill_holes && facts.holes > 0 && !orders.recreate {
                text += &format!("; {} of holes filled", size_words(facts.holes));
            }
            text
        }
    }
}

fn reason_words(reason: Reason) -> &'static str {
    match reason {
        Reason::Request(Why::Informs) => "it only prints something",
        Reason::Request(Why::BadUsage) => "its command line is the real tool's to judge",
        Reason::Request(Why::NothingToDo) => "it names no swap area",
        Reason::Forbidden => "the caller may not look at /.rootfs-shim",
        Reason::NoOverlay => "the root filesystem is not an overlay",
        Reason::NothingToDo => "no operand needs anything",
    }
}

/// A command line that a person could paste: quoted only where it has to be.
fn command(argv: &[std::ffi::OsString]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.,:+@%".contains(c);
    let quote = |arg: &std::ffi::OsString| {
        let text = text::escape(arg.as_encoded_bytes());
        if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{text}'") }
    };
    argv.iter().map(quote).collect::<Vec<_>>().join(" ")
}
