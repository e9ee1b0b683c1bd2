//! What came of a plan: files made ready, and the real tool's runs.

use nix::errno::Errno;

use crate::config::Fallback;
use crate::shim::plan::runs::Run;
use crate::shim::plan::types::Plan;

/// What was found out about one operand before the real tool was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// Nothing was to be done.
    Nothing,
    /// Both names are one file, and it is ready.
    Proved(Vec<Done>),
    /// It could not be made ready or not be proved; the words say why.
    Doubt(String),
}

/// What was done to a file before swapon was run on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Bytes of holes that were filled.
    Filled(u64),
    /// It was in a lower layer and was made new at the same size.
    Recreated,
    /// It shared its blocks with another file and has its own now.
    Unshared,
    /// The kernel refused its blocks, and they were written anew.
    Rewritten,
}

impl Prepared {
    /// Whether the backing path may be used.
    pub(crate) fn is_proved(&self) -> bool {
        matches!(self, Self::Proved(_))
    }
}

/// What one run of the real tool came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    pub run: Run,
    /// Its exit status; 128 + n if signal n ended it.
    pub status: i32,
    /// The last line that it wrote to stderr, as the user reads it.
    pub last_words: Vec<u8>,
    /// Whether it printed how it is used.
    pub usage_shown: bool,
    pub lost: Lost,
    /// What it said and nobody has read yet, because it may have to be run once more.
    pub held: Option<Vec<Line>>,
    /// What waits to be said on stdout until the call ends; `None` where nothing waits.
    pub late: Option<Vec<u8>>,
    /// It had to run outside a namespace of its own, so `/proc/swaps` shows the backing path.
    pub in_the_open: bool,
    /// What took the file's place.
    pub fallback: Option<Fallback>,
}

/// Where a program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

/// What was said, as the user shall read it: a line, or the end of the output without a newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub to: Output,
    pub bytes: Vec<u8>,
}

/// Why output could not be passed on, if it could not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub stdout: Option<Errno>,
    pub stderr: Option<Errno>,
}

impl Ran {
    /// For an operand that the real tool is not given as it is: as if it had failed.
    pub(crate) fn not_run(plan: &Plan, at: usize) -> Self {
        let last_words = b"its filesystem cannot hold swap, and nothing could stand in for it".to_vec();
        let run = Run { operands: vec![at], ..Run::default() };
        Self { last_words, ..Self::failed(plan, run) }
    }

    /// For a run that could not be begun.
    pub(crate) fn failed(plan: &Plan, run: Run) -> Self {
        Self {
            run,
            status: plan.flavour.failure_status,
            last_words: Vec::new(),
            usage_shown: false,
            lost: Lost::default(),
            held: None,
            late: None,
            in_the_open: false,
            fallback: None,
        }
    }

    /// Whether the tool refused its command line, whose status the caller gets, lenient or not. BusyBox has one
    /// status for everything, but only bad usage makes it print its usage.
    pub(crate) fn is_usage(&self, plan: &Plan) -> bool {
        let flavour = plan.flavour;
        let spoke = !self.last_words.is_empty();
        spoke
            && self.status == flavour.usage_status
            && (flavour.usage_status != flavour.failure_status || self.usage_shown)
    }
}
