//! From a plan to an exit status: the real tool takes over, or is run and looked after.

use std::ffi::OsString;

use crate::backing::reveal::Revealed;
use crate::command::tables::Purpose;
use crate::config::Config;
use crate::error::Error;
use crate::notice::{self, Notice};
use crate::shim::call::ShimCall;
use crate::shim::facts::gather::load_config;
use crate::shim::plan::report;
use crate::shim::plan::types::{Mode, Plan};
use crate::shim::run::mask::{self, Mask};
use crate::shim::run::supervise::Supervisor;
use crate::shim::run::tool::{self, Runner};
use crate::shim::run::{fallback, prepare};
use crate::{builtin, paths, sys};

/// Carries the plan out; returns the exit status, or does not return because the process became the real tool.
pub(crate) fn carry_out(
    call: &ShimCall<'_>,
    plan: &Plan,
    revealed: Option<Revealed>,
    mut notices: Vec<Notice>,
) -> i32 {
    fallback::sweep(&plan.leftovers);
    let runner = Runner { call, plan, revealed: revealed.as_ref() };
    match plan.mode {
        Mode::HandOver(_) => {
            notice::emit(&notices, &call.config);
            if let Some(revealed) = &revealed {
                return_to_caller(call, revealed);
            }
            hand_over(call, &call.invocation.argv)
        }
        Mode::Mask => mask(&runner, notices),
        Mode::Supervise => Supervisor::new(runner, &mut notices).supervise(),
    }
}

/// Becomes the real tool with this argv; the builtin does the work where that fails, or where there is none.
pub(crate) fn hand_over(call: &ShimCall<'_>, argv: &[OsString]) -> i32 {
    let (tool, real) = (call.tool, call.real);
    if real.is_builtin() {
        return builtin::run(tool, argv, call.invocation);
    }
    let errno = tool::become_it(&real.path, argv);
    let (found, _) = load_config(&[paths::CONFIG.as_ref()]);
    let config = if call.config == Config::default() { &found } else { &call.config };
    let error = Error::system("run", &real.path, errno);
    let words = format!("{}: {error}; rootfs-shim's own {} did the work.", tool.name, tool.name);
    notice::emit(&[Notice::warn(words)], config);
    builtin::run(tool, argv, call.invocation)
}

fn return_to_caller(call: &ShimCall<'_>, revealed: &Revealed) {
    if let Err(errno) = sys::return_to(&revealed.caller) {
        let error = Error::system("return from a namespace to", "/", errno);
        notice::emit(&[trouble(call, &error)], &call.config);
    }
}

/// The real tool in a namespace where the backing files and the fallback devices stand at the user's paths.
fn mask(runner: &Runner<'_>, mut notices: Vec<Notice>) -> i32 {
    let Runner { call, plan, .. } = runner;
    for device in plan.fallbacks_without_file() {
        notices.extend(fallback::disable(device).err().map(|error| trouble(call, &error)));
    }
    let prepared = prepare::prepare_all(plan);
    let masked = mask::mask(plan, &prepared);
    notices.extend(report::before(plan, &prepared));
    notices.extend(masked.as_ref().err().map(|error| trouble(call, error)));
    notice::emit(&notices, &call.config);
    if !plan.has_runs() {
        return report::refused_status(plan, &call.config);
    }
    let argv = plan.masked_argv();
    if plan.active_fallbacks().next().is_none() {
        return hand_over(call, &argv);
    }
    let status = runner.run_plainly(&argv).unwrap_or(plan.flavour.failure_status);
    masked.into_iter().for_each(Mask::lift);
    if plan.tool.purpose == Purpose::Disable {
        plan.active_fallbacks().for_each(fallback::retire);
    }
    status
}

fn trouble(call: &ShimCall<'_>, error: &Error) -> Notice {
    Notice::warn(format!("{}: {error}.", call.tool.name))
}
