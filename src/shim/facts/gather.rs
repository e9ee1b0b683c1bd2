//! Gathering the world for one request, and no more of it than the request needs.

use std::path::{Path, PathBuf};

use crate::command::request::{Act, Request};
use crate::command::tables::{Effect, Flavour, Kind, Purpose, Tool};
use crate::config::{Config, Fallback};
use crate::invocation::Invocation;
use crate::notice::Notice;
use crate::shim::facts::{Scope, World};
use crate::swap::fstab::Reader;
use crate::swap::tag::Tag;

/// The config at the first of these places that has one, and a notice if it makes no sense. A caller who may not
/// read it is told nothing.
pub(crate) fn load_config(places: &[&Path]) -> (Config, Vec<Notice>) {
    let (config, errors) = Config::load_what_makes_sense(places);
    let told = errors.iter().filter(|error| error.errno() != Some(nix::errno::Errno::EACCES));
    let notices = told.map(|error| Notice::warn(format!("{error}; it is passed over."))).collect();
    (config, notices)
}

/// The facts that a command needs.
pub(crate) fn gather(
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
pub(crate) fn fstab_of(act: &Act, call: &Invocation, reader: Reader) -> PathBuf {
    let given = act.options.iter().rfind(|given| given.option.effect == Effect::Fstab);
    let given = given.and_then(|given| given.value.clone()).map(PathBuf::from);
    let variable = call.fstab.clone().filter(|_| reader == Reader::Libmount);
    given.or(variable).unwrap_or_else(|| PathBuf::from("/etc/fstab"))
}
