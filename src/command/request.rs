//! argv as the real tool would read it: which arguments are options, which are values, which are operands.
//!
//! The rules are getopt_long(3)'s: operands permute, letters cluster, a long option may be cut to a unique
//! prefix, `--` ends the options, and POSIXLY_CORRECT ends them at the first operand. What we do not
//! understand is the real tool's to judge: the answer is then [`Request::HandOver`], never an error of ours.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::command::getopt::{self, Order};
use crate::command::tables::{Effect, Flavour, Operands, Tool};
use crate::swap::tag::{Key, Tag, labels_first};

pub(crate) use crate::command::getopt::Given;

/// What a command line asks for, as far as it concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Nothing that touches a file: listings, help, bad usage, no operands. The real tool gets argv as it is.
    HandOver(Why),
    /// Something to be done to swap areas.
    Act(Act),
}

/// Why the real tool gets argv as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It only prints something.
    Informs,
    /// It will complain about its command line.
    BadUsage,
    /// There is no operand and no `-a`.
    NothingToDo,
}

impl Request {
    /// What it is to the very tool that we run: a newer option it may not have, and one that it has may make the
    /// short form of an older one ambiguous. `knows` says which it has, as far as that can be told.
    pub fn to(self, knows: impl Fn(&str) -> Option<bool>) -> Self {
        let refuses = |given: &Given| {
            let lacks = |name| given.option.is_new && knows(name) == Some(false);
            given.option.long.is_some_and(lacks) || given.unless.and_then(&knows) == Some(true)
        };
        match self {
            Self::Act(act) if act.options.iter().any(refuses) => Self::HandOver(Why::BadUsage),
            same => same,
        }
    }
}

/// A command line that acts on swap areas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Act {
    /// The places in argv of the arguments that are files or devices.
    pub operands: Vec<usize>,
    pub all: bool,
    /// The labels, then the UUIDs that are given by option: the real tool's order.
    pub tags: Vec<Tag>,
    /// The tool makes the file itself.
    pub creates: bool,
    /// Every option in its order, with its value.
    pub options: Vec<Given>,
}

/// Reads `argv` (with `argv[0]`) by the rules of one implementation of a tool.
pub fn read(tool: &Tool, flavour: &Flavour, argv: &[OsString], order: Order) -> Request {
    match scan(flavour, argv, order) {
        Scan::Informs => Request::HandOver(Why::Informs),
        Scan::Bad => Request::HandOver(Why::BadUsage),
        Scan::Good { options, operands } => {
            let has = |effect| options.iter().any(|given| given.option.effect == effect);
            let given = |name| options.iter().any(|given| given.option.long == Some(name));
            let clashes = |one: &Given| one.option.excludes.iter().any(|name| given(name));
            if options.iter().any(|one| one.option.needs.is_some_and(|name| !given(name)) || clashes(one)) {
                return Request::HandOver(Why::BadUsage);
            }
            if flavour.most_operands.is_some_and(|most| operands.len() > most) {
                return Request::HandOver(Why::BadUsage);
            }
            let operands = match tool.operands {
                Operands::Files => operands,
                Operands::FileAndSize => operands.into_iter().take(1).collect(),
            };
            let (all, creates) = (has(Effect::All), has(Effect::Create));
            let tags = tags(&options);
            if operands.is_empty() && !all && tags.is_empty() {
                return Request::HandOver(Why::NothingToDo);
            }
            Request::Act(Act { operands, all, tags, creates, options })
        }
    }
}

pub(crate) fn tags(options: &[Given]) -> Vec<Tag> {
    let tag = |given: &Given| {
        let key = if given.option.short == Some(b'L') { Key::Label } else { Key::Uuid };
        Tag { key, value: given.value.clone().unwrap_or_default().into_vec() }
    };
    let given = options.iter().filter(|given| given.option.effect == Effect::Tag);
    labels_first(given.map(tag).collect(), |tag| tag.key == Key::Label)
}

/// `argv` with some arguments replaced (`Some`) or left out (`None`); the others are the same bytes in the
/// same order.
pub fn rewrite(argv: &[OsString], changes: &[(usize, Option<OsString>)]) -> Vec<OsString> {
    let mut out = Vec::with_capacity(argv.len());
    for (at, argument) in argv.iter().enumerate() {
        match changes.iter().find(|(place, _)| *place == at) {
            None => out.push(argument.clone()),
            Some((_, Some(new))) => out.push(new.clone()),
            Some((_, None)) => {}
        }
    }
    out
}

enum Scan {
    Informs,
    Bad,
    Good { options: Vec<Given>, operands: Vec<usize> },
}

fn scan(flavour: &Flavour, argv: &[OsString], order: Order) -> Scan {
    let refused = |given: &Given| {
        given.value.as_ref().is_some_and(|value| !given.option.expects.accepts(value.as_bytes()))
    };
    let parts = getopt::take_apart(flavour, argv, order, |given| {
        given.option.effect == Effect::Inform || refused(given)
    });
    match parts.options.last() {
        Some(last) if parts.stopped && !refused(last) => Scan::Informs,
        _ if parts.stopped || parts.problem.is_some() => Scan::Bad,
        _ => Scan::Good { options: parts.options, operands: parts.operands },
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
