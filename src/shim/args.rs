//! argv as the real tool would read it: which arguments are options, which are values, which are operands.
//!
//! The rules are getopt_long(3)'s: operands permute, letters cluster, a long option may be cut to a unique
//! prefix, `--` ends the options, and POSIXLY_CORRECT ends them at the first operand. What we do not
//! understand is the real tool's to judge: the answer is then [`Request::Untouched`], never an error of ours.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::tables::{Effect, Flavour, Operands, Opt, Tool, Value};

/// What a command line asks for, as far as it concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Nothing that touches a file: listings, help, bad usage, no operands. The real tool gets argv as it is.
    Untouched(Why),
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

/// A command line that acts on swap areas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Act {
    /// The places in argv of the arguments that are files or devices.
    pub operands: Vec<usize>,
    /// `-a` is there.
    pub all: bool,
    /// A label or UUID is there, by option.
    pub tags: bool,
    /// The tool makes the file itself.
    pub creates: bool,
    /// Every option in its order, with its value.
    pub options: Vec<Given>,
}

/// An option as it was given.
#[derive(Debug, Clone)]
pub struct Given {
    /// Which.
    pub option: &'static Opt,
    /// Its value, if it has one.
    pub value: Option<OsString>,
}

impl PartialEq for Given {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.option, other.option) && self.value == other.value
    }
}

impl Eq for Given {}

impl Given {
    /// The option as arguments that any implementation reads in the same way.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut head = OsString::new();
        match (self.option.short, self.option.long) {
            (Some(letter), _) => head.push(format!("-{}", char::from(letter))),
            (None, Some(long)) => head.push(format!("--{long}")),
            (None, None) => {}
        }
        match (&self.value, self.option.value) {
            (None, _) | (_, Value::None) => vec![head],
            (Some(value), Value::Required) => vec![head, value.clone()],
            (Some(value), Value::Optional) => {
                if self.option.short.is_none() {
                    head.push("=");
                }
                head.push(value);
                vec![head]
            }
        }
    }
}

/// Reads `argv` (with argv[0]) by the rules of one implementation of a tool.
pub fn read(tool: &Tool, flavour: &Flavour, argv: &[OsString], posixly: bool) -> Request {
    match scan(flavour, argv, posixly) {
        Scan::Informs => Request::Untouched(Why::Informs),
        Scan::Bad => Request::Untouched(Why::BadUsage),
        Scan::Good { options, operands } => {
            let has = |effect| options.iter().any(|given| given.option.effect == effect);
            let given = |name| options.iter().any(|given| given.option.long == Some(name));
            if options.iter().any(|one| one.option.needs.is_some_and(|name| !given(name))) {
                return Request::Untouched(Why::BadUsage);
            }
            let operands = match tool.operands {
                Operands::Files => operands,
                Operands::FileAndSize if operands.len() > 2 => return Request::Untouched(Why::BadUsage),
                Operands::FileAndSize => operands.into_iter().take(1).collect(),
            };
            let (all, tags, creates) = (has(Effect::All), has(Effect::Tag), has(Effect::Create));
            if operands.is_empty() && !all && !tags {
                return Request::Untouched(Why::NothingToDo);
            }
            Request::Act(Act { operands, all, tags, creates, options })
        }
    }
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

fn scan(flavour: &Flavour, argv: &[OsString], posixly: bool) -> Scan {
    let mut options = Vec::new();
    let mut operands = Vec::new();
    let mut at = 1;
    while let Some(argument) = argv.get(at) {
        let bytes = argument.as_bytes();
        at += 1;
        let step = match bytes {
            b"--" => {
                operands.extend(at..argv.len());
                break;
            }
            [b'-', b'-', long @ ..] => read_long(flavour, long, argv.get(at)),
            [b'-', letters @ ..] if !letters.is_empty() => {
                read_letters(flavour, letters, argv.get(at), &mut options)
            }
            _ if posixly => {
                operands.extend(at - 1..argv.len());
                break;
            }
            _ => {
                operands.push(at - 1);
                continue;
            }
        };
        match step {
            Step::Bad => return Scan::Bad,
            Step::Took { given, next } => {
                options.push(given);
                at += usize::from(next);
            }
        }
        // getopt(3) hands the options over one by one, and the tool obeys this one before it sees the rest.
        if options.iter().any(|given| given.option.effect == Effect::Inform) {
            return Scan::Informs;
        }
    }
    Scan::Good { options, operands }
}

enum Step {
    Bad,
    Took { given: Given, next: bool },
}

fn read_long(flavour: &Flavour, long: &[u8], next: Option<&OsString>) -> Step {
    let equals = long.iter().position(|&b| b == b'=');
    let (name, attached) = match equals {
        Some(at) => (long.get(..at).unwrap_or(long), long.get(at + 1..)),
        None => (long, None),
    };
    match find_long(flavour, name) {
        Some(option) if option.value == Value::None && attached.is_some() => Step::Bad,
        Some(option) => take(option, attached, next),
        None => Step::Bad,
    }
}

/// The option of that name, or the only one that begins so.
fn find_long(flavour: &Flavour, name: &[u8]) -> Option<&'static Opt> {
    let mut longs = flavour.options.iter().filter(|option| option.long.is_some());
    let exact = longs.clone().find(|option| option.long.map(str::as_bytes) == Some(name));
    if exact.is_some() || !flavour.long_prefixes {
        return exact;
    }
    let begins = |option: &&Opt| option.long.is_some_and(|long| long.as_bytes().starts_with(name));
    let first = longs.find(begins)?;
    longs.find(begins).is_none().then_some(first)
}

/// A cluster of letters: all but the last are pushed here, the last is handed back for its value.
fn read_letters(
    flavour: &Flavour,
    letters: &[u8],
    next: Option<&OsString>,
    options: &mut Vec<Given>,
) -> Step {
    let mut rest = letters;
    while let [letter, tail @ ..] = rest {
        let Some(option) = flavour.options.iter().find(|option| option.short == Some(*letter)) else {
            return Step::Bad;
        };
        if option.value != Value::None {
            return take(option, (!tail.is_empty()).then_some(tail), next);
        }
        if tail.is_empty() || option.effect == Effect::Inform {
            return Step::Took { given: Given { option, value: None }, next: false };
        }
        options.push(Given { option, value: None });
        rest = tail;
    }
    Step::Bad
}

fn take(option: &'static Opt, attached: Option<&[u8]>, next: Option<&OsString>) -> Step {
    let (value, from_next) = match (option.value, attached, next) {
        (Value::None, ..) => (None, false),
        (_, Some(attached), _) => (Some(attached), false),
        (Value::Optional, None, _) => (None, false),
        (Value::Required, None, Some(next)) => (Some(next.as_bytes()), true),
        (Value::Required, None, None) => return Step::Bad,
    };
    if value.is_some_and(|value| !option.expects.accepts(value)) {
        return Step::Bad;
    }
    let value = value.map(|value| OsStr::from_bytes(value).to_owned());
    Step::Took { given: Given { option, value }, next: from_next }
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
