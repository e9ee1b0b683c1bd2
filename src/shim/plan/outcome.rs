//! What came of a plan: files made ready, and the real tool's runs.

use nix::errno::Errno;

use crate::config::Fallback;
use crate::shim::plan::runs::Run;
use crate::shim::plan::types::Plan;

/// What execute found out about one operand before the real tool was run.
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
    Remade,
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
    /// The run.
    pub run: Run,
    /// Its exit status; 128 + n if signal n ended it.
    pub status: i32,
    /// The last line that it wrote to stderr, as the user reads it.
    pub last_words: Vec<u8>,
    /// Whether it printed how it is used.
    pub usage_shown: bool,
    /// Why its stdout and stderr could not be passed on, if they could not.
    pub lost: [Option<Errno>; 2],
    /// What it said and nobody has read yet, because it may have to be run once more: to stdout (1) or
    /// stderr (2).
    pub held: Option<Vec<(u8, Vec<u8>)>>,
    /// What waits to be said on stdout until the call ends; `None` where nothing waits.
    pub late: Option<Vec<u8>>,
    /// It had to run outside a namespace of its own, so `/proc/swaps` shows the backing path.
    pub in_the_open: bool,
    /// What stood in for the file.
    pub way: Option<Fallback>,
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
            lost: [None; 2],
            held: None,
            late: None,
            in_the_open: false,
            way: None,
        }
    }
}
