//! The builtin swapon: what a call asks for, which steps that comes to, and the steps taken.
//!
//! An entry of fstab, a label and an operand all become the same kind of `Candidate` first, so that each is
//! decided by the same rules. One that fails does not stop the others.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

pub(crate) mod area;
pub(crate) mod ask;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::builtin::call::{Call, Reported, Streams};
use crate::builtin::show::{self, Column, Row};
use crate::builtin::swapon::area::switch_on;
use crate::builtin::swapon::ask::{Ask, Enable, Properties, ask};
use crate::error::errno_of;
use crate::swap::active::{self, ActiveSwap};
use crate::swap::fstab::{self, Reader};
use crate::swap::header::Header;
use crate::swap::tag::{self, Tag};

/// Runs swapon; the exit status.
pub(crate) fn run(call: &Call<'_>, console: &mut Streams) -> i32 {
    match ask(call) {
        Err(refusal) => refusal.tell(console),
        Ok(Ask::About(text)) => {
            console.say(&[text.as_bytes()]);
            0
        }
        // A list that cannot be read is not an empty one: that has its headings.
        Ok(Ask::Summary | Ask::Show(_)) if active::swaps_text().is_empty() => call.flavour.failure_status,
        Ok(Ask::Summary) => {
            console.say(&[&show::summary(&active::active())]);
            0
        }
        Ok(Ask::Show(style)) => {
            let asked = style.columns.iter().any(|column| matches!(column, Column::Uuid | Column::Label));
            let rows: Vec<Row> = active::active().into_iter().map(|swap| row(swap, asked)).collect();
            console.say(&[&show::table(&rows, &style)]);
            0
        }
        Ok(Ask::Enable(enable)) => carry_out(call, &enable, console),
    }
}

fn carry_out(call: &Call<'_>, enable: &Enable, console: &mut Streams) -> i32 {
    let facts = match gather(enable) {
        Ok(facts) => facts,
        Err(errno) => {
            console.warn_errno(&[b"failed to parse ", enable.fstab.as_os_str().as_bytes()], errno);
            return call.flavour.usage_status;
        }
    };
    let mut status = 0;
    for step in steps(enable, &facts) {
        if take(&step, enable, console).is_err() {
            status = call.flavour.failure_status;
        }
    }
    status
}

/// The header is read only where a column asks for it: the disk may be slow, or answer no more.
fn row(swap: ActiveSwap, asked: bool) -> Row {
    let header = asked.then(|| tag::header_at(&swap.path)).flatten();
    let uuid = header.as_ref().and_then(Header::uuid_text).unwrap_or_default();
    Row { uuid, label: header.map(|header| header.label).unwrap_or_default(), swap }
}

/// What there is to enable, and what is active already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct EnableFacts {
    swaps: Vec<ActiveSwap>,
    bad_lines: Vec<fstab::BadLine>,
    candidates: Vec<Candidate>,
}

/// One thing that may be enabled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Candidate {
    spec: OsString,
    path: Option<PathBuf>,
    readable: bool,
    /// The options of its line, if it is from fstab.
    fstab_options: Option<OsString>,
}

/// # Errors
/// If `-a` is asked for and there is no fstab.
fn gather(enable: &Enable) -> Result<EnableFacts, Errno> {
    let wants_tag = enable.all
        || !enable.tags.is_empty()
        || enable.operands.iter().any(|operand| Tag::parse(operand).is_some());
    let tables = if wants_tag { fstab::read(&enable.fstab, Reader::Libmount) } else { Ok(Vec::new()) };
    if let (Err(error), true) = (&tables, enable.all) {
        return Err(errno_of(error));
    }
    let tables = tables.unwrap_or_default();
    let swaps = active::active();
    let entries = || tables.iter().flat_map(|(_, table)| &table.entries).filter(|entry| entry.is_swap());
    let listed = entries().filter(|entry| entry.spec.as_bytes().starts_with(b"/"));
    let files: Vec<PathBuf> = listed
        .map(|entry| PathBuf::from(&entry.spec))
        .chain(swaps.iter().filter(|swap| swap.is_file).map(|swap| swap.path.clone()))
        .collect();
    let candidate = |spec: &OsStr, path: Option<PathBuf>, fstab_options: Option<OsString>| Candidate {
        readable: path.as_ref().is_some_and(|path| readable(path)),
        spec: spec.to_owned(),
        path,
        fstab_options,
    };
    let mut candidates = Vec::new();
    if enable.all {
        candidates.extend(entries().map(|entry| {
            candidate(&entry.spec, tag::resolve(&entry.spec, &files), Some(entry.options.clone()))
        }));
    }
    let tags = enable.tags.iter();
    candidates
        .extend(tags.map(|tag| candidate(OsStr::from_bytes(&tag.value), tag::by_tag(tag, &files), None)));
    let operands = enable.operands.iter();
    candidates.extend(operands.map(|spec| candidate(spec, tag::resolve(spec, &files), None)));
    let bad_lines = if enable.all { fstab::bad_lines(&tables) } else { Vec::new() };
    Ok(EnableFacts { swaps, bad_lines, candidates })
}

fn readable(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::R_OK).is_ok()
}

/// One thing that comes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Say(Vec<u8>),
    /// Says why something cannot be enabled, which makes the call fail.
    Fail(Vec<u8>),
    /// Enables what is at a path, with the flags of swapon(2).
    Enable {
        path: PathBuf,
        flags: i32,
    },
}

fn steps(enable: &Enable, facts: &EnableFacts) -> Vec<Action> {
    let bad_line = |line| Action::Say(fstab::bad_line(line).into_vec());
    let mut steps: Vec<Action> = facts.bad_lines.iter().map(bad_line).collect();
    for candidate in &facts.candidates {
        steps.extend(match &candidate.fstab_options {
            Some(options) => from_fstab(enable, facts, candidate, options),
            None => Some(on_its_own(enable.how, candidate)),
        });
    }
    steps
}

fn on_its_own(how: Properties, candidate: &Candidate) -> Action {
    match &candidate.path {
        Some(path) => Action::Enable { path: path.clone(), flags: how.flags() },
        None => Action::Fail([b"cannot find the device for ", candidate.spec.as_bytes()].concat()),
    }
}

fn from_fstab(
    enable: &Enable,
    facts: &EnableFacts,
    candidate: &Candidate,
    options: &OsStr,
) -> Option<Action> {
    let ignored = |name: &OsStr, why: &str| {
        let words = [name.as_bytes(), b": ", why.as_bytes(), b" -- ignored"].concat();
        enable.verbose.then_some(Action::Say(words))
    };
    if fstab::option(options, "noauto", Reader::Libmount).is_some() {
        return ignored(&candidate.spec, "noauto option");
    }
    let how = enable.how.with(options);
    let Some(path) = &candidate.path else {
        return (!how.may_be_missing).then(|| on_its_own(how, candidate));
    };
    if facts.swaps.iter().any(|swap| swap.path == *path) {
        return ignored(path.as_os_str(), "already active");
    }
    if how.may_be_missing && !candidate.readable {
        return ignored(path.as_os_str(), "inaccessible");
    }
    Some(on_its_own(how, candidate))
}

fn take(step: &Action, enable: &Enable, console: &mut Streams) -> Result<(), Reported> {
    match step {
        Action::Say(words) => {
            console.warn(&[words]);
            Ok(())
        }
        Action::Fail(words) => {
            console.warn(&[words]);
            Err(Reported)
        }
        Action::Enable { path, flags } => switch_on(path, *flags, enable, console),
    }
}
