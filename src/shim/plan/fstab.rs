//! fstab's entries and tags: `swapon -a`, `-L`, `-U`, `LABEL=`, `UUID=`.
//!
//! Where none of them is a file that concerns us, the real tool does it all by itself. Where one is, the call
//! is split: one run for each entry, with the entry's own options, so that devices are enabled outside the
//! private namespace and one bad entry does not stop the others.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use crate::command::request::Act;
use crate::command::tables::{Effect, Maker, Opt, Tool};
use crate::shim::facts::fstab::Options;
use crate::shim::facts::operand::{Operand, What};
use crate::shim::facts::{Listed, World};
use crate::swap::fstab;
use crate::swap::tag::{Key, Tag};

use crate::shim::plan::fallback;
use crate::shim::plan::operand::Judge;
use crate::shim::plan::types::{Decided, Decision, FstabArguments, Origin};

/// The options that hold for every single area: priority, discard, verbosity, and `-e` where it is no bad usage
/// without `-a`. `--fstab` is among them for the tools that do not know it yet, so that they still say so.
pub(crate) fn common_options(act: &Act) -> Vec<OsString> {
    let holds = |option: &Opt| match option.effect {
        Effect::Plain | Effect::Verbose | Effect::Fstab | Effect::FixPageSize => true,
        Effect::IfExists => option.needs.is_none(),
        _ => false,
    };
    let common = act.options.iter().filter(|given| holds(given.option));
    common.flat_map(|given| given.arguments()).collect()
}

/// The entries that `-a` means, then the tags of `-L` and `-U`, in the real tool's order.
pub(crate) fn decide(judge: &Judge<'_>) -> Vec<Decided> {
    let mut decided = Vec::new();
    if judge.act.all {
        let listed = &judge.world.fstab;
        let entries = (0..listed.len()).filter_map(|at| listed.split_at_checked(at));
        decided.extend(entries.filter_map(|(earlier, rest)| Some(entry(judge, rest.first()?, earlier))));
    }
    decided.extend(judge.act.tags.iter().map(|tag| tagged(judge, tag)));
    decided
}

/// The decision about a tag that an option names.
fn tagged(judge: &Judge<'_>, tag: &Tag) -> Decided {
    let (option, name) = if tag.key == Key::Label { ("-L", "LABEL=") } else { ("-U", "UUID=") };
    let value = OsString::from_vec(tag.value.clone());
    let mut given = OsString::from(name);
    given.push(&value);
    let decision = match judge.world.file_of(tag) {
        Some(file) => judge.decide(file),
        None => Decision::AsItIs { why: "is a label or UUID".to_owned(), told: false },
    };
    Decided { origin: Origin::Tag(vec![option.into(), value]), given, decision }
}

/// Whether two lines mean one file, of which the second finds it active already.
fn is_same_file(one: &Listed, other: &Listed) -> bool {
    let inode = |listed: &Listed| listed.operand.file().map(|file| file.id);
    !one.entry.options.noauto && inode(one).is_some() && inode(one) == inode(other)
}

/// What libmount says of the lines of fstab that make no sense.
pub(crate) fn foreword(tool: &Tool, world: &World) -> Vec<OsString> {
    let said = world.bad_lines.iter().map(|line| {
        let mut words = OsString::from(format!("{}: ", tool.name));
        words.push(fstab::bad_line(line));
        words
    });
    said.collect()
}

/// The known file that a tag names, if `given` is one.
pub(crate) fn file_of<'a>(given: &OsStr, world: &'a World) -> Option<&'a Operand> {
    world.file_of(&Tag::parse(given)?)
}

/// The decision about a line of fstab; `earlier` are the lines before it.
fn entry(judge: &Judge<'_>, listed: &Listed, earlier: &[Listed]) -> Decided {
    let (kind, world) = (judge.call.flavour.kind, judge.world);
    let operand = file_of(&listed.entry.spec, world).unwrap_or(&listed.operand);
    let if_exists = judge.act.options.iter().any(|given| given.option.effect == Effect::IfExists);
    // Only util-linux knows nofail.
    let optional = if_exists || (kind == Maker::UtilLinux && listed.entry.options.nofail);
    let again = kind != Maker::UtilLinux && earlier.iter().any(|other| is_same_file(other, listed));
    let mut given = operand.given.clone();
    let decision = if listed.entry.options.noauto {
        given.clone_from(&listed.entry.spec);
        Decision::Leave { words: "noauto option -- ignored", is_seen: true }
    } else if again || is_active(operand, kind, world) {
        given = said_of(operand);
        Decision::Leave { words: "already active -- ignored", is_seen: is_seen(listed, operand, world) }
    } else {
        match operand.what {
            What::Missing { .. } if optional => {
                Decision::Leave { words: "inaccessible -- ignored", is_seen: true }
            }
            What::Tag if optional && kind == Maker::UtilLinux => Decision::IfFound,
            _ => judge.decide(operand),
        }
    };
    Decided { origin: Origin::Fstab(arguments(&listed.entry.options, kind)), given, decision }
}

/// Whether the real tool sees by itself that this is active. It finds devices by their tags and no files, and of
/// a file it compares the path without symlinks, which through a bind mount is not the one that is listed.
fn is_seen(listed: &Listed, operand: &Operand, world: &World) -> bool {
    let by_tag = Tag::parse(&listed.entry.spec).is_some();
    operand
        .file()
        .is_none_or(|file| !by_tag && world.swaps.iter().any(|swap| swap.path == file.location.path))
}

/// The name by which the real tool speaks of an active area: its path without symlinks.
fn said_of(operand: &Operand) -> OsString {
    let path = match &operand.what {
        What::File(file) => Some(&file.location.path),
        What::NotAFile(thing) => thing.path.as_ref(),
        What::Tag | What::Missing { .. } => None,
    };
    path.map_or_else(|| operand.given.clone(), |path| path.clone().into_os_string())
}

/// `/proc/swaps` shows the user's own path of a file of the root overlay, and that is what util-linux compares;
/// the others pass over what the kernel says is active, by whatever name. A tag is compared with what the active
/// areas' own headers say.
fn is_active(operand: &Operand, kind: Maker, world: &World) -> bool {
    let path = match &operand.what {
        What::File(file) if kind != Maker::UtilLinux && file.active => return true,
        What::File(file) => {
            let inside = world.overlay_path(&file.location);
            inside.map_or_else(|| file.location.path.clone(), |path| path.as_path().to_owned())
        }
        What::NotAFile(thing) => {
            return thing.path.as_ref().is_some_and(|path| world.swaps.iter().any(|swap| &swap.path == path));
        }
        What::Tag => {
            let tag = Tag::parse(&operand.given);
            return tag.is_some_and(|tag| world.active.iter().any(|area| area.header().has_tag(&tag)));
        }
        What::Missing { .. } => return false,
    };
    let listed = world.swaps.iter().any(|swap| swap.is_file && swap.path == path);
    // To util-linux, a second name of a file is another one; the kernel says then that it is busy.
    let fallback = fallback::of_file(operand, world);
    listed || fallback.is_some_and(|found| kind != Maker::UtilLinux || found.device.name == path)
}

/// fstab's options as arguments.
///
/// util-linux reads `-o` as it reads fstab, more leniently than a command line, and differently in each release. The
/// others can be built without priorities or discarding, and then pass over them; and BusyBox cuts off what comes
/// behind `discard`, so that it sees a priority there only if it cannot discard.
fn arguments(options: &Options, kind: Maker) -> FstabArguments {
    if kind == Maker::UtilLinux {
        let given = [OsString::from("-o"), options.text.clone()].into_iter();
        let best = given.filter(|_| !options.text.is_empty()).collect();
        return FstabArguments { best, plainer: Vec::new() };
    }
    let priority = options.priority.map(|number| vec![OsString::from("-p"), number.to_string().into()]);
    let priority = priority.unwrap_or_default();
    let discard = options.discard.as_ref().map(|discard| {
        let known = discard.policy.as_ref().filter(|policy| *policy == "once" || *policy == "pages");
        let mut argument = OsString::from("-d");
        argument.push(known.map_or(OsStr::new(""), OsString::as_os_str));
        vec![argument]
    });
    let discard = discard.unwrap_or_default();
    let seen = if options.discard_first { &[][..] } else { &priority };
    let best = [seen, &discard].concat();
    let mut plainer = Vec::new();
    for fewer in [discard, priority, Vec::new()] {
        if fewer != best && !plainer.contains(&fewer) {
            plainer.push(fewer);
        }
    }
    FstabArguments { best, plainer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swap::fstab::Reader;

    #[test]
    fn a_line_of_fstab_becomes_arguments_that_every_build_knows_some_of() {
        let said = |text: &str, kind| {
            let line = format!("/f none swap {text}");
            let (entries, _) = crate::shim::facts::fstab::parse(line.as_bytes(), Reader::Getmntent);
            let FstabArguments { best, plainer } = arguments(&entries[0].options, kind);
            let words = |arguments: Vec<OsString>| arguments.join(OsStr::new(" ")).into_string().unwrap();
            [best].into_iter().chain(plainer).map(words).collect::<Vec<_>>()
        };
        assert_eq!(said("pri=5,discard=once", Maker::Busybox), ["-p 5 -donce", "-donce", "-p 5", ""]);
        assert_eq!(said("discard=no,pri=5", Maker::Busybox), ["-d", "-p 5", ""]);
        assert_eq!(said("sw,pri=7", Maker::Busybox), ["-p 7", ""]);
        assert_eq!(said("sw,pri=7x", Maker::Busybox), [""]);
        assert_eq!(said("sw,pri=7x", Maker::UtilLinux), ["-o sw,pri=7x"]);
        assert_eq!(said("sw,nofail", Maker::UtilLinux), [""]);
    }
}
