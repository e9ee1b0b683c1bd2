//! A shim's run: argv → what was asked → facts → plan → the real tool.
//!
//! It is on the path of every boot, so it reads nothing until it knows that files are concerned, and it never
//! ends a caller's script by a fault of its own: whatever goes wrong before the real tool is run, the real
//! tool is run as the user called it.

pub(crate) mod carry_out;
pub(crate) mod facts;
pub(crate) mod plan;
pub(crate) mod run;

use crate::backing::candidates::Trail;
use crate::backing::reveal::{self, Stage};
use crate::command::real_tool::{self, Real};
use crate::command::request::Request;
use crate::command::tables::{Flavour, Kind, Tool};
use crate::config::Config;
use crate::invocation::{DEPTH_VARIABLE, Invocation};
use crate::kernel::mounts;
use crate::notice::Notice;
use crate::shim::carry_out::{become_real, carry_out};
use crate::shim::facts::World;
use crate::shim::facts::gather::{gather, load_config};
use crate::shim::plan::needs;
use crate::shim::run::tool;
use crate::{paths, sys};

/// A real tool that calls its own name may do so this often before we end the chain.
const DEPTH_AT_MOST: u8 = 4;

/// Runs as `tool`; returns the exit status, or does not return because the process became the real tool.
pub fn run(tool: &'static Tool, call: &Invocation) -> i32 {
    // An image without the tool, and one whose tool was replaced by a shim, get the builtin.
    let real = real_tool::find(tool, call.executable().as_deref()).unwrap_or_else(|_| Real::builtin());
    run_with(tool, &real, call)
}

/// Runs as `tool`, with `real` or our builtin behind it.
pub(crate) fn run_with(tool: &'static Tool, real: &Real, call: &Invocation) -> i32 {
    let again = Real::builtin();
    // Whoever set the variable, nothing worse can come of it than our own tool doing the work.
    let real = if call.depth >= DEPTH_AT_MOST { &again } else { real };
    if !real.is_builtin {
        fall_back_to(real, call);
    }
    sys::set_environment(DEPTH_VARIABLE, &(call.depth + 1).to_string());
    match request(tool, Some(real), call) {
        Some((flavour, request @ Request::Act(_))) => {
            sys::make_room();
            let (mut config, mut notices) = load_config(&[paths::CONFIG.as_ref()]);
            let mut world = gather(tool, flavour, &request, call, &config, None);
            if needs::needs_proc(tool.purpose, &request, &world) && reveal::borrow_proc() {
                world = gather(tool, flavour, &request, call, &config, None);
            }
            let stage = look_for_backing(&request, &world, &config, &mut notices);
            if let Some(stage) = &stage {
                // Where the upper directory is hidden, our own directory can be, too.
                let behind = stage.upper.join(paths::CONFIG.trim_start_matches('/'));
                (config, notices) = load_config(&[paths::CONFIG.as_ref(), &behind]);
                world = gather(tool, flavour, &request, call, &config, Some(&stage.upper));
            }
            let plan = plan::plan(tool, flavour, &call.argv, &request, &world, &config);
            carry_out(&plan, real, &config, &mut notices, call, stage.as_ref())
        }
        _ => become_real(tool, real, &call.argv, call, &Config::default()),
    }
}

/// What is asked of `real`, or of util-linux if there is none.
pub(crate) fn request(
    tool: &'static Tool,
    real: Option<&Real>,
    call: &Invocation,
) -> Option<(&'static Flavour, Request)> {
    let kind = real.map_or(Kind::UtilLinux, |real| real.kind);
    let (flavour, request) = needs::request(tool, kind, &call.argv, call.posixly)?;
    Some((flavour, request.to(|option| real?.knows(option))))
}

/// Makes the upper directory visible to this process alone, where it is not visible to all.
fn look_for_backing(
    request: &Request,
    world: &World,
    config: &Config,
    notices: &mut Vec<Notice>,
) -> Option<Stage> {
    let root = world.root.as_ref().filter(|_| needs::needs_backing(request, world))?;
    let trail = Trail::gather(root, &mounts::all_mounts(), config);
    let paths = world.all_operands().filter_map(|operand| Some(operand.location()?.path.as_path()));
    match reveal::build(&trail, &paths.collect::<Vec<_>>()) {
        Ok(stage) => stage,
        Err(error) => {
            notices.push(Notice::info(format!("{error}.")));
            None
        }
    }
}

/// A panic would be a bug of ours; the user's call goes to the real tool all the same.
fn fall_back_to(real: &Real, call: &Invocation) {
    let (path, argv) = (real.path.clone(), call.argv.clone());
    std::panic::set_hook(Box::new(move |_| {
        let _ = tool::become_it(&path, &argv);
    }));
}
