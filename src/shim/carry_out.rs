//! From a plan to an exit status: the real tool takes over, or is run and looked after.

use std::ffi::OsString;

use crate::backing::reveal::Stage;
use crate::command::real_tool::Real;
use crate::command::tables::{Purpose, Tool};
use crate::config::Config;
use crate::error::Error;
use crate::invocation::Invocation;
use crate::notice::{self, Notice};
use crate::shim::facts::gather::load_config;
use crate::shim::plan::outcome::Prepared;
use crate::shim::plan::report;
use crate::shim::plan::types::{Plan, Road};
use crate::shim::run::supervise::Supervisor;
use crate::shim::run::{fallback, mask, prepare, tool};
use crate::{builtin, paths, sys};

pub(crate) fn carry_out(
    plan: &Plan,
    real: &Real,
    config: &Config,
    notices: &mut Vec<Notice>,
    call: &Invocation,
    stage: Option<&Stage>,
) -> i32 {
    fallback::sweep(&plan.leftovers);
    match plan.road {
        Road::Untouched(_) => {
            notice::emit(notices, config);
            if let Some(Err(errno)) = stage.map(|stage| sys::go_home(&stage.home)) {
                let error = Error::system("return from a namespace to", "/", errno);
                notice::emit(&[Notice::warn(format!("{}: {error}.", plan.tool.name))], config);
            }
            become_real(plan.tool, real, &call.argv, call, config)
        }
        Road::Masked => {
            for orphan in plan.orphans() {
                let failed = fallback::disable(orphan).err();
                notices.extend(failed.map(|error| Notice::warn(format!("{}: {error}.", plan.tool.name))));
            }
            let prepared = prepare::prepare_all(plan);
            let masked = mask::mask(plan, &prepared);
            let findings: Vec<Prepared> = prepared.into_iter().map(|(prepared, _)| prepared).collect();
            notices.extend(report::before(plan, &findings));
            let failed = masked.as_ref().err();
            notices.extend(failed.map(|error| Notice::warn(format!("{}: {error}.", plan.tool.name))));
            notice::emit(notices, config);
            if !plan.has_runs() {
                return report::refused_status(plan, config);
            }
            let argv = plan.masked_argv();
            if plan.stood_in().next().is_none() {
                return become_real(plan.tool, real, &argv, call, config);
            }
            let status = tool::run_plainly(real, plan, &argv, call).unwrap_or(plan.flavour.failure_status);
            masked.into_iter().for_each(mask::Mask::lift);
            if plan.tool.purpose == Purpose::Disable {
                plan.stood_in().for_each(|(_, area, _)| fallback::retire(area));
            }
            status
        }
        Road::Supervised => Supervisor { plan, real, call, stage }.supervise(config, notices),
    }
}

pub(crate) fn become_real(
    tool: &'static Tool,
    real: &Real,
    argv: &[OsString],
    call: &Invocation,
    config: &Config,
) -> i32 {
    if real.is_builtin {
        return builtin::run(tool, argv, call);
    }
    let errno = tool::become_it(&real.path, argv);
    let (found, _) = load_config(&[paths::CONFIG.as_ref()]);
    let config = if config == &Config::default() { &found } else { config };
    let error = Error::system("run", &real.path, errno);
    let words = format!("{}: {error}; rootfs-shim's own {} did the work.", tool.name, tool.name);
    notice::emit(&[Notice::warn(words)], config);
    builtin::run(tool, argv, call)
}
