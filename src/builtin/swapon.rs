//! The builtin swapon: what a call asks for, which steps that comes to, and the steps taken.
//!
//! An entry of fstab, a label and an operand all become the same kind of [`Candidate`] first, so that each is
//! decided by the same rules. One that fails does not stop the others.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::find::{self, Key, Tag};
use super::fstab::{self, Table};
use super::header::{Header, SIGNATURE, Signature};
use super::show::{self, Column, Row, Style};
use super::{Call, Console, Refusal, errno_of, parse_number, system_page_size};
use crate::sys;
use crate::world::swaps::Swap;

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ask {
    /// Text about the tool.
    About(String),
    /// `-s`.
    Summary,
    /// The table.
    Show(Style),
    /// Enable something.
    Enable(Enable),
}

/// What shall be enabled, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Enable {
    all: bool,
    fstab: PathBuf,
    tags: Vec<(OsString, Tag)>,
    operands: Vec<OsString>,
    how: How,
    fix_page_size: bool,
    verbose: bool,
}

/// The properties of an area, by option or by fstab.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct How {
    priority: Option<i16>,
    /// [`ONCE`] and [`PAGES`].
    discard: i32,
    may_be_missing: bool,
}

/// SWAP_FLAG_DISCARD_ONCE
const ONCE: i32 = 0x20000;
/// SWAP_FLAG_DISCARD_PAGES
const PAGES: i32 = 0x40000;

/// Runs it.
pub(super) fn run(call: &Call<'_>, console: &mut Console) -> i32 {
    match ask(call) {
        Err(refusal) => refusal.tell(console),
        Ok(Ask::About(text)) => {
            console.say(&[text.as_bytes()]);
            0
        }
        Ok(Ask::Summary) => {
            console.say(&[&show::summary(&crate::world::active_swaps())]);
            0
        }
        Ok(Ask::Show(style)) => {
            let rows: Vec<Row> = crate::world::active_swaps().into_iter().map(row).collect();
            console.say(&[&show::table(&rows, &style)]);
            0
        }
        Ok(Ask::Enable(enable)) => {
            let world = gather(&enable);
            let failed = steps(&enable, &world).iter().filter(|step| !take(step, &enable, console)).count();
            if failed == 0 { 0 } else { call.flavour.failure_status }
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

fn ask(call: &Call<'_>) -> Result<Ask, Refusal> {
    let mut enable = Enable { operands: call.operands(), fstab: call.fstab.clone(), ..Enable::default() };
    let mut style = Style { columns: show::DEFAULT.to_vec(), headings: true, raw: false, bytes: false };
    let (mut shows, mut columns, mut options) = (false, None, None);
    let mut seen: Vec<&str> = Vec::new();
    for given in &call.parts.options {
        let value = given.value.as_deref().unwrap_or_default();
        let name = given.option.long.unwrap_or_default();
        exclude(call, name, &mut seen)?;
        match (name, given.option.short) {
            ("help" | "version", _) => return Ok(Ask::About(call.about().unwrap_or_default())),
            ("summary", _) => return Ok(Ask::Summary),
            ("show", _) => (shows, columns) = (true, given.value.clone().or(columns)),
            ("output-all", _) => columns = Some("NAME,TYPE,SIZE,USED,PRIO,UUID,LABEL".into()),
            ("noheadings", _) => style.headings = false,
            ("raw", _) => style.raw = true,
            ("bytes", _) => style.bytes = true,
            ("all", _) => enable.all = true,
            ("ifexists", _) => enable.how.may_be_missing = true,
            ("fixpgsz", _) => enable.fix_page_size = true,
            ("verbose", _) => enable.verbose = true,
            ("fstab", _) => enable.fstab = value.into(),
            ("options", _) => options = Some(value.to_owned()),
            ("priority", _) => enable.how.priority = priority(call, value)?,
            ("discard", _) => enable.how.discard |= policy(call, given.value.as_deref())?,
            (_, Some(letter)) => {
                let key = if letter == b'L' { Key::Label } else { Key::Uuid };
                enable.tags.push((value.to_owned(), Tag { key, value: value.as_bytes().to_owned() }));
            }
            _ => {}
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
    enable.tags.sort_by_key(|(_, tag)| tag.key != Key::Label);
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
            None => Err(refusal(format!(": {}", super::strerror(Errno::ERANGE)).as_bytes())),
        },
    }
}

fn policy(call: &Call<'_>, value: Option<&OsStr>) -> Result<i32, Refusal> {
    let Some(value) = value else { return Ok(ONCE | PAGES) };
    // `-d=once` is how people write it.
    match value.as_bytes().strip_prefix(b"=").unwrap_or(value.as_bytes()) {
        b"once" => Ok(ONCE),
        b"pages" => Ok(PAGES),
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

impl How {
    /// With what a list of options says, as `-o` takes it and fstab holds it.
    fn with(mut self, options: &OsStr) -> Self {
        if let Some(value) = fstab::option(options, "discard") {
            self.discard = match value {
                Some(b"once") => ONCE,
                Some(b"pages") => PAGES,
                _ => ONCE | PAGES,
            };
        }
        if let Some(Some(value)) = fstab::option(options, "pri") {
            self.priority = lenient_priority(value).unwrap_or(self.priority);
        }
        self.may_be_missing |= fstab::option(options, "nofail").is_some();
        self
    }

    /// The flags of swapon(2).
    fn flags(self) -> i32 {
        const PREFER: i32 = 0x8000;
        const DISCARD: i32 = 0x10000;
        let policy = if self.discard == ONCE | PAGES { 0 } else { self.discard };
        let discard = if self.discard == 0 { 0 } else { DISCARD | policy };
        discard | self.priority.map_or(0, |priority| PREFER | i32::from(priority))
    }
}

/// As atoi(3) reads it, at most what the kernel takes; `None` if it does not begin with a number.
fn lenient_priority(text: &[u8]) -> Option<Option<i16>> {
    let text = text.trim_ascii_start();
    let signs = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let digits = text.iter().skip(signs).take_while(|b| b.is_ascii_digit()).count();
    let number = parse_number(text.get(..signs + digits)?)?.unwrap_or(i128::MAX);
    Some((number >= 0).then(|| i16::try_from(number).unwrap_or(i16::MAX)))
}

fn row(swap: Swap) -> Row {
    let header = find::header_at(&swap.path);
    let uuid = header.as_ref().and_then(Header::uuid_text).unwrap_or_default();
    Row { uuid, label: header.map(|header| header.label).unwrap_or_default(), swap }
}

/// What there is to enable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct World {
    swaps: Vec<Swap>,
    fstab: PathBuf,
    bad_lines: Vec<usize>,
    candidates: Vec<Candidate>,
}

/// One thing to enable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Candidate {
    spec: OsString,
    path: Option<PathBuf>,
    readable: bool,
    /// Its options, if it is from fstab.
    entry: Option<OsString>,
}

fn gather(enable: &Enable) -> World {
    let fstab = enable.fstab.clone();
    let wants_tag = enable.all
        || !enable.tags.is_empty()
        || enable.operands.iter().any(|operand| Tag::parse(operand).is_some());
    let table =
        if wants_tag { Table::parse(&fs::read(&fstab).unwrap_or_default()) } else { Table::default() };
    let swaps = crate::world::active_swaps();
    let entries = || table.entries.iter().filter(|entry| entry.is_swap());
    let listed = entries().filter(|entry| entry.spec.as_bytes().starts_with(b"/"));
    let files: Vec<PathBuf> = listed
        .map(|entry| PathBuf::from(&entry.spec))
        .chain(swaps.iter().filter(|swap| swap.is_file).map(|swap| swap.path.clone()))
        .collect();
    let candidate = |spec: &OsStr, path: Option<PathBuf>, entry: Option<OsString>| Candidate {
        readable: path.as_ref().is_some_and(|path| readable(path)),
        spec: spec.to_owned(),
        path,
        entry,
    };
    let mut candidates = Vec::new();
    if enable.all {
        candidates.extend(entries().map(|entry| {
            candidate(&entry.spec, find::resolve(&entry.spec, &files), Some(entry.options.clone()))
        }));
    }
    let tags = enable.tags.iter();
    candidates.extend(tags.map(|(spec, tag)| candidate(spec, find::by_tag(tag, &files), None)));
    let operands = enable.operands.iter();
    candidates.extend(operands.map(|spec| candidate(spec, find::resolve(spec, &files), None)));
    let bad_lines = if enable.all { table.bad_lines } else { Vec::new() };
    World { swaps, fstab, bad_lines, candidates }
}

fn readable(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::R_OK).is_ok()
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Say something; whether that is a failure.
    Say(Vec<u8>, bool),
    /// Enable what is at a path, with the flags of swapon(2).
    Enable(PathBuf, i32),
}

fn steps(enable: &Enable, world: &World) -> Vec<Step> {
    let bad_line = |line: &usize| {
        let words = format!(": parse error at line {line} -- ignored");
        Step::Say([world.fstab.as_os_str().as_bytes(), words.as_bytes()].concat(), false)
    };
    let mut steps: Vec<Step> = world.bad_lines.iter().map(bad_line).collect();
    for candidate in &world.candidates {
        steps.extend(match &candidate.entry {
            Some(options) => from_fstab(enable, world, candidate, options),
            None => Some(on_its_own(enable.how, candidate)),
        });
    }
    steps
}

fn on_its_own(how: How, candidate: &Candidate) -> Step {
    match &candidate.path {
        Some(path) => Step::Enable(path.clone(), how.flags()),
        None => Step::Say([b"cannot find the device for ", candidate.spec.as_bytes()].concat(), true),
    }
}

fn from_fstab(enable: &Enable, world: &World, candidate: &Candidate, options: &OsStr) -> Option<Step> {
    let ignored = |name: &OsStr, why: &str| {
        let words = [name.as_bytes(), b": ", why.as_bytes(), b" -- ignored"].concat();
        enable.verbose.then_some(Step::Say(words, false))
    };
    if fstab::option(options, "noauto").is_some() {
        return ignored(&candidate.spec, "noauto option");
    }
    let how = enable.how.with(options);
    let Some(path) = &candidate.path else {
        return (!how.may_be_missing).then(|| on_its_own(how, candidate));
    };
    if world.swaps.iter().any(|swap| swap.path == *path) {
        return ignored(path.as_os_str(), "already active");
    }
    if how.may_be_missing && !candidate.readable {
        return ignored(path.as_os_str(), "inaccessible");
    }
    Some(on_its_own(how, candidate))
}

/// Takes a step; whether that worked.
fn take(step: &Step, enable: &Enable, console: &mut Console) -> bool {
    match step {
        Step::Say(words, failure) => {
            console.warn(&[words]);
            !failure
        }
        Step::Enable(path, flags) => switch_on(path, *flags, enable, console),
    }
}

/// What an area looks like before it is enabled.
#[derive(Debug)]
struct Area {
    mode: u32,
    uid: u32,
    is_file: bool,
    is_device: bool,
    allocated: u64,
    size: u64,
    header: Option<Header>,
}

/// What is to be done to an area before the kernel gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mend {
    Nothing,
    /// Make it anew, because its pages have another size than the kernel's.
    Reinitialise,
    /// Put swap's signature in the place of a hibernated system's.
    Resign,
}

fn switch_on(path: &Path, flags: i32, enable: &Enable, console: &mut Console) -> bool {
    let name = path.as_os_str().as_bytes();
    let area = match look(path) {
        Ok(area) => area,
        Err(error) => {
            console.warn_errno(&[b"cannot open ", name], errno_of(&error));
            return false;
        }
    };
    let (words, verdict) = judge(&area, enable);
    for words in words {
        console.warn(&[name, b": ", words.as_bytes()]);
    }
    let mended = match (verdict, &area.header) {
        (None, _) => false,
        (Some(Mend::Nothing), _) | (_, None) => true,
        (Some(Mend::Reinitialise), Some(header)) => super::mkswap::reinitialise(path, header, console),
        (Some(Mend::Resign), Some(header)) => resign(path, header, console),
    };
    if !mended {
        return false;
    }
    if enable.verbose {
        console.say(&[b"swapon ", name, b"\n"]);
    }
    let done = CString::new(name).map_err(|_| Errno::EINVAL).and_then(|path| sys::swapon(&path, flags));
    if let Err(errno) = done {
        console.warn_errno(&[name, b": swapon failed"], errno);
    }
    done.is_ok()
}

fn look(path: &Path) -> std::io::Result<Area> {
    let mut file = find::open_to_read(path)?;
    let meta = file.metadata()?;
    let kind = meta.file_type();
    let is_device = kind.is_block_device();
    let size =
        if is_device { std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))? } else { meta.size() };
    let plain = kind.is_file() || is_device;
    Ok(Area {
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        is_file: kind.is_file(),
        is_device,
        allocated: meta.blocks().saturating_mul(512),
        size,
        header: if plain { Header::read(&file) } else { None },
    })
}

/// What to say about an area, and what it needs; `None` if it cannot be enabled.
fn judge(area: &Area, enable: &Enable) -> (Vec<String>, Option<Mend>) {
    let mut words = Vec::new();
    let (forbidden, suggested) = if area.is_device { (0o7007, 0o660) } else { (0o7077, 0o600) };
    if area.mode & forbidden != 0 {
        words.push(format!("insecure permissions {:04o}, {suggested:04o} suggested.", area.mode));
    }
    if area.is_file && area.uid != 0 {
        words.push(format!("insecure file owner {}, 0 (root) suggested.", area.uid));
    }
    if area.is_file && area.allocated < area.size {
        words.push("skipping - it appears to have holes.".to_owned());
        return (words, None);
    }
    let Some(header) = &area.header else {
        words.push("read swap header failed".to_owned());
        return (words, None);
    };
    let (page_size, size) = (header.page_size, header.size());
    if enable.verbose {
        let signature = if header.signature == Signature::Swap { "swap" } else { "suspend" };
        words.push(format!("found signature [pagesize={page_size}, signature={signature}]"));
        if header.signature == Signature::Swap {
            words.push(format!("pagesize={page_size}, swapsize={size}, devsize={}", area.size));
        }
    }
    let mend = match header.signature {
        Signature::Suspended => {
            words.push("software suspend data detected. Rewriting the swap signature.".to_owned());
            Mend::Resign
        }
        Signature::Swap if size > area.size => {
            if enable.verbose {
                words.push(format!("last_page 0x{size:08x} is larger than actual size of swapspace"));
            }
            Mend::Nothing
        }
        Signature::Swap if page_size == system_page_size() => Mend::Nothing,
        Signature::Swap if enable.fix_page_size => {
            words.push("swap format pagesize does not match.".to_owned());
            words.push("reinitializing the swap.".to_owned());
            Mend::Reinitialise
        }
        Signature::Swap => {
            words.push("swap format pagesize does not match. (Use --fixpgsz to reinitialize it.)".to_owned());
            Mend::Nothing
        }
    };
    (words, Some(mend))
}

fn resign(path: &Path, header: &Header, console: &mut Console) -> bool {
    let name = path.as_os_str().as_bytes();
    let file: File = match File::options().write(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) => {
            console.warn_errno(&[b"cannot open ", name], errno_of(&error));
            return false;
        }
    };
    let place = header.page_size.saturating_sub(SIGNATURE.len()) as u64;
    let written = file.write_all_at(SIGNATURE, place).and_then(|()| file.sync_all());
    if let Err(error) = &written {
        console.warn_errno(&[name, b": write signature failed"], errno_of(error));
    }
    written.is_ok()
}
