//! getopt_long(3) over our tables: argv taken apart into options with their values, and operands.
//!
//! The shim only wants to know which arguments are files; the builtin wants the values too, and the words for
//! what is wrong. Both are served from this one reading, so that they can never disagree about a call.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::command::tables::{Flavour, Opt, Value};

/// Where getopt(3) looks for options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Anywhere, also after operands.
    #[default]
    Permuted,
    /// Before the first operand only, because POSIXLY_CORRECT is set.
    Posix,
}

/// An option as it was given.
#[derive(Debug, Clone)]
pub struct Given {
    pub option: &'static Opt,
    /// Its value, if it has one.
    pub value: Option<OsString>,
    /// A newer option whose long name begins as the given one does: a tool that has it refuses the call.
    pub unless: Option<&'static str>,
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
            (None, Value::Required) => {
                vec![OsString::from(format!("--{}", self.option.long.unwrap_or_default()))]
            }
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

/// Why getopt(3) stopped. The words are its own, because a script may show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    UnknownLetter(u8),
    /// No such long name; as it was given, with its value.
    UnknownName(Vec<u8>),
    /// A prefix of several names.
    Ambiguous(Vec<u8>, Vec<&'static str>),
    /// A value is missing: of a letter.
    LetterNeedsValue(u8),
    /// A value is missing: of a long name.
    NameNeedsValue(&'static str),
    /// A value that the option does not take.
    NameTakesNone(&'static str),
}

impl Problem {
    /// The message, without the program's name.
    pub(crate) fn words(&self) -> Vec<u8> {
        match self {
            Self::UnknownLetter(letter) => [b"invalid option -- '", &[*letter][..], b"'"].concat(),
            Self::UnknownName(name) => [b"unrecognized option '--", name.as_slice(), b"'"].concat(),
            Self::Ambiguous(name, names) => {
                let mut words = [b"option '--", name.as_slice(), b"' is ambiguous; possibilities:"].concat();
                for name in names {
                    words.extend_from_slice(format!(" '--{name}'").as_bytes());
                }
                words
            }
            Self::LetterNeedsValue(letter) => {
                [b"option requires an argument -- '", &[*letter][..], b"'"].concat()
            }
            Self::NameNeedsValue(name) => format!("option '--{name}' requires an argument").into_bytes(),
            Self::NameTakesNone(name) => format!("option '--{name}' doesn't allow an argument").into_bytes(),
        }
    }
}

/// argv taken apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    /// The options in their order, up to the one that stopped the reading or to the problem.
    pub options: Vec<Given>,
    /// The places in argv of the operands.
    pub operands: Vec<usize>,
    /// What is wrong with what comes after `options`.
    pub problem: Option<Problem>,
    /// Whether `stop` ended it.
    pub stopped: bool,
}

/// Takes `argv` (with `argv[0]`) apart. getopt(3) hands the options over one by one, and a tool may end at one
/// before it sees the rest: `stop` says at which.
pub(crate) fn take_apart(
    flavour: &Flavour,
    argv: &[OsString],
    order: Order,
    stop: impl Fn(&Given) -> bool,
) -> Parts {
    let mut parts = Parts::default();
    let mut at = 1;
    while let Some(argument) = argv.get(at) {
        at += 1;
        let next = argv.get(at).map(OsString::as_os_str);
        let before = parts.options.len();
        let step = match argument.as_bytes() {
            b"--" => {
                parts.operands.extend(at..argv.len());
                break;
            }
            [b'-', b'-', long @ ..] => read_long(flavour, long, next, &mut parts.options),
            [b'-', letters @ ..] if !letters.is_empty() => {
                read_letters(flavour, letters, next, &mut parts.options)
            }
            _ if order == Order::Posix => {
                parts.operands.extend(at - 1..argv.len());
                break;
            }
            _ => {
                parts.operands.push(at - 1);
                continue;
            }
        };
        let stopper = parts.options.iter().skip(before).position(&stop);
        if let Some(place) = stopper {
            parts.options.truncate(before + place + 1);
            parts.stopped = true;
            break;
        }
        match step {
            Ok(next) => at += usize::from(next == NextArgument::Taken),
            Err(problem) => {
                parts.problem = Some(problem);
                break;
            }
        }
    }
    parts
}

/// Whether an option took the argument after it as its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextArgument {
    Taken,
    Left,
}

type OptionRead = Result<NextArgument, Problem>;

/// The option that a long name means.
struct Named {
    option: &'static Opt,
    unless: Option<&'static str>,
}

fn read_long(flavour: &Flavour, long: &[u8], next: Option<&OsStr>, options: &mut Vec<Given>) -> OptionRead {
    let equals = long.iter().position(|&b| b == b'=');
    let (name, attached) = match equals {
        Some(at) => (long.get(..at).unwrap_or(long), long.get(at + 1..)),
        None => (long, None),
    };
    let Named { option, unless } = find_long(flavour, name, long)?;
    let full = option.long.unwrap_or_default();
    if option.long_value == Value::None && attached.is_some() {
        return Err(Problem::NameTakesNone(full));
    }
    let next = take(option, option.long_value, attached, next, options);
    if let (Some(_), Some(given)) = (next, options.last_mut()) {
        given.unless = unless;
    }
    next.ok_or(Problem::NameNeedsValue(full))
}

/// The option of that name, or the only one that begins so. We do not know the tool's release. Where a newer
/// option alone makes a prefix ambiguous, an older tool means the older option, and a newer one refuses the call.
fn find_long(flavour: &Flavour, name: &[u8], whole: &[u8]) -> Result<Named, Problem> {
    let named = flavour.options.iter().filter_map(|option| Some((option, option.long?)));
    if let Some((option, _)) = named.clone().find(|(_, long)| long.as_bytes() == name) {
        return Ok(Named { option, unless: None });
    }
    let begins = named.filter(|(_, long)| flavour.long_prefixes && long.as_bytes().starts_with(name));
    let found: Vec<(&'static Opt, &'static str)> = begins.collect();
    let mut old = found.iter().filter(|(option, _)| !option.is_new);
    match (found.as_slice(), old.next(), old.next()) {
        ([], _, _) => Err(Problem::UnknownName(whole.to_owned())),
        ([(option, _)], _, _) => Ok(Named { option, unless: None }),
        (all, Some((option, _)), None) => {
            let newer = all.iter().find(|(option, _)| option.is_new);
            Ok(Named { option, unless: newer.map(|(_, name)| *name) })
        }
        (several, _, _) => {
            Err(Problem::Ambiguous(whole.to_owned(), several.iter().map(|(_, long)| *long).collect()))
        }
    }
}

/// A cluster of letters; the first that takes a value ends it.
fn read_letters(
    flavour: &Flavour,
    letters: &[u8],
    next: Option<&OsStr>,
    options: &mut Vec<Given>,
) -> OptionRead {
    let mut rest = letters;
    while let [letter, tail @ ..] = rest {
        let option = flavour.options.iter().find(|option| option.short == Some(*letter));
        let option = option.ok_or(Problem::UnknownLetter(*letter))?;
        if option.value != Value::None {
            let attached = (!tail.is_empty()).then_some(tail);
            return take(option, option.value, attached, next, options)
                .ok_or(Problem::LetterNeedsValue(*letter));
        }
        options.push(Given { option, value: None, unless: None });
        rest = tail;
    }
    Ok(NextArgument::Left)
}

/// Notes an option with its value; `None` if the value is missing.
fn take(
    option: &'static Opt,
    takes: Value,
    attached: Option<&[u8]>,
    next: Option<&OsStr>,
    options: &mut Vec<Given>,
) -> Option<NextArgument> {
    let (value, taken) = match (takes, attached) {
        (Value::None, _) | (Value::Optional, None) => (None, NextArgument::Left),
        (_, Some(attached)) => (Some(OsStr::from_bytes(attached)), NextArgument::Left),
        (Value::Required, None) => (Some(next?), NextArgument::Taken),
    };
    options.push(Given { option, value: value.map(OsStr::to_owned), unless: None });
    Some(taken)
}
