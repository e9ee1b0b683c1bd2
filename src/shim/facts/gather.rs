//! Gathering the world for one call, and no more of it than the call needs.
//!
//! Two things may have to be made visible before anything can be decided, each in a mount namespace of our own: a
//! /proc, and the upper directory. Every mount has another id in a new namespace, so what was seen by opening paths
//! is seen anew then ([`sight`]); all other facts are gathered once, at the end.

use std::path::{Path, PathBuf};

use crate::backing::candidates::Candidates;
use crate::backing::reveal::{self, Revealed};
use crate::command::request::{Act, Request};
use crate::command::tables::{Effect, Maker, Purpose};
use crate::config::{Config, Fallback};
use crate::kernel::places;
use crate::notice::Notice;
use crate::paths::{CONFIG, UPPER};
use crate::shim::call::ShimCall;
use crate::shim::facts::operand::FirstPage;
use crate::shim::facts::sight::{Scope, complete, sight};
use crate::shim::facts::{Backing, World, needs};
use crate::swap::fallback;
use crate::swap::fstab::Reader;
use crate::swap::tag::Tag;

/// What is known before a call is planned.
pub(crate) struct Gathered {
    pub world: World,
    /// How the upper directory was made visible to this process alone, where it is not visible to all.
    pub revealed: Option<Revealed>,
    /// What the user is to be told of it.
    pub notices: Vec<Notice>,
}

/// Gathers the facts, and the configuration, that a call needs. It may leave this process in a mount namespace of its
/// own.
pub(crate) fn gather(call: &mut ShimCall<'_>) -> Gathered {
    let mut notices;
    (call.config, notices) = load_config(&[CONFIG.as_ref()]);
    let Some(scope) = scope_of(call) else {
        return Gathered { world: World::default(), revealed: None, notices };
    };
    let mut world = sight(&scope, UPPER.as_ref());
    if needs::needs_proc(call, &world) && reveal::borrow_proc() {
        world = sight(&scope, UPPER.as_ref());
    }
    let revealed = reveal_upper(call, &world).unwrap_or_else(|notice| {
        notices.push(notice);
        None
    });
    if let Some(revealed) = &revealed {
        // Where the upper directory is hidden, our own directory can be, too.
        let behind = revealed.upper.join(CONFIG.trim_start_matches('/'));
        (call.config, notices) = load_config(&[CONFIG.as_ref(), &behind]);
        let before = world.mounts;
        world = sight(&scope, &revealed.upper);
        // A descriptor that came with the call (`/dev/stdin`) stays in the namespace that it was opened in.
        world.mounts = world.mounts.with(before);
    }
    Gathered { world: whole(world, &scope, call), revealed, notices }
}

/// The config at the first of these places that has one, and a notice if it makes no sense. A caller who may not
/// read it is told nothing.
pub(crate) fn load_config(places: &[&Path]) -> (Config, Vec<Notice>) {
    let (config, errors) = Config::load_what_makes_sense(places);
    let told = errors.iter().filter(|error| error.errno() != Some(nix::errno::Errno::EACCES));
    let notices = told.map(|error| Notice::warn(format!("{error}; it is passed over."))).collect();
    (config, notices)
}

/// Adds what does not depend on the mount namespace to what was seen.
fn whole(mut world: World, scope: &Scope, call: &ShimCall<'_>) -> World {
    if world.backing == Backing::Forbidden {
        return world;
    }
    let may_add_zram = call.config.swap.fallback.contains(&Fallback::Zram);
    if may_add_zram && call.tool.purpose != Purpose::Format {
        world.leftovers = fallback::leftovers();
    }
    complete(&mut world, scope);
    world
}

/// Makes the upper directory visible to this process alone, where it is needed and not visible to all.
///
/// # Errors
/// A notice that there can be no namespace.
fn reveal_upper(call: &ShimCall<'_>, world: &World) -> Result<Option<Revealed>, Notice> {
    let needed = needs::needs_backing(call, world);
    let Some(root) = world.root.as_ref().filter(|_| needed) else { return Ok(None) };
    let Ok(top) = places::open_path(Path::new("/")) else { return Ok(None) };
    let candidates = Candidates::gather(top, root, &call.config);
    let paths = world.all_operands().filter_map(|operand| Some(operand.location()?.path.as_path()));
    reveal::to_this_process(&candidates, &paths.collect::<Vec<_>>())
        .map_err(|error| Notice::info(format!("{error}.")))
}

/// What has to be looked at; `None` if the call concerns no swap area.
fn scope_of(call: &ShimCall<'_>) -> Option<Scope> {
    let Request::Act(act) = &call.request else { return None };
    let argv = &call.invocation.argv;
    let operands: Vec<_> = act.operands.iter().filter_map(|place| argv.get(*place).cloned()).collect();
    let enables = call.tool.purpose == Purpose::Enable;
    let mut tags: Vec<Tag> = operands.iter().filter_map(|operand| Tag::parse(operand)).collect();
    tags.extend(act.tags.iter().cloned());
    let wide = act.all || !tags.is_empty();
    if !enables {
        // Whatever a tag means, what is active is looked at, and nothing else can be meant.
        tags.clear();
    }
    let reader = if call.flavour.kind == Maker::UtilLinux { Reader::Libmount } else { Reader::Getmntent };
    Some(Scope {
        operands,
        first_pages: if enables { FirstPage::Read } else { FirstPage::Leave },
        active: wide,
        fstab: (enables && wide).then(|| (fstab_of(act, call, reader), reader)),
        tags,
    })
}

/// `--fstab FILE`, else what libmount would read; the others know only one.
fn fstab_of(act: &Act, call: &ShimCall<'_>, reader: Reader) -> PathBuf {
    let given = act.options.iter().rfind(|given| given.option.effect == Effect::Fstab);
    let given = given.and_then(|given| given.value.clone()).map(PathBuf::from);
    let variable = call.invocation.fstab.clone().filter(|_| reader == Reader::Libmount);
    given.or(variable).unwrap_or_else(|| PathBuf::from("/etc/fstab"))
}
