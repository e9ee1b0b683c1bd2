//! A shim's run: argv → what was asked → facts → plan → the real tool.
//!
//! It is on the path of every boot, so it reads nothing until it knows that files are concerned, and it never
//! ends a caller's script by a fault of its own: whatever goes wrong before the real tool is run, the real
//! tool is run as the user called it.

pub mod facts;
pub mod plan;
pub mod run;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::backing::candidates::Trail;
use crate::backing::reveal::{self, Stage};
use crate::command::real_tool::{self, Real};
use crate::command::request::{Act, Request};
use crate::command::tables::{Effect, Flavour, Kind, Purpose, Tool};
use crate::config::{Config, Fallback};
use crate::error::Error;
use crate::invocation::{DEPTH_VARIABLE, Invocation};
use crate::notice::{self, Notice};
use crate::shim::facts::{Scope, World};
use crate::shim::plan::report::{self, Prepared};
use crate::shim::plan::{Plan, Road};
use crate::shim::run::supervise::Supervisor;
use crate::shim::run::{fallback, prepare, tool};
use crate::swap::fstab::Reader;
use crate::swap::tag::Tag;
use crate::{builtin, paths, sys};

/// A real tool that calls its own name may do so this often before we end the chain.
const DEPTH_AT_MOST: u8 = 4;

/// Runs as `tool`; returns the exit status, or does not return because the process became the real tool.
pub fn run(tool: &'static Tool, call: &Invocation) -> i32 {
    // An image without the tool, and one whose tool was replaced by a shim, get the builtin.
    let real = real_tool::find(tool, call.executable().as_deref()).unwrap_or_else(|_| Real::builtin());
    run_with(tool, &real, call)
}

/// Runs as `tool`, with `real` or our builtin behind it.
pub fn run_with(tool: &'static Tool, real: &Real, call: &Invocation) -> i32 {
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
            if plan::needs_proc(tool.purpose, &request, &world) && reveal::borrow_proc() {
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
pub fn request(
    tool: &'static Tool,
    real: Option<&Real>,
    call: &Invocation,
) -> Option<(&'static Flavour, Request)> {
    let kind = real.map_or(Kind::UtilLinux, |real| real.kind);
    let (flavour, request) = plan::request(tool, kind, &call.argv, call.posixly)?;
    Some((flavour, request.to(|option| real?.knows(option))))
}

/// Makes the upper directory visible to this process alone, where it is not visible to all.
fn look_for_backing(
    request: &Request,
    world: &World,
    config: &Config,
    notices: &mut Vec<Notice>,
) -> Option<Stage> {
    let root = world.root.as_ref().filter(|_| plan::needs_backing(request, world))?;
    let trail = Trail::gather(root, &facts::all_mounts(), config);
    let paths = world.all_operands().filter_map(|operand| Some(operand.location()?.path.as_path()));
    match reveal::build(&trail, &paths.collect::<Vec<_>>()) {
        Ok(stage) => stage,
        Err(error) => {
            notices.push(Notice::info(format!("{error}.")));
            None
        }
    }
}

/// The config at the first of these places that has one, and a notice if it makes no sense. A caller who may not
/// read it is told nothing.
pub fn load_config(places: &[&Path]) -> (Config, Vec<Notice>) {
    let (config, errors) = Config::load_what_makes_sense(places);
    let told = errors.iter().filter(|error| error.errno() != Some(nix::errno::Errno::EACCES));
    let notices = told.map(|error| Notice::warn(format!("{error}; it is passed over."))).collect();
    (config, notices)
}

/// The facts that a command needs.
pub fn gather(
    tool: &Tool,
    flavour: &Flavour,
    request: &Request,
    call: &Invocation,
    config: &Config,
    upper: Option<&Path>,
) -> World {
    let Request::Act(act) = request else { return World::default() };
    let operands: Vec<_> = act.operands.iter().filter_map(|place| call.argv.get(*place).cloned()).collect();
    let enables = tool.purpose == Purpose::Enable;
    let mut tags: Vec<Tag> = operands.iter().filter_map(|operand| Tag::parse(operand)).collect();
    tags.extend(act.tags.iter().cloned());
    let wide = act.all || !tags.is_empty();
    if !enables {
        // Whatever a tag means, what is active is looked at, and nothing else can be meant.
        tags.clear();
    }
    let reader = if flavour.kind == Kind::UtilLinux { Reader::Libmount } else { Reader::Getmntent };
    let fstab = || (fstab_of(act, call, reader), reader);
    let scope = Scope {
        upper: upper.map(Path::to_owned),
        headers: enables,
        active: wide,
        leftovers: config.swap.fallback.contains(&Fallback::Zram) && tool.purpose != Purpose::Format,
        fstab: (enables && wide).then(fstab),
        tags,
    };
    World::gather(&operands, &scope)
}

/// `--fstab FILE`, else what libmount would read; the others know only one.
fn fstab_of(act: &Act, call: &Invocation, reader: Reader) -> PathBuf {
    let given = act.options.iter().rfind(|given| given.option.effect == Effect::Fstab);
    let given = given.and_then(|given| given.value.clone()).map(PathBuf::from);
    let variable = call.fstab.clone().filter(|_| reader == Reader::Libmount);
    given.or(variable).unwrap_or_else(|| PathBuf::from("/etc/fstab"))
}

fn carry_out(
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
            let masked = tool::mask(plan, &prepared);
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
            masked.into_iter().for_each(tool::Mask::lift);
            if plan.tool.purpose == Purpose::Disable {
                plan.stood_in().for_each(|(_, area, _)| fallback::retire(area));
            }
            status
        }
        Road::Supervised => Supervisor { plan, real, call, stage }.supervise(config, notices),
    }
}

fn become_real(
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

/// A panic would be a bug of ours; the user's call goes to the real tool all the same.
fn fall_back_to(real: &Real, call: &Invocation) {
    let (path, argv) = (real.path.clone(), call.argv.clone());
    std::panic::set_hook(Box::new(move |_| {
        let _ = tool::become_it(&path, &argv);
    }));
}
