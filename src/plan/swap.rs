//! What a call of swapon, swapoff or mkswap shall become.
//!
//! The order of the rules is the contract's: not a path to a regular file → as it is; on the backing
//! filesystem → as it is; on a volume → refuse; on the root overlay → its backing path; on something that
//! cannot hold swap → skip; anything uncertain → as it is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::{Config, OnFailure, Volumes};
use crate::paths::{BackingPath, OverlayPath};
use crate::shim::args::{self, Act, Request, Why};
use crate::shim::tables::{Flavour, Kind, Purpose, Tool};
use crate::world::World;
use crate::world::files::{FileFacts, Operand, Twin, What};

use super::place::{Place, place_of};

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
    /// Whether a caller is told 0 when swap could not be enabled.
    pub lenient: bool,
}

/// An operand and its decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Its place in argv; `None` for an active area that only `-a` means.
    pub place: Option<usize>,
    /// As it was given.
    pub given: OsString,
    /// What shall happen.
    pub decision: Decision,
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
    /// Opened for writing through the overlay first, which copies a lower file up.
    pub bring_up: bool,
    /// Bytes of holes to be filled in place; 0 for none.
    pub fill: u64,
    /// In bytes.
    pub size: u64,
    /// Whether it carries a swap signature, if that was looked at.
    pub signature: Option<bool>,
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
    /// fstab and labels are the real tool's own business.
    OwnBusiness,
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
    let lenient = tool.purpose == Purpose::Enable && config.swap.on_failure == OnFailure::Continue;
    let untouched = |why| Plan {
        tool,
        flavour,
        argv: argv.to_vec(),
        operands: Vec::new(),
        road: Road::Untouched(why),
        lenient: false,
    };
    let act = match request {
        Request::Untouched(why) => return untouched(Reason::Request(*why)),
        Request::Act(act) => act,
    };
    if world.backing == crate::world::Backing::Forbidden {
        return untouched(Reason::Forbidden);
    }
    if world.root.is_none() {
        return untouched(Reason::NoOverlay);
    }
    if tool.purpose == Purpose::Enable && (act.all || act.tags) {
        return untouched(Reason::OwnBusiness);
    }
    let operands = decide_all(tool.purpose, act, world, config);
    let road = road(tool.purpose, &operands, lenient);
    Plan { tool, flavour, argv: argv.to_vec(), operands, road, lenient }
}

fn decide_all(purpose: Purpose, act: &Act, world: &World, config: &Config) -> Vec<Decided> {
    let one = |place, operand: &Operand| Decided {
        place,
        given: operand.given.clone(),
        decision: decide(purpose, act, operand, world, config),
    };
    let mut decided: Vec<Decided> =
        act.operands.iter().zip(&world.operands).map(|(place, operand)| one(Some(*place), operand)).collect();
    if purpose == Purpose::Disable && (act.all || act.tags) {
        decided.extend(world.active.iter().map(|operand| one(None, operand)));
    }
    decided
}

fn road(purpose: Purpose, operands: &[Decided], lenient: bool) -> Road {
    let quiet = operands.iter().all(|operand| matches!(operand.decision, Decision::AsItIs(_, false)));
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
        (What::NotAFile(kind), _) => return as_it_is(&format!("is a {kind}")),
        (What::Missing { errno, .. }, None) => {
            return as_it_is(&format!("cannot be opened: {}", errno.desc()));
        }
        (_, Some(location)) => place_of(world, location),
        (What::File(_), None) => return as_it_is("is nowhere"),
    };
    if let (Place::Volume { point, source }, true) = (&place, refuses(purpose, act, operand, config)) {
        let path = operand.location().map_or_else(PathBuf::new, |location| location.path.clone());
        return Decision::Refuse { path, point: point.clone(), source: source.clone() };
    }
    match (&operand.what, place) {
        (What::Missing { errno, .. }, _) => as_it_is(&format!("cannot be opened: {}", errno.desc())),
        (What::File(file), Place::RootOverlay(path)) => on_the_overlay(purpose, act, file, path, world),
        (What::File(file), Place::NoSwap { fstype, reason }) if purpose == Purpose::Enable => {
            Decision::Skip { path: file.location.path.clone(), fstype, reason }
        }
        (_, Place::Backing) => as_it_is("is on the backing filesystem already"),
        (_, Place::Volume { .. }) => as_it_is("is on a volume, which is allowed here"),
        (_, Place::NoSwap { .. }) => as_it_is("is on a filesystem without swap"),
        (_, Place::Uncertain(why)) => as_it_is(why),
        (_, Place::RootOverlay(_)) => as_it_is("is on the root overlay"),
    }
}

/// swapoff never refuses; mkswap creates no file on a volume either.
fn refuses(purpose: Purpose, act: &Act, operand: &Operand, config: &Config) -> bool {
    let there = operand.file().is_some() || act.creates;
    config.swap.volumes == Volumes::Refuse && purpose != Purpose::Disable && there
}

fn on_the_overlay(
    purpose: Purpose,
    act: &Act,
    file: &FileFacts,
    path: OverlayPath,
    world: &World,
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
    let ready = purpose == Purpose::Enable && file.signature == Some(true);
    Decision::Backing(Twofold {
        seen: file.location.path.clone(),
        backing: path.on(&upper.point),
        overlay: path,
        bring_up: purpose != Purpose::Disable,
        fill: if ready { file.holes() } else { 0 },
        size: file.size,
        signature: file.signature,
    })
}

impl Plan {
    /// The runs of the real tool that the plan comes to, given which operands were proved: for each, the
    /// operands that it is about, argv, and whether it needs the private namespace.
    ///
    /// Operands that are as the user wrote them must not be enabled inside the namespace: the kernel prints
    /// their names from a mount that is gone afterwards (`/dev/vdc` would become `/vdc`).
    pub fn runs(&self, proved: &[bool]) -> Vec<Run> {
        let live: Vec<usize> = (0..self.operands.len()).filter(|at| self.is_run(*at)).collect();
        let mixed = live.len() != self.operands.len() || live.iter().any(|at| self.backing(*at).is_some());
        let groups: Vec<Vec<usize>> = match mixed {
            true => live.into_iter().map(|at| vec![at]).collect(),
            false => vec![live],
        };
        groups.into_iter().map(|group| self.run(group, proved)).collect()
    }

    /// argv for [`Road::Masked`]: as it came, without what was refused.
    pub fn masked_argv(&self) -> Vec<OsString> {
        let refused = (0..self.operands.len()).filter(|at| !self.is_run(*at));
        let places = refused.filter_map(|at| self.operands.get(at)?.place);
        args::rewrite(&self.argv, &places.map(|place| (place, None)).collect::<Vec<_>>())
    }

    /// Whether there is anything left for the real tool.
    pub fn has_runs(&self) -> bool {
        (0..self.operands.len()).any(|at| self.is_run(at))
    }

    fn run(&self, group: Vec<usize>, proved: &[bool]) -> Run {
        let mut changes = Vec::new();
        let mut private = false;
        for (at, operand) in self.operands.iter().enumerate() {
            let Some(place) = operand.place else { continue };
            if !group.contains(&at) {
                changes.push((place, None));
            } else if let (Some(twofold), Some(true)) = (self.backing(at), proved.get(at)) {
                changes.push((place, Some(twofold.backing.as_path().into())));
                private = true;
            }
        }
        Run { argv: args::rewrite(&self.argv, &changes), operands: group, private }
    }

    fn is_run(&self, at: usize) -> bool {
        self.operands
            .get(at)
            .is_some_and(|operand| matches!(operand.decision, Decision::AsItIs(..) | Decision::Backing(_)))
    }

    /// The two names of an operand, if it has two.
    pub fn backing(&self, at: usize) -> Option<&Twofold> {
        match self.operands.get(at).map(|operand| &operand.decision) {
            Some(Decision::Backing(twofold)) => Some(twofold),
            _ => None,
        }
    }

    /// What the real tool's output says, and what the user shall read instead. util-linux prints the path
    /// without symlinks, the others as it was given.
    pub fn translations(&self) -> Vec<(&Path, &Path)> {
        let mut pairs: Vec<(&Path, &Path)> = Vec::new();
        for operand in &self.operands {
            if let Decision::Backing(twofold) = &operand.decision {
                let user = if self.flavour.kind == Kind::UtilLinux {
                    twofold.seen.as_path()
                } else {
                    Path::new(&operand.given)
                };
                pairs.push((twofold.backing.as_path(), user));
            }
        }
        pairs
    }
}

/// One run of the real tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its arguments, argv[0] too.
    pub argv: Vec<OsString>,
    /// Which operands of the plan it is about.
    pub operands: Vec<usize>,
    /// In a mount namespace of its own.
    pub private: bool,
}
