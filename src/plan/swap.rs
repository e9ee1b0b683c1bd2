//! What a call of swapon, swapoff or mkswap shall become.
//!
//! The order of the rules is the contract's: not a path to a regular file → as it is; on the backing
//! filesystem → as it is; on a volume → refuse; on the root overlay → its backing path; on something that
//! cannot hold swap → skip; anything uncertain → as it is.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::{Config, Fallback, OnFailure, Volumes};
use crate::paths::{BackingPath, OverlayPath};
use crate::shim::args::{self, Act, Request, Why};
use crate::shim::tables::{Effect, Flavour, Kind, Purpose, Tool};
use crate::world::files::{FileFacts, Header, Operand, Twin, What};
use crate::world::{Backing, World};

use super::listed;
use super::place::{Place, place_of};
use super::standin;

/// What shall be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The command.
    pub tool: &'static Tool,
    /// By whose rules its arguments were read.
    pub flavour: &'static Flavour,
    /// argv as it came.
    pub argv: Vec<OsString>,
    /// What shall happen to each operand.
    pub operands: Vec<Decided>,
    /// How the real tool is run.
    pub road: Road,
    /// Where the upper directory is visible.
    pub upper: PathBuf,
    /// The backing filesystem's type; empty if it is not visible.
    pub fstype: String,
    /// Files of the root overlay that are active already.
    pub active: Vec<OverlayPath>,
    /// The options that every run of the real tool gets when the call is taken apart.
    pub common: Vec<OsString>,
    /// Whether the call has to be taken apart because fstab or a tag names a file that concerns us.
    pub apart: bool,
    /// Lines for stderr that the real tool says first, and does not where the call is taken apart.
    pub foreword: Vec<OsString>,
    /// `-v` was given.
    pub verbose: bool,
    /// Whether a caller is told 0 when swap could not be enabled.
    pub lenient: bool,
}

/// An operand and its decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Where it comes from.
    pub origin: Origin,
    /// As it was given.
    pub given: OsString,
    /// What shall happen.
    pub decision: Decision,
}

/// Where an operand comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This place in argv.
    Argv(usize),
    /// An option that names a swap area (`-L`), as arguments.
    Tag(Vec<OsString>),
    /// A line of fstab, whose options are these arguments.
    Fstab(Vec<OsString>),
    /// `/proc/swaps`: an active area that only `swapoff -a` means.
    Active,
}

/// What shall happen to an operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The real tool gets what the user wrote. The second field is worth a notice.
    AsItIs(String, bool),
    /// The real tool works on the backing file, if it is proved to be the same; else as it is, with a notice.
    Backing(Twofold),
    /// The real tool is not run for it: it is on a volume.
    Refuse {
        /// The file.
        path: PathBuf,
        /// Where the volume is mounted.
        point: PathBuf,
        /// What was mounted.
        source: OsString,
    },
    /// The real tool is not run for it: the filesystem cannot hold swap.
    Skip {
        /// The file.
        path: PathBuf,
        /// The filesystem's type.
        fstype: String,
        /// Why.
        reason: &'static str,
    },
    /// The filesystem cannot hold swap, and something else shall stand in for the file.
    StandIn {
        /// The file.
        path: PathBuf,
        /// In bytes.
        size: u64,
        /// The filesystem's type.
        fstype: String,
        /// What to try, in this order.
        ways: Vec<Fallback>,
    },
    /// A device stands in for the file, and that is what is disabled.
    StoodIn {
        /// The file.
        path: PathBuf,
        /// What stands in for it.
        area: standin::Active,
    },
    /// Nothing is to be done, and natively nothing would be; the real tool says these words with `-v`.
    Leave(&'static str),
}

/// One file with two names, and what it needs before swapon takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twofold {
    /// As the user sees it, without symlinks.
    pub seen: PathBuf,
    /// In the overlay.
    pub overlay: OverlayPath,
    /// On the backing filesystem, unproved.
    pub backing: BackingPath,
    /// Opened for writing through the overlay first, which copies a lower file up, and a metacopy stub's data.
    pub bring_up: bool,
    /// Nothing stands at the backing path yet, so opening will copy the whole file.
    pub lower_only: bool,
    /// It is in a lower layer only and holds nothing but an area that is not in use: it is made new at the same
    /// size, with the same header, instead of being copied up.
    pub remake: bool,
    /// What may stand in for it if the filesystem refuses it, in this order.
    pub ways: Vec<Fallback>,
    /// Nothing but the area can be in it, so blocks that the kernel refuses may be written anew.
    pub rewrite: bool,
    /// Holes are filled in place, those too that copying up leaves.
    pub fill: bool,
    /// Bytes of holes that are known already.
    pub holes: u64,
    /// In bytes.
    pub size: u64,
    /// It was looked at and carries no swap signature.
    pub unformatted: bool,
}

/// How the real tool is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// We become it, with argv as it is.
    Untouched(Reason),
    /// We become it, with argv as it is, in a private mount namespace where each proved backing file is
    /// mounted over the user's path.
    Masked,
    /// We run it, once for all operands or once for each, and look at its status.
    Supervised,
}

/// Why the real tool gets argv as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The command line concerns no swap area.
    Request(Why),
    /// The caller may not look at `/.rootfs-shim`.
    Forbidden,
    /// The root filesystem is no overlay.
    NoOverlay,
    /// No operand needs anything of us.
    NothingToDo,
}

/// What the scanner made of argv, or the road if that alone decides.
pub fn request(
    tool: &'static Tool,
    kind: Kind,
    argv: &[OsString],
    posixly: bool,
) -> Option<(&'static Flavour, Request)> {
    let flavour = tool.flavour(kind)?;
    Some((flavour, args::read(tool, flavour, argv, posixly)))
}

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
        active: world.swaps.iter().filter_map(|swap| OverlayPath::parse(&swap.path)).collect(),
        common: Vec::new(),
        apart: false,
        foreword: Vec::new(),
        verbose: false,
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
    plan.operands = decide_all(tool.purpose, act, world, config);
    plan.apart =
        plan.operands.iter().any(|operand| matches!(operand.origin, Origin::Fstab(_) | Origin::Tag(_)))
            && !plan.operands.iter().all(|operand| operand.is_quiet(flavour));
    plan.common = listed::common_options(act);
    if plan.apart && act.all && flavour.kind == Kind::UtilLinux {
        plan.foreword = listed::foreword(tool, world);
    }
    plan.verbose = act.options.iter().any(|given| given.option.effect == Effect::Verbose);
    plan.road = road(tool.purpose, flavour, &plan.operands, plan.lenient);
    plan
}

fn decide_all(purpose: Purpose, act: &Act, world: &World, config: &Config) -> Vec<Decided> {
    let judge = |operand: &Operand| decide(purpose, act, operand, world, config);
    let one = |origin, operand: &Operand| Decided {
        origin,
        given: operand.given.clone(),
        decision: judge(operand),
    };
    let mut decided = Vec::new();
    if purpose == Purpose::Enable {
        decided = listed::decide(act, world, judge);
    }
    for (place, operand) in act.operands.iter().zip(&world.operands) {
        let mut chosen = one(Origin::Argv(*place), operand);
        if let (Purpose::Enable, Some(file)) = (purpose, listed::file_of_tag(&operand.given, world)) {
            chosen.decision = judge(file);
        }
        decided.push(chosen);
    }
    if purpose == Purpose::Disable {
        decided.extend(world.active.iter().map(|area| match standin::of_area(area) {
            Some(found) if act.all => Decided {
                origin: Origin::Active,
                given: area.given.clone(),
                decision: Decision::StoodIn { path: found.device.clone(), area: found },
            },
            _ => one(Origin::Active, area),
        }));
    }
    decided
}

impl Decided {
    /// Whether the real tool, run as the user called it, does with this what it does natively. util-linux
    /// leaves by itself what is to be left; the others try to enable it and go by the errno, which on the
    /// overlay is another.
    pub fn is_quiet(&self, flavour: &Flavour) -> bool {
        match self.decision {
            Decision::AsItIs(_, worth_a_notice) => !worth_a_notice,
            Decision::Leave(_) => flavour.kind == Kind::UtilLinux && !matches!(self.origin, Origin::Argv(_)),
            _ => false,
        }
    }
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

fn decide(purpose: Purpose, act: &Act, operand: &Operand, world: &World, config: &Config) -> Decision {
    let as_it_is = |why: &str| Decision::AsItIs(why.to_owned(), false);
    let place = match (&operand.what, operand.location()) {
        (What::Tag, _) => return as_it_is("is a label or UUID"),
        (What::NotAFile(thing), _) => return as_it_is(&format!("is a {}", thing.kind)),
        (What::Missing { errno, .. }, None) => {
            return as_it_is(&format!("cannot be opened: {}", errno.desc()));
        }
        (_, Some(location)) => place_of(world, location, operand.file().and_then(|file| file.filesystem)),
        (What::File(_), None) => return as_it_is("is nowhere"),
    };
    if let (Place::Volume { point, source }, true) = (&place, refuses(purpose, act, operand, config)) {
        let path = operand.location().map_or_else(PathBuf::new, |location| location.path.clone());
        return Decision::Refuse { path, point: point.clone(), source: source.clone() };
    }
    if let Some(area) = operand.file().and_then(|file| standin::of_file(&file.location.path, world)) {
        let path = operand.location().map_or_else(PathBuf::new, |location| location.path.clone());
        return match purpose {
            Purpose::Enable => Decision::Leave("already active -- ignored"),
            Purpose::Disable => Decision::StoodIn { path, area },
            Purpose::Format => as_it_is("is a file whose area is elsewhere"),
        };
    }
    match (&operand.what, place) {
        (What::Missing { errno, .. }, _) => as_it_is(&format!("cannot be opened: {}", errno.desc())),
        (What::File(file), Place::RootOverlay(path)) => {
            on_the_overlay(purpose, act, file, path, world, config)
        }
        (What::File(file), Place::NoSwap { fstype, reason }) if purpose == Purpose::Enable => {
            instead(file, fstype, reason, config)
        }
        (_, Place::Backing) => as_it_is("is on the backing filesystem already"),
        (_, Place::Volume { .. }) if purpose == Purpose::Disable => as_it_is("is on a volume"),
        (_, Place::Volume { .. }) => as_it_is("is on a volume, which is allowed here"),
        (_, Place::NoSwap { .. }) => as_it_is("is on a filesystem without swap"),
        (_, Place::Uncertain(why)) => as_it_is(why),
        (_, Place::UntoldVolume) => {
            let why = "is on a disk that may be a volume, but the backing filesystem is not visible to tell";
            Decision::AsItIs(why.to_owned(), purpose != Purpose::Disable)
        }
        (_, Place::RootOverlay(_)) => as_it_is("is on the root overlay"),
    }
}

/// swapoff never refuses; mkswap creates no file on a volume either.
fn refuses(purpose: Purpose, act: &Act, operand: &Operand, config: &Config) -> bool {
    let there = operand.file().is_some() || act.creates;
    config.swap.volumes == Volumes::Refuse && purpose != Purpose::Disable && there
}

/// A filesystem without swap: compressed memory, where that is configured, else a word why not. A loop device
/// over a file in memory or on another machine would be a trap.
fn instead(file: &FileFacts, fstype: String, reason: &'static str, config: &Config) -> Decision {
    let path = file.location.path.clone();
    let ways: Vec<Fallback> =
        config.swap.fallback.iter().copied().filter(|way| *way == Fallback::Zram).collect();
    match file.header {
        Header::Swap { .. } if !ways.is_empty() => Decision::StandIn { path, size: file.size, fstype, ways },
        _ => Decision::Skip { path, fstype, reason },
    }
}

fn on_the_overlay(
    purpose: Purpose,
    act: &Act,
    file: &FileFacts,
    path: OverlayPath,
    world: &World,
    config: &Config,
) -> Decision {
    let Some(upper) = world.backing.mount() else {
        return Decision::AsItIs(
            "is on the root overlay, whose backing filesystem is not visible".to_owned(),
            purpose == Purpose::Enable,
        );
    };
    if act.creates {
        return Decision::AsItIs("the tool makes the file itself, through the overlay".to_owned(), false);
    }
    if purpose == Purpose::Disable && file.twin != Some(Twin::File) {
        return Decision::AsItIs("is in a lower layer only, so it cannot be active".to_owned(), false);
    }
    if file.twin == Some(Twin::Other) {
        return Decision::AsItIs(
            "its path means another thing on the backing filesystem".to_owned(),
            purpose == Purpose::Enable,
        );
    }
    if purpose == Purpose::Enable && upper.fstype == "tmpfs" {
        return instead(file, upper.fstype.clone(), "lives in memory", config);
    }
    let ready = purpose == Purpose::Enable && matches!(file.header, Header::Swap { .. });
    let lower_only = file.twin == Some(Twin::Nothing);
    let only_swap = ready && is_all_swap(file);
    Decision::Backing(Twofold {
        seen: file.location.path.clone(),
        backing: path.on(&upper.point),
        overlay: path,
        bring_up: purpose != Purpose::Disable,
        lower_only,
        remake: only_swap && lower_only && file.links == 1,
        rewrite: only_swap,
        ways: if ready { config.swap.fallback.clone() } else { Vec::new() },
        fill: ready,
        holes: file.holes(),
        size: file.size,
        unformatted: file.header == Header::Missing,
    })
}

/// Whether the area that the header tells of is the whole file, but for less than a page at its end.
fn is_all_swap(file: &FileFacts) -> bool {
    const LARGEST_PAGE: u64 = 64 * 1024;
    let Header::Swap { bytes, .. } = file.header else { return false };
    bytes <= file.size && file.size - bytes < LARGEST_PAGE
}

/// Whether the backing filesystem has to be looked for before anything can be decided: a file is on the root
/// overlay, or on a disk that may be a volume or the backing filesystem itself.
pub fn needs_backing(request: &Request, world: &World) -> bool {
    let (Some(root), Request::Act(_), Backing::Missing) = (&world.root, request, &world.backing) else {
        return false;
    };
    let concerned = |operand: &Operand| {
        let mount = operand.location().and_then(|location| world.mounts.get(location.mount));
        mount.is_some_and(|mount| mount.device == root.device || mount.device.major != 0)
    };
    world.all_operands().any(concerned)
}
