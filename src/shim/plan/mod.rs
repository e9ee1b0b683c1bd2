//! What a call of swapon, swapoff or mkswap shall become.
//!
//! The decisions about single operands are `decide`'s; here they become one plan, and the road that it takes.

pub(crate) mod fallback;
pub(crate) mod fstab;
pub(crate) mod needs;
pub(crate) mod operand;
pub(crate) mod outcome;
pub(crate) mod place;
pub(crate) mod report;
pub(crate) mod runs;
pub(crate) mod show;
pub(crate) mod types;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::command::request::{Act, Request};
use crate::command::tables::{Effect, Flavour, Kind, Purpose, Tool};
use crate::config::{Config, OnFailure};
use crate::shim::facts::operand::{Operand, What};
use crate::shim::facts::{Backing, World};
use crate::shim::plan::operand::decide;
use crate::shim::plan::types::{Decided, Decision, Origin, Plan, Reason, Road, orphan};
use crate::swap::fallback::StandIn;

/// Decides.
pub fn plan(
    tool: &'static Tool,
    flavour: &'static Flavour,
    argv: &[OsString],
    request: &Request,
    world: &World,
    config: &Config,
) -> Plan {
    let mut plan = Plan {
        tool,
        flavour,
        argv: argv.to_vec(),
        operands: Vec::new(),
        road: Road::Untouched(Reason::NothingToDo),
        upper: world.backing.mount().map_or_else(PathBuf::new, |mount| mount.point.clone()),
        fstype: world.backing.mount().map_or_else(String::new, |mount| mount.fstype.clone()),
        leftovers: world.leftovers.clone(),
        common: Vec::new(),
        apart: false,
        foreword: Vec::new(),
        verbose: false,
        by_tag: false,
        lenient: false,
    };
    let act = match request {
        Request::Untouched(why) => return Plan { road: Road::Untouched(Reason::Request(*why)), ..plan },
        Request::Act(act) => act,
    };
    if world.backing == Backing::Forbidden {
        return Plan { road: Road::Untouched(Reason::Forbidden), ..plan };
    }
    if world.root_unseen && tool.purpose == Purpose::Enable {
        let why = "is on an overlay whose mount is not visible from here (no /proc, or a chroot)";
        let blind = |place: &usize| Decided {
            origin: Origin::Argv(*place),
            given: argv.get(*place).cloned().unwrap_or_default(),
            decision: Decision::AsItIs(why.to_owned(), true),
        };
        plan.operands = act.operands.iter().map(blind).collect();
        plan.lenient = config.swap.on_failure == OnFailure::Continue;
        return Plan { road: Road::Supervised, ..plan };
    }
    if world.root.is_none() {
        return Plan { road: Road::Untouched(Reason::NoOverlay), ..plan };
    }
    plan.lenient = tool.purpose == Purpose::Enable && config.swap.on_failure == OnFailure::Continue;
    plan.operands = decide_all(tool.purpose, flavour.kind, act, world, config);
    plan.apart =
        plan.operands.iter().any(|operand| matches!(operand.origin, Origin::Fstab(_) | Origin::Tag(_)))
            && !plan.operands.iter().all(|operand| operand.is_quiet(flavour));
    plan.common = fstab::common_options(act);
    let by_tag = !act.tags.is_empty() || world.operands.iter().any(|operand| operand.what == What::Tag);
    plan.by_tag = by_tag && !act.all;
    if plan.apart && act.all && flavour.kind == Kind::UtilLinux {
        plan.foreword = fstab::foreword(tool, world);
    }
    plan.verbose = act.options.iter().any(|given| given.option.effect == Effect::Verbose);
    plan.road = road(tool.purpose, flavour, &plan.operands, plan.lenient);
    plan
}

fn decide_all(purpose: Purpose, kind: Kind, act: &Act, world: &World, config: &Config) -> Vec<Decided> {
    let judge = |operand: &Operand| decide(purpose, act, operand, world, config);
    let one = |origin, operand: &Operand| Decided {
        origin,
        given: operand.given.clone(),
        decision: judge(operand),
    };
    let mut decided = Vec::new();
    if purpose == Purpose::Enable {
        decided = fstab::decide(act, kind, world, judge);
    }
    for (place, operand) in act.operands.iter().zip(&world.operands) {
        let mut chosen = one(Origin::Argv(*place), operand);
        if let (Purpose::Enable, Some(file)) = (purpose, fstab::file_of(&operand.given, world)) {
            chosen.decision = judge(file);
        }
        decided.push(chosen);
    }
    if purpose == Purpose::Disable {
        let active = world.active.iter().map(|area| one(Origin::Active, area));
        // Without -a these are only there so that a tag finds them.
        let is_meant =
            |area: &Decided| act.all || !matches!(area.decision, Decision::StoodIn { gone: true, .. });
        decided.extend(active.filter(is_meant));
    }
    if purpose == Purpose::Disable && act.all {
        let is_meant = |area: &StandIn| {
            let stands = |decided: &Decided| matches!(&decided.decision, Decision::StoodIn { area: other, .. } if other == area);
            decided.iter().any(stands)
        };
        let forgotten: Vec<&StandIn> = world.stand_ins.iter().filter(|area| !is_meant(area)).collect();
        decided.extend(forgotten.into_iter().map(orphan));
    }
    decided
}

fn road(purpose: Purpose, flavour: &Flavour, operands: &[Decided], lenient: bool) -> Road {
    let quiet = operands.iter().all(|operand| operand.is_quiet(flavour));
    match purpose {
        Purpose::Enable if quiet && !lenient => Road::Untouched(Reason::NothingToDo),
        Purpose::Enable => Road::Supervised,
        Purpose::Disable | Purpose::Format if quiet => Road::Untouched(Reason::NothingToDo),
        Purpose::Disable | Purpose::Format => Road::Masked,
    }
}
