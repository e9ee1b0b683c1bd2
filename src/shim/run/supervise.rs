//! The road where we watch the real tool: run for run, with what the plan allows when one fails.
//!
//! Every alternative is the plan's (`plan::report` says which one fits); what was said by a run that is not the
//! last word is kept back until it is known which was.

use std::path::Path;

use crate::backing::reveal::Stage;
use crate::command::real_tool::Real;
use crate::config::Config;
use crate::error::Error;
use crate::invocation::Invocation;
use crate::notice::{self, Notice};
use crate::shim::plan::outcome::{Prepared, Ran};
use crate::shim::plan::report;
use crate::shim::plan::runs::Run;
use crate::shim::plan::types::Plan;
use crate::shim::run::{fallback, output, prepare, tool};

/// Everything that the runs of one call have in common.
pub(crate) struct Supervisor<'a> {
    /// What shall be done.
    pub plan: &'a Plan,
    /// By whom.
    pub real: &'a Real,
    /// For whom.
    pub call: &'a Invocation,
    /// Where, if not in our caller's namespace.
    pub stage: Option<&'a Stage>,
}

impl Supervisor<'_> {
    /// Carries the plan out; the exit status.
    pub(crate) fn supervise(&self, config: &Config, notices: &mut Vec<Notice>) -> i32 {
        let plan = self.plan;
        let mut prepared: Vec<Prepared> =
            prepare::prepare_all(plan).into_iter().map(|(prepared, _)| prepared).collect();
        let proved: Vec<bool> = prepared.iter().map(Prepared::is_proved).collect();
        let (mut ran, mut said, mut misused): (Vec<Ran>, _, _) = (Vec::new(), 0, false);
        output::say_foreword(plan);
        for run in plan.runs(&proved) {
            let at = run.operands.first().copied().unwrap_or_default();
            output::say_what_is_left(plan, said..at);
            said = at + 1;
            let outcome = self.run_to_the_end(run, &mut prepared, notices);
            misused = report::is_usage(plan, &outcome);
            ran.push(outcome);
            if misused {
                break;
            }
        }
        if !misused {
            output::say_what_is_left(plan, said..plan.operands.len());
            let stand_ins = report::stand_ins(plan).into_iter();
            ran.extend(stand_ins.map(|at| {
                let mut outcome = self.try_stand_ins(Ran::not_run(plan, at), notices);
                output::release(&mut outcome);
                outcome
            }));
        }
        output::say_what_waited(&mut ran);
        output::say_what_was_lost(plan, &ran);
        let report = report::report(plan, &prepared, &ran, config);
        notices.extend(report.notices);
        notice::emit(notices, config);
        report.status
    }

    fn run_to_the_end(&self, run: Run, prepared: &mut [Prepared], notices: &mut Vec<Notice>) -> Ran {
        match tool::run(self.real, self.plan, run.clone(), self.call, self.stage) {
            Ok(first) => {
                if report::was_about_nothing(self.plan, &first) {
                    return Ran { status: 0, held: None, ..first };
                }
                let outcome = self.plainer(first);
                let outcome = self.once_more(prepared, outcome);
                let mut outcome = self.try_stand_ins(outcome, notices);
                output::release(&mut outcome);
                outcome
            }
            Err(error) => {
                notices.push(Notice::error(format!("{}: {error}.", self.plan.tool.name)));
                self.without_a_child(run)
            }
        }
    }

    /// No process or pipe is to be had. The builtin needs neither, so the work is done all the same.
    fn without_a_child(&self, run: Run) -> Ran {
        let status = tool::run_ourselves(self.plan, &run, self.call, self.stage);
        Ran { status, ..Ran::failed(self.plan, run) }
    }

    /// A tool that does not know an option which stands for one of fstab's is run without it.
    fn plainer(&self, first: Ran) -> Ran {
        let mut outcome = first;
        for argv in outcome.run.plainer.clone() {
            if !report::is_usage(self.plan, &outcome) {
                break;
            }
            let run = Run { argv, ..outcome.run.clone() };
            outcome = tool::run(self.real, self.plan, run, self.call, self.stage).unwrap_or(outcome);
        }
        outcome
    }

    /// Blocks that were allocated but never written are refused by some kernels; they are written, and the
    /// real tool is run once more.
    fn once_more(&self, prepared: &mut [Prepared], first: Ran) -> Ran {
        let plan = self.plan;
        let Some((twofold, Prepared::Proved(done))) = report::may_be_mended(plan, &first)
            .and_then(|at| Some((plan.backing(at)?, prepared.get_mut(at)?)))
        else {
            return first;
        };
        match prepare::second_chance(twofold, plan) {
            Ok(Some(what)) => {
                done.push(what);
                tool::run(self.real, plan, first.run.clone(), self.call, self.stage).unwrap_or(first)
            }
            Ok(None) | Err(_) => first,
        }
    }

    /// Where the filesystem refuses the file, what is configured stands in for it, in the configured order.
    fn try_stand_ins(&self, first: Ran, notices: &mut Vec<Notice>) -> Ran {
        let plan = self.plan;
        let Some(at) = report::may_be_stood_in_for(plan, &first) else { return first };
        let Some((path, name, ways)) = plan.ways(at).filter(|(_, _, ways)| !ways.is_empty()) else {
            return first;
        };
        let mut tell = |error: Error| notices.push(Notice::warn(format!("{}: {error}.", plan.tool.name)));
        // Two stand-ins for one file would be twice the swap that was asked for.
        let turn = match fallback::take_turn(path) {
            Ok(turn) => turn,
            Err(error) => {
                tell(error);
                return first;
            }
        };
        if let Some(area) = turn.taken() {
            // The kernel says that it is busy, as it does natively.
            return self.run_with(at, &area.device).and_then(Result::ok).unwrap_or(first);
        }
        for way in ways {
            match turn.make(*way, name, &plan.upper) {
                Ok(made) => match self.run_with(at, &made.device) {
                    Some(Ok(ran)) if ran.status == 0 => return report::stood_in_for(first, ran, *way),
                    // Killed, but not before the kernel had it.
                    Some(Ok(ran)) if turn.taken().is_some() => return Ran { way: Some(*way), ..ran },
                    ran => {
                        made.unmake();
                        ran.and_then(Result::err).into_iter().for_each(&mut tell);
                    }
                },
                Err(error) => tell(error),
            }
        }
        first
    }

    fn run_with(&self, at: usize, device: &Path) -> Option<Result<Ran, Error>> {
        let run = self.plan.run_instead(at, device)?;
        Some(tool::run(self.real, self.plan, run, self.call, self.stage))
    }
}
