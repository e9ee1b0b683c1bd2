//! What shall happen to one operand, in the contract's order of rules.
//!
//! Not a path to a regular file → as it is; on a volume → refuse; on the root overlay → its backing path; on
//! something that cannot hold swap → skip; on the backing filesystem, or anything uncertain → as it is.

use std::path::PathBuf;

use crate::command::request::Act;
use crate::command::tables::{Effect, Purpose};
use crate::config::{Fallback, Volumes};
use crate::paths::OverlayPath;
use crate::shim::call::ShimCall;
use crate::shim::facts::World;
use crate::shim::facts::header::AreaHeader;
use crate::shim::facts::operand::{AtBackingPath, FileFacts, Operand, What};

use crate::shim::plan::fallback;
use crate::shim::plan::place::{Place, place_of};
use crate::shim::plan::types::{Area, BackedFacts, BackedFile, Decision, FileOrders};

/// What the decisions about all operands of a call go by.
pub(crate) struct Judge<'a> {
    pub call: &'a ShimCall<'a>,
    /// What the call asks for.
    pub act: &'a Act,
    pub world: &'a World,
}

/// The real tool gets the operand as it is, and nobody need be told.
fn as_it_is(why: impl Into<String>) -> Decision {
    Decision::AsItIs { why: why.into(), told: false }
}

/// The same, where the user may have expected something else.
fn as_it_is_told(why: impl Into<String>) -> Decision {
    Decision::AsItIs { why: why.into(), told: true }
}

impl Judge<'_> {
    /// Decides about one operand.
    pub(crate) fn decide(&self, operand: &Operand) -> Decision {
        if let Some(decision) = self.active_fallback(operand) {
            return decision;
        }
        let place = match (&operand.what, operand.location()) {
            (What::Tag, _) => return as_it_is("is a label or UUID"),
            (What::NotAFile(thing), _) => return as_it_is(format!("is a {}", thing.kind)),
            (What::Missing { errno, .. }, None) => {
                return as_it_is(format!("cannot be opened: {}", errno.desc()));
            }
            (_, Some(location)) => {
                place_of(self.world, location, operand.file().and_then(|file| file.filesystem))
            }
            (What::File(_), None) => return as_it_is("is nowhere"),
        };
        if let (Place::Volume { point, source }, true) = (&place, self.refuses(operand)) {
            let path = operand.location().map_or_else(PathBuf::new, |location| location.path.clone());
            return Decision::Refuse { path, point: point.clone(), source: source.clone() };
        }
        let purpose = self.purpose();
        match (&operand.what, place) {
            (What::Missing { errno, .. }, _) => as_it_is(format!("cannot be opened: {}", errno.desc())),
            (What::File(file), Place::RootOverlay(path)) => self.on_the_overlay(file, path),
            (What::File(file), Place::NoSwap { fstype, reason }) if purpose == Purpose::Enable => {
                self.without_swap(file, fstype, reason)
            }
            (_, Place::Backing) => as_it_is("is on the backing filesystem already"),
            (_, Place::Volume { .. }) if purpose == Purpose::Disable => as_it_is("is on a volume"),
            (_, Place::Volume { .. }) => as_it_is("is on a volume, which is allowed here"),
            (_, Place::NoSwap { .. }) => as_it_is("is on a filesystem without swap"),
            (_, Place::Uncertain(why)) => as_it_is(why),
            (_, Place::UntoldVolume) => {
                let why =
                    "is on a disk that may be a volume, but the backing filesystem is not visible to tell";
                Decision::AsItIs { why: why.to_owned(), told: purpose != Purpose::Disable }
            }
            (_, Place::RootOverlay(_)) => as_it_is("is on the root overlay"),
        }
    }

    fn purpose(&self) -> Purpose {
        self.call.tool.purpose
    }

    fn has(&self, effect: Effect) -> bool {
        self.act.options.iter().any(|given| given.option.effect == effect)
    }

    fn active_fallback(&self, operand: &Operand) -> Option<Decision> {
        let found = match self.purpose() {
            Purpose::Disable => fallback::of_name(operand, self.world),
            Purpose::Enable | Purpose::Format => fallback::of_file(operand, self.world),
        };
        let path = operand.location().map_or_else(PathBuf::new, |location| location.path.clone());
        found.map(|found| Decision::ActiveFallback { path, device: found.device, file: found.file })
    }

    /// swapoff never refuses; mkswap creates no file on a volume either.
    fn refuses(&self, operand: &Operand) -> bool {
        let there = operand.file().is_some() || self.act.creates;
        self.call.config.swap.volumes == Volumes::Refuse && self.purpose() != Purpose::Disable && there
    }

    /// A filesystem without swap: compressed memory, where that is configured, else a word why not. A loop device
    /// over a file in memory or on another machine would be a trap.
    fn without_swap(&self, file: &FileFacts, fstype: String, reason: &'static str) -> Decision {
        let path = file.location.path.clone();
        let configured = self.call.config.swap.fallback.iter().copied();
        let fallbacks: Vec<Fallback> = configured.filter(|kind| *kind == Fallback::Zram).collect();
        match file.header {
            AreaHeader::Swap { .. } if !fallbacks.is_empty() => {
                Decision::Fallback { path, size: file.size, fstype, fallbacks }
            }
            _ => Decision::Skip { path, fstype, reason },
        }
    }

    /// The decision about a file of the overlay that the real tool gets as it is.
    fn left_alone(&self, file: &FileFacts) -> Option<Decision> {
        let purpose = self.purpose();
        if self.act.creates {
            return Some(as_it_is("the tool makes the file itself, through the overlay"));
        }
        // flock(2) knows the overlay's file and the backing one as two; a busy file is refused in any case.
        if purpose == Purpose::Format && !file.active && self.has(Effect::Lock) {
            return Some(as_it_is("is locked through the overlay, where others lock it"));
        }
        if purpose == Purpose::Disable && file.unwritable {
            return Some(as_it_is("is immutable or append-only (chattr), so it stays as it is"));
        }
        if purpose == Purpose::Disable && file.at_backing_path != Some(AtBackingPath::File) {
            return Some(as_it_is("is in a lower layer only, so it cannot be active"));
        }
        let why = "its path means another thing on the backing filesystem";
        let other = file.at_backing_path == Some(AtBackingPath::Other);
        other.then(|| Decision::AsItIs { why: why.to_owned(), told: purpose == Purpose::Enable })
    }

    fn on_the_overlay(&self, file: &FileFacts, path: OverlayPath) -> Decision {
        let enables = self.purpose() == Purpose::Enable;
        let Some(upper) = self.world.backing.mount() else {
            let why = "is on the root overlay, whose backing filesystem is not visible";
            return if enables { as_it_is_told(why) } else { as_it_is(why) };
        };
        if let Some(decision) = self.left_alone(file) {
            return decision;
        }
        if enables && upper.fstype == "tmpfs" {
            return self.without_swap(file, upper.fstype.clone(), "lives in memory");
        }
        let facts = facts_of(file);
        Decision::Backing(BackedFile {
            seen: file.location.path.clone(),
            backing: path.on(&upper.point),
            overlay: path,
            orders: self.orders(file, &facts),
            facts,
        })
    }

    fn orders(&self, file: &FileFacts, facts: &BackedFacts) -> FileOrders {
        let enables = self.purpose() == Purpose::Enable;
        // An area that the kernel will refuse whatever is done to the file is left as it is.
        let ready = enables && file.header.is_usable();
        let fixed = facts.area == Area::Foreign && self.has(Effect::FixPageSize);
        // A hibernated system's header is what util-linux writes anew before it enables the area.
        let suspended = enables && file.header == AreaHeader::Unread;
        let only_swap = ready && file.header.fills(file.size);
        let may_fall_back = ready || fixed || suspended;
        FileOrders {
            copy_up: self.purpose() != Purpose::Disable,
            recreate: only_swap && facts.lower_only && file.links == 1,
            fill_holes: ready,
            rewrite_blocks: only_swap,
            fallbacks: if may_fall_back { self.call.config.swap.fallback.clone() } else { Vec::new() },
        }
    }
}

fn facts_of(file: &FileFacts) -> BackedFacts {
    BackedFacts {
        size: file.size,
        holes: file.holes,
        lower_only: file.at_backing_path == Some(AtBackingPath::Nothing),
        copy_on_write: !file.no_cow,
        active: file.active,
        area: match file.header {
            AreaHeader::Missing => Area::Missing,
            AreaHeader::Swap { usable: false, .. } => Area::Foreign,
            AreaHeader::Swap { usable: true, .. } | AreaHeader::Unread => Area::Usable,
        },
    }
}
