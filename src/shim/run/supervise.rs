//! The mode in which we watch the real tool: run for run, with what the plan allows when one fails.
//!
//! What comes after a run is the plan's to say (`plan::next`), and is done here. What was said by a run that is not
//! the last word is kept back until it is known which was.

use std::path::Path;

use crate::config::Fallback;
use crate::error::{Error, Result};
use crate::notice::{self, Notice};
use crate::shim::plan::next::{self, Next, Tried};
use crate::shim::plan::outcome::{Prepared, Ran};
use crate::shim::plan::report;
use crate::shim::plan::runs::{Fallbacks, Run};
use crate::shim::plan::types::BackedFile;
use crate::shim::run::fallback::{self, Turn};
use crate::shim::run::tool::Runner;
use crate::shim::run::{output, prepare};

/// The runs of one call, and what is learnt on the way.
pub(crate) struct Supervisor<'a> {
    runner: Runner<'a>,
    /// What was done to each operand's file.
    prepared: Vec<Prepared>,
    notices: &'a mut Vec<Notice>,
}

impl<'a> Supervisor<'a> {
    /// Makes the files ready.
    pub(crate) fn new(runner: Runner<'a>, notices: &'a mut Vec<Notice>) -> Self {
        Self { prepared: prepare::prepare_all(runner.plan), runner, notices }
    }

    /// Carries the plan out; the exit status.
    pub(crate) fn supervise(mut self) -> i32 {
        let (plan, config) = (self.runner.plan, &self.runner.call.config);
        let mut ran = self.run_all();
        output::say_what_waited(&mut ran);
        output::say_what_was_lost(plan, &ran);
        let report = report::report(plan, &self.prepared, &ran, config);
        self.notices.extend(report.notices);
        notice::emit(self.notices, config);
        report.status
    }

    /// Every run of the plan, up to one whose command line is refused: that is refused for all of them.
    fn run_all(&mut self) -> Vec<Ran> {
        let plan = self.runner.plan;
        let proved: Vec<bool> = self.prepared.iter().map(Prepared::is_proved).collect();
        let (mut ran, mut said) = (Vec::new(), 0);
        output::say_foreword(plan);
        for run in plan.runs(&proved) {
            let at = run.operands.first().copied().unwrap_or_default();
            output::say_what_is_left(plan, said..at);
            said = at + 1;
            let outcome = self.run(run);
            let is_usage = outcome.is_usage(plan);
            ran.push(outcome);
            if is_usage {
                return ran;
            }
        }
        output::say_what_is_left(plan, said..plan.operands.len());
        for at in next::only_fallbacks(plan) {
            let outcome = self.see_through(Ran::not_run(plan, at));
            ran.push(outcome);
        }
        ran
    }

    fn run(&mut self, run: Run) -> Ran {
        match self.runner.run(run.clone()) {
            Ok(first) => self.see_through(first),
            Err(error) => {
                self.notices.push(Notice::error(format!("{}: {error}.", self.runner.plan.tool.name)));
                // No process or pipe is to be had. The builtin needs neither, so the work is done all the same.
                let status = self.runner.run_ourselves(&run);
                Ran { status, ..Ran::failed(self.runner.plan, run) }
            }
        }
    }

    /// Does whatever comes after a first run, until there is nothing more to be done.
    fn see_through(&mut self, first: Ran) -> Ran {
        let plan = self.runner.plan;
        let (mut ran, mut tried) = (first, Tried::default());
        loop {
            match next::next(plan, &ran, tried) {
                Next::Finished => break,
                Next::Forgiven => return Ran { status: 0, held: None, ..ran },
                Next::PlainerOptions(argv) => {
                    tried.plainer += 1;
                    let run = Run { argv, ..ran.run.clone() };
                    ran = self.runner.run(run).unwrap_or(ran);
                }
                Next::OnceMore { at, file } => {
                    tried.blocks = true;
                    ran = self.once_more(at, file, ran);
                }
                Next::Fallback { at, fallbacks } => {
                    tried.fallback = true;
                    ran = self.fall_back(at, fallbacks, ran);
                }
            }
        }
        output::release(&mut ran);
        ran
    }

    /// Writes the file's blocks anew and runs the tool once more; the first run, if the blocks are not the matter.
    fn once_more(&mut self, at: usize, file: &BackedFile, first: Ran) -> Ran {
        let Some(Prepared::Proved(done)) = self.prepared.get_mut(at) else { return first };
        match prepare::second_chance(file, self.runner.plan) {
            Ok(Some(what)) => {
                done.push(what);
                self.runner.run(first.run.clone()).unwrap_or(first)
            }
            Ok(None) | Err(_) => first,
        }
    }

    /// Lets one of the fallbacks take the file's place, in the configured order; the first run, if none can.
    fn fall_back(&mut self, at: usize, fallbacks: Fallbacks<'_>, first: Ran) -> Ran {
        // Two devices in the place of one file would be twice the swap that was asked for.
        let turn = match fallback::take_turn(fallbacks.file) {
            Ok(turn) => turn,
            Err(error) => {
                self.tell(&error);
                return first;
            }
        };
        if let Some(device) = turn.taken() {
            // The kernel says that it is busy, as it does natively.
            return self.run_with(at, &device.path).and_then(Result::ok).unwrap_or(first);
        }
        for kind in fallbacks.kinds {
            match self.enable(at, *kind, fallbacks.name, &turn) {
                Some(ran) if ran.status == 0 => return report::replaced_by_fallback(first, ran, *kind),
                // Killed, but not before the kernel had it.
                Some(ran) => return Ran { fallback: Some(*kind), ..ran },
                None => {}
            }
        }
        first
    }

    /// Makes a device of that kind and runs the tool on it; `None` if it did not become active, and is gone again.
    fn enable(&mut self, at: usize, kind: Fallback, name: &Path, turn: &Turn) -> Option<Ran> {
        let made = match turn.make(kind, name, &self.runner.plan.upper) {
            Ok(made) => made,
            Err(error) => {
                self.tell(&error);
                return None;
            }
        };
        match self.run_with(at, &made.device) {
            Some(Ok(ran)) if ran.status == 0 || turn.taken().is_some() => Some(ran),
            ran => {
                made.unmake();
                if let Some(Err(error)) = ran {
                    self.tell(&error);
                }
                None
            }
        }
    }

    fn run_with(&self, at: usize, device: &Path) -> Option<Result<Ran>> {
        Some(self.runner.run(self.runner.plan.run_with_fallback(at, device)?))
    }

    fn tell(&mut self, error: &Error) {
        self.notices.push(Notice::warn(format!("{}: {error}.", self.runner.plan.tool.name)));
    }
}
