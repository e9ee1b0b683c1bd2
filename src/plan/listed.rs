//! fstab's entries and tags: `swapon -a`, `-L`, `-U`, `LABEL=`, `UUID=`.
//!
//! Where none of them is a file that concerns us, the real tool does it all by itself. Where one is, the call
//! is taken apart: one run for each entry, with the entry's own options, so that devices are enabled outside
//! the private namespace and one bad entry does not stop the others.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::shim::args::Act;
use crate::shim::tables::{Effect, Tool};
use crate::world::files::{Operand, What};
use crate::world::fstab::Options;
use crate::world::{Listed, World};

use super::standin;
use super::swap::{Decided, Decision, Origin};

/// The options that hold for every single area: priority, discard, verbosity. `--fstab` is among them for the
/// tools that do not know it yet, so that they still say so.
pub fn common_options(act: &Act) -> Vec<OsString> {
    let holds = |effect| matches!(effect, Effect::Plain | Effect::Verbose | Effect::Fstab);
    let common = act.options.iter().filter(|given| holds(given.option.effect));
    common.flat_map(|given| given.arguments()).collect()
}

/// The entries that `-a` means, then the tags of `-L` and `-U`, in the real tool's order.
pub fn decide(act: &Act, world: &World, judge: impl Fn(&Operand) -> Decision) -> Vec<Decided> {
    let mut decided = Vec::new();
    if act.all {
        let optional = act.options.iter().any(|given| given.option.effect == Effect::IfExists);
        decided.extend(world.fstab.iter().map(|listed| entry(listed, world, optional, &judge)));
    }
    for letter in [b'L', b'U'] {
        for given in act.options.iter().filter(|given| given.option.short == Some(letter)) {
            let value = given.value.clone().unwrap_or_default();
            let mut tag = OsString::from(if letter == b'L' { "LABEL=" } else { "UUID=" });
            tag.push(value);
            let decision = match file_of_tag(&tag, world) {
                Some(file) => judge(file),
                None => Decision::AsItIs("is a label or UUID".to_owned(), false),
            };
            decided.push(Decided { origin: Origin::Tag(given.arguments()), given: tag, decision });
        }
    }
    decided
}

/// What libmount says of the lines of fstab that make no sense.
pub fn foreword(tool: &Tool, world: &World) -> Vec<OsString> {
    let said = world.bad_lines.iter().map(|(path, line)| {
        let mut words = OsString::from(format!("{}: ", tool.name));
        words.push(path);
        words.push(format!(": parse error at line {line} -- ignored"));
        words
    });
    said.collect()
}

/// The file of fstab or `/proc/swaps` whose swap header carries this tag. Devices are the real tool's to find.
pub fn file_of_tag<'a>(tag: &OsStr, world: &'a World) -> Option<&'a Operand> {
    let (name, value) = split_tag(tag)?;
    let known = world.fstab.iter().map(|listed| &listed.operand).chain(&world.active);
    known.into_iter().find(|operand| operand.file().is_some() && operand.header().has_tag(name, value))
}

fn entry(listed: &Listed, world: &World, optional: bool, judge: impl Fn(&Operand) -> Decision) -> Decided {
    let operand = match listed.operand.what {
        What::Tag => file_of_tag(&listed.entry.spec, world).unwrap_or(&listed.operand),
        _ => &listed.operand,
    };
    let missing = matches!(operand.what, What::Missing { .. });
    let mut given = operand.given.clone();
    let decision = if listed.entry.options.noauto {
        given.clone_from(&listed.entry.spec);
        Decision::Leave("noauto option -- ignored")
    } else if is_active(operand, world) {
        given = said_of(operand);
        Decision::Leave("already active -- ignored")
    } else if missing && (optional || listed.entry.options.nofail) {
        Decision::Leave("inaccessible -- ignored")
    } else {
        judge(operand)
    };
    Decided { origin: Origin::Fstab(arguments(&listed.entry.options)), given, decision }
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

/// `/proc/swaps` shows the user's own path of a file of the root overlay, and that is what is compared; a tag
/// is compared with what the active areas' own headers say.
fn is_active(operand: &Operand, world: &World) -> bool {
    let path = match &operand.what {
        What::File(file) => {
            let inside = world.overlay_path(&file.location);
            inside.map_or_else(|| file.location.path.clone(), |path| path.as_path().to_owned())
        }
        What::NotAFile(thing) => {
            return thing.path.as_ref().is_some_and(|path| world.swaps.iter().any(|swap| &swap.path == path));
        }
        What::Tag => {
            return split_tag(&operand.given).is_some_and(|(name, value)| {
                world.active.iter().any(|area| area.header().has_tag(name, value))
            });
        }
        What::Missing { .. } => return false,
    };
    let listed = world.swaps.iter().any(|swap| swap.is_file && swap.path == path);
    listed || standin::of_file(operand, world).is_some()
}

fn split_tag(tag: &OsStr) -> Option<(&[u8], &[u8])> {
    let bytes = tag.as_bytes();
    let equals = bytes.iter().position(|&b| b == b'=')?;
    Some((bytes.get(..equals)?, bytes.get(equals + 1..)?))
}

/// fstab's options are read more leniently than a command line's, so what is passed on is what they mean.
fn arguments(options: &Options) -> Vec<OsString> {
    let mut arguments = Vec::new();
    if let Some(priority) = options.priority.as_deref().and_then(priority) {
        arguments.extend([OsString::from("-p"), priority.to_string().into()]);
    }
    if let Some(policy) = &options.discard {
        let known = policy.as_ref().filter(|policy| *policy == "once" || *policy == "pages");
        let mut argument = OsString::from("-d");
        argument.push(known.map_or(OsStr::new(""), OsString::as_os_str));
        arguments.push(argument);
    }
    arguments
}

/// The number that it begins with, as strtol(3) reads it, and no more than the kernel takes; any negative one
/// means the kernel's own choice.
fn priority(text: &OsStr) -> Option<i16> {
    let text = text.as_bytes().trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(None, |number: Option<i16>, digit| {
        let digit = i16::from(digit - b'0');
        Some(number.unwrap_or(0).saturating_mul(10).saturating_add(digit))
    })?;
    Some(if negative { -1 } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_read_as_leniently_as_the_real_tool_does() {
        for (text, read) in [("5", Some(5)), ("99999", Some(32767)), ("x", None), ("", None), ("7x", Some(7))]
        {
            assert_eq!(priority(OsStr::new(text)), read, "{text}");
        }
        assert_eq!(priority(OsStr::new("-3")), Some(-1));
    }
}
