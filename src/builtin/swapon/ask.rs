//! What a call of swapon asks for: pure, from the options and operands.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::builtin::call::{Call, Refusal, parse_number, tag_of};
use crate::builtin::show::{self, Column, Style};
use crate::error::strerror;
use crate::swap::fstab;
use crate::swap::tag::{Key, Tag, labels_first};
use crate::sys::{SWAP_FLAG_DISCARD, SWAP_FLAG_DISCARD_ONCE, SWAP_FLAG_DISCARD_PAGES, SWAP_FLAG_PREFER};

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    About(String),
    /// The list of active areas as `-s` prints it.
    Summary,
    /// The table of active areas.
    Show(Style),
    Enable(Enable),
}

/// What shall be enabled, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Enable {
    pub(crate) all: bool,
    pub(crate) fstab: PathBuf,
    pub(crate) tags: Vec<Tag>,
    pub(crate) operands: Vec<OsString>,
    pub(crate) how: Properties,
    pub(crate) fix_page_size: bool,
    pub(crate) verbose: bool,
}

/// The properties of an area, by option or by fstab.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    pub(crate) priority: Option<i16>,
    pub(crate) discard: DiscardFlags,
    pub(crate) may_be_missing: bool,
}

/// When the area's free blocks are handed back to its device: the two ways add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DiscardFlags {
    once: bool,
    pages: bool,
}

impl DiscardFlags {
    const ONCE: Self = Self { once: true, pages: false };
    const PAGES: Self = Self { once: false, pages: true };
    const BOTH: Self = Self { once: true, pages: true };

    fn and(self, other: Self) -> Self {
        Self { once: self.once || other.once, pages: self.pages || other.pages }
    }

    /// To the kernel, both ways are what no way in particular means.
    fn flags(self) -> i32 {
        match self {
            Self { once: false, pages: false } => 0,
            Self { once: true, pages: false } => SWAP_FLAG_DISCARD | SWAP_FLAG_DISCARD_ONCE,
            Self { once: false, pages: true } => SWAP_FLAG_DISCARD | SWAP_FLAG_DISCARD_PAGES,
            Self { once: true, pages: true } => SWAP_FLAG_DISCARD,
        }
    }
}

/// Options that make no sense together, each group in the order in which it is reported.
const EXCLUSIVE: [&[&str]; 4] = [
    &["all", "options", "summary", "show"],
    &["all", "options", "bytes"],
    &["all", "options", "noheadings"],
    &["all", "options", "raw"],
];

/// What a command line asks for.
pub(crate) fn ask(call: &Call<'_>) -> Result<Ask, Refusal> {
    let mut enable = Enable { operands: call.operands(), fstab: call.fstab.clone(), ..Enable::default() };
    let mut style = Style { columns: show::DEFAULT.to_vec(), headings: true, raw: false, bytes: false };
    let (mut shows, mut columns, mut options) = (false, None, None);
    let mut seen: Vec<&str> = Vec::new();
    for given in &call.parts.options {
        let value = given.value.as_deref().unwrap_or_default();
        let name = given.option.long.unwrap_or_default();
        exclude(call, name, &mut seen)?;
        match name {
            "help" | "version" => return Ok(Ask::About(call.about().unwrap_or_default())),
            "summary" => return Ok(Ask::Summary),
            "show" => (shows, columns) = (true, given.value.clone().or(columns)),
            "output-all" => columns = Some("NAME,TYPE,SIZE,USED,PRIO,UUID,LABEL".into()),
            "noheadings" => style.headings = false,
            "raw" => style.raw = true,
            "bytes" => style.bytes = true,
            "all" => enable.all = true,
            "ifexists" => enable.how.may_be_missing = true,
            "fixpgsz" => enable.fix_page_size = true,
            "verbose" => enable.verbose = true,
            "fstab" => enable.fstab = value.into(),
            "options" => options = Some(value.to_owned()),
            "priority" => enable.how.priority = priority(call, value)?,
            "discard" => {
                let policy = discard(call, given.value.as_deref())?;
                enable.how.discard = enable.how.discard.and(policy);
            }
            _ => enable.tags.extend(tag_of(given)),
        }
    }
    call.problem()?;
    if let Some(columns) = columns {
        style.columns = parse_columns(call, &columns)?;
    }
    if shows || (!enable.all && enable.tags.is_empty() && enable.operands.is_empty()) {
        return Ok(Ask::Show(style));
    }
    if enable.how.may_be_missing && !enable.all {
        return Err(call.refuse(&[b"bad usage"]).with_hint());
    }
    enable.tags = labels_first(enable.tags, |tag| tag.key == Key::Label);
    if let Some(options) = options {
        enable.how = enable.how.with(&options);
    }
    Ok(Ask::Enable(enable))
}

fn exclude<'a>(call: &Call<'_>, name: &'a str, seen: &mut Vec<&'a str>) -> Result<(), Refusal> {
    for group in EXCLUSIVE.iter().filter(|group| group.contains(&name)) {
        if seen.iter().any(|other| *other != name && group.contains(other)) {
            let names: String = group.iter().map(|name| format!(" --{name}")).collect();
            return Err(call.refuse(&[b"mutually exclusive arguments:", names.as_bytes()]));
        }
    }
    seen.push(name);
    Ok(())
}

fn priority(call: &Call<'_>, value: &OsStr) -> Result<Option<i16>, Refusal> {
    let text = value.as_bytes();
    let refusal = |more: &[u8]| call.refuse(&[b"failed to parse priority: '", text, b"'", more]);
    match parse_number(text) {
        None => Err(refusal(b"")),
        Some(number) => match number.ok().and_then(|number| i16::try_from(number).ok()) {
            Some(number) => Ok((number >= 0).then_some(number)),
            None => Err(refusal(format!(": {}", strerror(Errno::ERANGE)).as_bytes())),
        },
    }
}

fn discard(call: &Call<'_>, value: Option<&OsStr>) -> Result<DiscardFlags, Refusal> {
    let Some(value) = value else { return Ok(DiscardFlags::BOTH) };
    // `-d=once` is how people write it.
    match value.as_bytes().strip_prefix(b"=").unwrap_or(value.as_bytes()) {
        b"once" => Ok(DiscardFlags::ONCE),
        b"pages" => Ok(DiscardFlags::PAGES),
        other => Err(call.refuse(&[b"unsupported discard policy: ", other])),
    }
}

fn parse_columns(call: &Call<'_>, list: &OsStr) -> Result<Vec<Column>, Refusal> {
    let mut columns = Vec::new();
    let mut rest = list.as_bytes();
    // An empty name ends the call without a word, and a comma at the end belongs to the last name.
    loop {
        let (name, after) = match rest.iter().position(|&b| b == b',') {
            Some(at) if at + 1 < rest.len() => (rest.get(..at), rest.get(at + 1..)),
            _ => (Some(rest), None),
        };
        let name = name.unwrap_or_default();
        let unknown = || call.refuse(&[b"unknown column: ", name]);
        let silent = Refusal { line: Vec::new(), status: 1, hint: false };
        columns.push(Column::named(name).ok_or_else(|| if name.is_empty() { silent } else { unknown() })?);
        match after {
            Some(after) => rest = after,
            None => return Ok(columns),
        }
    }
}

impl Properties {
    /// With what a list of options says, as `-o` takes it and fstab holds it.
    pub(crate) fn with(mut self, options: &OsStr) -> Self {
        let option = |name| fstab::option(options, name, fstab::Reader::Libmount);
        if let Some(value) = option("discard") {
            self.discard = match value {
                Some(b"once") => DiscardFlags::ONCE,
                Some(b"pages") => DiscardFlags::PAGES,
                _ => DiscardFlags::BOTH,
            };
        }
        if let Some(Some(value)) = option("pri") {
            let read = fstab::priority(value).map(|number| (number >= 0).then_some(number));
            self.priority = read.unwrap_or(self.priority);
        }
        self.may_be_missing |= option("nofail").is_some();
        self
    }

    /// These properties as flags of swapon(2).
    pub(crate) fn flags(self) -> i32 {
        self.discard.flags() | self.priority.map_or(0, |priority| SWAP_FLAG_PREFER | i32::from(priority))
    }
}
