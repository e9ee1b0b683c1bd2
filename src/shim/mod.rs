//! A shim's run: argv → what was asked → facts → plan → the real tool.
//!
//! It is on the path of every boot, so it reads nothing until it knows that files are concerned, and it never
//! ends a caller's script by a fault of its own: whatever goes wrong before the real tool is run, the real
//! tool is run as the user called it.

pub(crate) mod call;
mod carry_out;
pub(crate) mod facts;
pub(crate) mod plan;
mod run;

use crate::command::real_tool::{self, Real};
use crate::command::request::Request;
use crate::command::tables::Tool;
use crate::invocation::{DEPTH_VARIABLE, Invocation};
use crate::shim::call::ShimCall;
use crate::shim::facts::gather::gather;
use crate::shim::run::tool;
use crate::{builtin, sys};

/// A real tool that calls its own name may do so this often before we end the chain.
const DEPTH_AT_MOST: u8 = 4;

/// Runs as `tool`; returns the exit status, or does not return because the process became the real tool.
pub fn run(tool: &'static Tool, invocation: &Invocation) -> i32 {
    // An image without the tool, and one whose tool was replaced by a shim, get the builtin.
    let real = real_tool::find(tool, invocation.executable().as_deref()).unwrap_or_else(|_| Real::builtin());
    run_with(tool, &real, invocation)
}

/// Runs as `tool`, with `real` or our builtin behind it.
pub(crate) fn run_with(tool: &'static Tool, real: &Real, invocation: &Invocation) -> i32 {
    let builtin = Real::builtin();
    // Whoever set the variable, nothing worse can come of it than our own tool doing the work.
    let real = if invocation.depth >= DEPTH_AT_MOST { &builtin } else { real };
    if !real.is_builtin() {
        fall_back_to(real, invocation);
    }
    sys::set_environment(DEPTH_VARIABLE, &(invocation.depth + 1).to_string());
    let Some(mut call) = ShimCall::read(tool, real, invocation) else {
        return builtin::run(tool, &invocation.argv, invocation);
    };
    if matches!(call.request, Request::HandOver(_)) {
        return carry_out::hand_over(&call, &invocation.argv);
    }
    sys::make_room();
    let gathered = gather(&mut call);
    let plan = plan::plan(&call, &gathered.world);
    carry_out::carry_out(&call, &plan, gathered.revealed, gathered.notices)
}

/// A panic would be a bug of ours; the user's call goes to the real tool all the same.
fn fall_back_to(real: &Real, invocation: &Invocation) {
    let (path, argv) = (real.path.clone(), invocation.argv.clone());
    std::panic::set_hook(Box::new(move |_| {
        let _ = tool::become_it(&path, &argv);
    }));
}
