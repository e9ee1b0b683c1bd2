//! The builtin swapoff, with util-linux's statuses.
//!
//! 2 out of memory, 4 an area could not be disabled, 16 bad usage or not root, 32 `-a` disabled none of the
//! active areas, 64 only some, 255 a label or UUID that nothing carries.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::builtin::call::{Call, Refusal, Streams, tag_of};
use crate::swap::active::ActiveSwap;
use crate::swap::fstab::{self, Reader};
use crate::swap::tag::{self, Key, Tag, labels_first};
use crate::sys;

const NO_MEMORY: i32 = 2;
const FAILED: i32 = 4;
const ALL_FAILED: i32 = 32;
const SOME_FAILED: i32 = 64;
const NOT_FOUND: i32 = 255;

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ask {
    About(String),
    Disable(Disable),
}

/// What shall be disabled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Disable {
    all: bool,
    fstab: PathBuf,
    verbose: bool,
    tags: Vec<Tag>,
    operands: Vec<OsString>,
}

/// Something to disable: what the user reads, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    shown: OsString,
    path: Option<PathBuf>,
    /// Whether the attempt is announced also where nothing was found: a tag option is not.
    announced: bool,
}

/// The areas that `-a` disables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Everything {
    /// The latest first, so that what was enabled for want of space goes first.
    active: Vec<Target>,
    /// What fstab lists and is not active, because a name can be hidden.
    listed: Vec<Target>,
    bad_lines: Vec<fstab::BadLine>,
}

/// Runs swapoff; the exit status.
pub(crate) fn run(call: &Call<'_>, console: &mut Streams) -> i32 {
    match ask(call) {
        Err(refusal) => refusal.tell(console),
        Ok(Ask::About(text)) => {
            console.say(&[text.as_bytes()]);
            0
        }
        Ok(Ask::Disable(disable)) => carry_out(&disable, console).unwrap_or_else(|NotRoot| {
            console.warn(&[b"Not superuser."]);
            call.flavour.usage_status
        }),
    }
}

fn ask(call: &Call<'_>) -> Result<Ask, Refusal> {
    let mut disable = Disable { operands: call.operands(), fstab: call.fstab.clone(), ..Disable::default() };
    for given in &call.parts.options {
        match given.option.long {
            Some("help" | "version") => return Ok(Ask::About(call.about().unwrap_or_default())),
            Some("all") => disable.all = true,
            Some("verbose") => disable.verbose = true,
            _ => disable.tags.extend(tag_of(given)),
        }
    }
    call.problem()?;
    if !disable.all && disable.tags.is_empty() && disable.operands.is_empty() {
        return Err(call.refuse(&[b"bad usage"]).with_hint());
    }
    disable.tags = labels_first(disable.tags, |tag| tag.key == Key::Label);
    Ok(Ask::Disable(disable))
}

/// What the command line names.
fn named(disable: &Disable) -> Vec<Target> {
    let files = paths_of(&crate::swap::active::active());
    let tags = disable.tags.iter().map(|tag| {
        let path = tag::by_tag(tag, &files);
        let value = || OsStr::from_bytes(&tag.value).to_owned();
        let shown = path.clone().map_or_else(value, OsString::from);
        Target { announced: path.is_some(), shown, path }
    });
    tags.chain(disable.operands.iter().map(|spec| by_spec(spec, &files))).collect()
}

/// What is there when everything that was named is off.
fn everything(fstab: &Path) -> Everything {
    let swaps = crate::swap::active::active();
    let files = paths_of(&swaps);
    let tables = fstab::read(fstab, Reader::Libmount).unwrap_or_default();
    let entries = tables.iter().flat_map(|(_, table)| &table.entries).filter(|entry| entry.is_swap());
    let listed =
        entries.map(|entry| by_spec(&entry.spec, &files)).filter(|target| !is_active(target, &swaps));
    let active = files.iter().rev();
    Everything {
        listed: listed.collect(),
        active: active
            .map(|path| Target { shown: path.into(), path: Some(path.clone()), announced: true })
            .collect(),
        bad_lines: fstab::bad_lines(&tables),
    }
}

fn paths_of(swaps: &[ActiveSwap]) -> Vec<PathBuf> {
    swaps.iter().map(|swap| swap.path.clone()).collect()
}

fn by_spec(spec: &OsStr, files: &[PathBuf]) -> Target {
    Target { shown: spec.to_owned(), path: tag::resolve(spec, files), announced: true }
}

fn is_active(target: &Target, swaps: &[ActiveSwap]) -> bool {
    target.path.as_ref().is_some_and(|path| swaps.iter().any(|swap| swap.path == *path))
}

/// The caller may not disable swap, and need not try further.
struct NotRoot;

/// What is said of an attempt.
#[derive(Debug, Clone, Copy)]
struct Loudness {
    /// Each attempt is announced.
    verbose: bool,
    /// That it failed is not said, as is `-a`'s way.
    quiet: bool,
}

fn carry_out(disable: &Disable, console: &mut Streams) -> Result<i32, NotRoot> {
    let verbose = disable.verbose;
    let mut status = 0;
    for target in named(disable) {
        status |= switch_off(&target, Loudness { verbose, quiet: false }, console)?;
    }
    if !disable.all {
        return Ok(status);
    }
    let everything = everything(&disable.fstab);
    let mut failures = 0;
    for target in &everything.active {
        failures += usize::from(switch_off(target, Loudness { verbose, quiet: true }, console)? != 0);
    }
    for line in &everything.bad_lines {
        console.warn(&[fstab::bad_line(line).as_bytes()]);
    }
    for target in &everything.listed {
        switch_off(target, Loudness { verbose, quiet: true }, console)?;
    }
    Ok(status | all_status(failures, everything.active.len()))
}

fn all_status(failures: usize, tried: usize) -> i32 {
    match failures {
        0 => 0,
        failures if failures == tried => ALL_FAILED,
        _ => SOME_FAILED,
    }
}

/// Disables one area; the exit status that comes of it.
fn switch_off(target: &Target, manner: Loudness, console: &mut Streams) -> Result<i32, NotRoot> {
    let shown = target.shown.as_bytes();
    if manner.verbose && target.announced {
        console.say(&[b"swapoff ", shown, b"\n"]);
    }
    let Some(path) = &target.path else {
        console.warn(&[b"cannot find the device for ", shown]);
        return Ok(NOT_FOUND);
    };
    let errno = match call(path) {
        Ok(()) => return Ok(0),
        Err(Errno::EPERM) => return Err(NotRoot),
        Err(errno) => errno,
    };
    if !manner.quiet || errno == Errno::ENOMEM {
        console.warn_errno(&[shown, b": swapoff failed"], errno);
    }
    Ok(if errno == Errno::ENOMEM { NO_MEMORY } else { FAILED })
}

fn call(path: &Path) -> nix::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    sys::swapoff(&path)
}

#[cfg(test)]
mod tests {
    use super::all_status;

    #[test]
    fn the_status_of_all_says_how_many_failed() {
        assert_eq!(
            [(0, 0), (0, 2), (2, 2), (1, 2)].map(|(failed, tried)| all_status(failed, tried)),
            [0, 0, 32, 64]
        );
    }
}
