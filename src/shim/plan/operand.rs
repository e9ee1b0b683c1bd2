//! What shall happen to one operand, in the contract's order of rules.
//!
//! Not a path to a regular file → as it is; on a volume → refuse; on the root overlay → its backing path; on
//! something that cannot hold swap → skip; on the backing filesystem, or anything uncertain → as it is.

use std::path::PathBuf;

use crate::command::request::Act;
use crate::command::tables::{Effect, Purpose};
use crate::config::{Config, Fallback, Volumes};
use crate::paths::OverlayPath;
use crate::shim::facts::World;
use crate::shim::facts::header::Header;
use crate::shim::facts::operand::{FileFacts, Operand, Twin, What};

use crate::shim::plan::fallback;
use crate::shim::plan::place::{Place, place_of};
use crate::shim::plan::types::{Decision, Twofold};

/// Decides about one operand.
pub(crate) fn decide(
    purpose: Purpose,
    act: &Act,
    operand: &Operand,
    world: &World,
    config: &Config,
) -> Decision {
    let as_it_is = |why: &str| Decision::AsItIs(why.to_owned(), false);
    let found = match purpose {
        Purpose::Disable => fallback::of_name(operand, world),
        Purpose::Enable | Purpose::Format => fallback::of_file(operand, world),
    };
    if let Some(found) = found {
        let path = operand.location().map_or_else(PathBuf::new, |location| location.path.clone());
        return Decision::StoodIn { path, area: found.area, gone: found.gone };
    }
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

fn has(act: &Act, effect: Effect) -> bool {
    act.options.iter().any(|given| given.option.effect == effect)
}

/// Why the real tool gets a file of the overlay as it is, and whether that is worth a notice.
fn left_alone(purpose: Purpose, act: &Act, file: &FileFacts) -> Option<(&'static str, bool)> {
    if act.creates {
        return Some(("the tool makes the file itself, through the overlay", false));
    }
    // flock(2) knows the overlay's file and the backing one as two; a busy file is refused in any case.
    if purpose == Purpose::Format && !file.active && has(act, Effect::Lock) {
        return Some(("is locked through the overlay, where others lock it", false));
    }
    if purpose == Purpose::Disable && file.unwritable {
        return Some(("is immutable or append-only (chattr), so it stays as it is", false));
    }
    if purpose == Purpose::Disable && file.twin != Some(Twin::File) {
        return Some(("is in a lower layer only, so it cannot be active", false));
    }
    let other = file.twin == Some(Twin::Other);
    other.then_some(("its path means another thing on the backing filesystem", purpose == Purpose::Enable))
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
    if let Some((why, is_told)) = left_alone(purpose, act, file) {
        return Decision::AsItIs(why.to_owned(), is_told);
    }
    if purpose == Purpose::Enable && upper.fstype == "tmpfs" {
        return instead(file, upper.fstype.clone(), "lives in memory", config);
    }
    // An area that the kernel will refuse whatever is done to the file is left as it is.
    let ready = purpose == Purpose::Enable && file.header.is_usable();
    let foreign = matches!(file.header, Header::Swap { usable: false, .. });
    let fixed = foreign && has(act, Effect::FixPageSize);
    // A hibernated system's header is what util-linux writes anew before it enables the area.
    let suspended = purpose == Purpose::Enable && file.header == Header::Unread;
    let lower_only = file.twin == Some(Twin::Nothing);
    let only_swap = ready && file.header.fills(file.size);
    Decision::Backing(Twofold {
        seen: file.location.path.clone(),
        backing: path.on(&upper.point),
        overlay: path,
        bring_up: purpose != Purpose::Disable,
        lower_only,
        remake: only_swap && lower_only && file.links == 1,
        rewrite: only_swap,
        ways: if ready || fixed || suspended { config.swap.fallback.clone() } else { Vec::new() },
        cow: !file.no_cow,
        fill: ready,
        holes: file.holes,
        active: file.active,
        size: file.size,
        unformatted: file.header == Header::Missing,
        foreign,
    })
}
