//! What a call of swapon, swapoff or mkswap shall become.
//!
//! The decisions about single operands are made in `operand`; here they become one plan, and the mode in which
//! the real tool is run.

pub(crate) mod fallback;
pub(crate) mod fstab;
pub(crate) mod next;
pub(crate) mod operand;
pub(crate) mod outcome;
pub(crate) mod place;
pub(crate) mod report;
pub(crate) mod runs;
pub(crate) mod show;
pub(crate) mod types;

use std::path::PathBuf;

use crate::command::request::{Act, Request};
use crate::command::tables::{Effect, Flavour, Maker, Purpose};
use crate::config::OnFailure;
use crate::shim::call::ShimCall;
use crate::shim::facts::operand::{Operand, What};
use crate::shim::facts::{Backing, World};
use crate::shim::plan::operand::Judge;
use crate::shim::plan::types::{Decided, Decision, FileNow, Mode, Origin, Plan, Reason};
use crate::swap::fallback::FallbackDevice;

/// Decides.
pub fn plan(call: &ShimCall<'_>, world: &World) -> Plan {
    let act = match &call.request {
        Request::HandOver(why) => return hand_over(call, world, Reason::Request(*why)),
        Request::Act(act) => act,
    };
    if world.backing == Backing::Forbidden {
        return hand_over(call, world, Reason::Forbidden);
    }
    if world.root_unseen && call.tool.purpose == Purpose::Enable {
        return as_it_is_on_an_unseen_root(call, act, world);
    }
    if world.root.is_none() {
        return hand_over(call, world, Reason::NoOverlay);
    }
    act_on_the_overlay(call, act, world)
}

/// The plan that leaves everything to the real tool.
fn hand_over(call: &ShimCall<'_>, world: &World, reason: Reason) -> Plan {
    let backing = world.backing.mount();
    Plan {
        tool: call.tool,
        flavour: call.flavour,
        argv: call.invocation.argv.clone(),
        operands: Vec::new(),
        mode: Mode::HandOver(reason),
        upper: backing.map_or_else(PathBuf::new, |mount| mount.point.clone()),
        fstype: backing.map_or_else(String::new, |mount| mount.fstype.clone()),
        leftovers: world.leftovers.clone(),
        common: Vec::new(),
        is_split: false,
        foreword: Vec::new(),
        verbose: false,
        by_tag: false,
        lenient: false,
    }
}

fn as_it_is_on_an_unseen_root(call: &ShimCall<'_>, act: &Act, world: &World) -> Plan {
    let why = "is on an overlay whose mount is not visible from here (no /proc, or a chroot)";
    let as_it_is = |place: &usize| Decided {
        origin: Origin::Argv(*place),
        given: call.invocation.argv.get(*place).cloned().unwrap_or_default(),
        decision: Decision::AsItIs { why: why.to_owned(), told: true },
    };
    Plan {
        operands: act.operands.iter().map(as_it_is).collect(),
        lenient: call.config.swap.on_failure == OnFailure::Continue,
        mode: Mode::Supervise,
        ..hand_over(call, world, Reason::NothingToDo)
    }
}

fn act_on_the_overlay(call: &ShimCall<'_>, act: &Act, world: &World) -> Plan {
    let (purpose, flavour) = (call.tool.purpose, call.flavour);
    let lenient = purpose == Purpose::Enable && call.config.swap.on_failure == OnFailure::Continue;
    let operands = decide_all(&Judge { call, act, world });
    let is_split = operands.iter().any(|operand| matches!(operand.origin, Origin::Fstab(_) | Origin::Tag(_)))
        && !operands.iter().all(|operand| operand.is_quiet(flavour));
    let by_tag = !act.tags.is_empty() || world.operands.iter().any(|operand| operand.what == What::Tag);
    let says_foreword = is_split && act.all && flavour.kind == Maker::UtilLinux;
    Plan {
        mode: mode(purpose, flavour, &operands, lenient),
        operands,
        common: fstab::common_options(act),
        is_split,
        foreword: if says_foreword { fstab::foreword(call.tool, world) } else { Vec::new() },
        verbose: act.options.iter().any(|given| given.option.effect == Effect::Verbose),
        by_tag: by_tag && !act.all,
        lenient,
        ..hand_over(call, world, Reason::NothingToDo)
    }
}

fn decide_all(judge: &Judge<'_>) -> Vec<Decided> {
    let Judge { call, act, world } = judge;
    let purpose = call.tool.purpose;
    let one = |origin, operand: &Operand| Decided {
        origin,
        given: operand.given.clone(),
        decision: judge.decide(operand),
    };
    let mut decided = Vec::new();
    if purpose == Purpose::Enable {
        decided = fstab::decide(judge);
    }
    for (place, operand) in act.operands.iter().zip(&world.operands) {
        let mut chosen = one(Origin::Argv(*place), operand);
        if let (Purpose::Enable, Some(file)) = (purpose, fstab::file_of(&operand.given, world)) {
            chosen.decision = judge.decide(file);
        }
        decided.push(chosen);
    }
    if purpose == Purpose::Disable {
        let active = world.active.iter().map(|area| one(Origin::Active, area));
        // Without -a these are only there so that a tag finds them.
        let is_meant = |area: &Decided| {
            let is_gone = matches!(area.decision, Decision::ActiveFallback { file: FileNow::Gone, .. });
            act.all || !is_gone
        };
        decided.extend(active.filter(is_meant));
    }
    if purpose == Purpose::Disable && act.all {
        let forgotten: Vec<Decided> = fallbacks_nobody_named(&decided, world).collect();
        decided.extend(forgotten);
    }
    decided
}

/// The fallback devices that none of these decisions is about: each one's name leads to something else by now.
fn fallbacks_nobody_named(decided: &[Decided], world: &World) -> impl Iterator<Item = Decided> {
    let is_named = |device: &FallbackDevice| {
        let names = |decided: &Decided| matches!(&decided.decision, Decision::ActiveFallback { device: named, .. } if named == device);
        decided.iter().any(names)
    };
    world.fallbacks.iter().filter(move |device| !is_named(device)).map(|device| {
        let (path, device, file) = (device.name.clone(), device.clone(), FileNow::Gone);
        let given = path.clone().into();
        Decided { origin: Origin::Active, given, decision: Decision::ActiveFallback { path, device, file } }
    })
}

fn mode(purpose: Purpose, flavour: &Flavour, operands: &[Decided], lenient: bool) -> Mode {
    let quiet = operands.iter().all(|operand| operand.is_quiet(flavour));
    match purpose {
        Purpose::Enable if quiet && !lenient => Mode::HandOver(Reason::NothingToDo),
        Purpose::Enable => Mode::Supervise,
        Purpose::Disable | Purpose::Format if quiet => Mode::HandOver(Reason::NothingToDo),
        Purpose::Disable | Purpose::Format => Mode::Mask,
    }
}
