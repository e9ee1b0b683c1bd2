//! What a mkswap command line asks for, and the layout of the area that follows from it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use crate::builtin::call::{Call, Refusal, parse_number};
use crate::command::getopt::Given;
use crate::error::strerror;
use crate::swap::header::{self, ByteOrder, system_page_size};
use crate::swap::uuid;

/// The area that shall be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NewArea {
    /// The path of the file or device.
    pub device: OsString,
    /// The area's size in KiB, if not all of the device.
    pub blocks: Option<u64>,
    pub label: Option<NewLabel>,
    pub uuid: NewUuid,
    /// In bytes; `None` for this machine's.
    pub page_size: Option<usize>,
    /// Where the area begins, in bytes.
    pub offset: u64,
    pub byte_order: ByteOrder,
    pub lock: Lock,
    /// The file is made if it is missing, and given its blocks.
    pub file: bool,
    /// The file's size in bytes, which counts with `file` only.
    pub size: Option<u64>,
    pub manner: Manner,
}

/// How the area is made, and what is said of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Every page is read, and the bad ones are noted.
    pub check: bool,
    /// It is done although it is stupid.
    pub force: bool,
    /// Nothing is said but errors.
    pub quiet: bool,
    /// It is said which holes there are.
    pub verbose: bool,
}

/// A label as it fits into the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewLabel {
    pub bytes: Vec<u8>,
    /// What was given is longer.
    pub is_cut: bool,
}

/// Which UUID the new area gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum NewUuid {
    #[default]
    Random,
    OfTheTime,
    /// Sixteen zeros mean that the area has none.
    Given([u8; 16]),
}

/// Whether the device is locked meanwhile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Lock {
    #[default]
    No,
    /// Somebody else's lock is waited for.
    Wait,
    /// Somebody else's lock is an error.
    Try,
}

/// What a call asks for.
#[derive(Debug)]
pub(crate) enum Ask {
    About(String),
    Format(Box<NewArea>),
}

pub(crate) fn ask(call: &Call<'_>) -> Result<Ask, Refusal> {
    let mut format = NewArea { lock: lock_from_environment(), ..NewArea::default() };
    let (mut uuid, mut lock, mut version) = (None, None, None);
    for given in &call.parts.options {
        let value = given.value.as_deref().unwrap_or_default();
        match given.option.long.unwrap_or_default() {
            "help" | "version" => return Ok(Ask::About(call.about().unwrap_or_default())),
            "check" => format.manner.check = true,
            "force" => format.manner.force = true,
            "quiet" => format.manner.quiet = true,
            "verbose" => format.manner.verbose = true,
            "file" => format.file = true,
            "label" => format.label = Some(NewLabel::of(value)),
            "uuid" => uuid = Some(value),
            "lock" => lock = Some(given),
            "pagesize" => format.page_size = Some(page_size(call, value)?),
            "swapversion" => version = Some(number::<i32>(call, value, "parsing version number failed")?),
            "size" => format.size = Some(size(call, value, "failed to parse size")?),
            "offset" => format.offset = size(call, value, "failed to parse offset")?,
            "endianness" => format.byte_order = byte_order(call, value)?,
            _ => {}
        }
        if format.manner.check && format.manner.quiet {
            return Err(call.refuse(&[b"mutually exclusive arguments: --check --quiet"]));
        }
    }
    call.problem()?;
    let mut operands = call.operands().into_iter();
    let (device, blocks) = (operands.next(), operands.next());
    if operands.next().is_some() {
        return Err(call.refuse(&[b"only one device argument is currently supported"]).with_hint());
    }
    if let Some(version) = version.filter(|version| *version != 1) {
        return Err(call.refuse(&[format!("swapspace version {version} is not supported").as_bytes()]));
    }
    if let Some(text) = uuid {
        format.uuid = parse_uuid(call, text)?;
    }
    check_page_size(call, &mut format)?;
    format.device = device.ok_or_else(|| nowhere(call, &format))?;
    if let Some(blocks) = blocks {
        let blocks: u64 = number(call, &blocks, "invalid block count argument")?;
        format.blocks = (blocks > 0).then_some(blocks);
    }
    if let Some(given) = lock {
        format.lock = parse_lock(call, given)?;
    }
    Ok(Ask::Format(Box::new(format)))
}

impl NewLabel {
    fn of(value: &OsStr) -> Self {
        let bytes = value.as_bytes();
        let fitting = bytes.get(..header::LABEL_MAX).unwrap_or(bytes);
        Self { bytes: fitting.to_owned(), is_cut: bytes.len() > header::LABEL_MAX }
    }
}

fn number<T: TryFrom<i128>>(call: &Call<'_>, value: &OsStr, what: &str) -> Result<T, Refusal> {
    let text = value.as_bytes();
    let refusal = |more: &str| call.refuse(&[what.as_bytes(), b": '", text, b"'", more.as_bytes()]);
    let number = parse_number(text).ok_or_else(|| refusal(""))?;
    let number = number.ok().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| refusal(&format!(": {}", strerror(Errno::ERANGE))))
}

fn page_size(call: &Call<'_>, value: &OsStr) -> Result<usize, Refusal> {
    let size: u32 = number(call, value, "parsing page size failed")?;
    Ok(usize::try_from(size).unwrap_or(usize::MAX))
}

/// A number of bytes, or of KiB, MiB and so on (`K`, `KiB`), or of their decimal kin (`KB`).
fn size(call: &Call<'_>, value: &OsStr, what: &str) -> Result<u64, Refusal> {
    let text = value.as_bytes();
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, suffix) = text.split_at(digits.min(text.len()));
    let factor = match suffix.split_first() {
        None => Some(1),
        Some((letter, rest)) => {
            let power = b"KMGTPE".iter().position(|l| l.eq_ignore_ascii_case(letter));
            let base: Option<u64> = match rest {
                b"" | b"iB" => Some(1024),
                b"B" => Some(1000),
                _ => None,
            };
            base.zip(power).and_then(|(base, power)| base.checked_pow(u32::try_from(power).ok()? + 1))
        }
    };
    let number = parse_number(number).and_then(Result::ok).and_then(|number| u64::try_from(number).ok());
    let bytes = number.zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    bytes.ok_or_else(|| call.refuse(&[what.as_bytes(), b": '", text, b"'"]))
}

fn byte_order(call: &Call<'_>, value: &OsStr) -> Result<ByteOrder, Refusal> {
    let is_native = match value.as_bytes() {
        b"native" => true,
        b"little" => cfg!(target_endian = "little"),
        b"big" => cfg!(target_endian = "big"),
        other => return Err(call.refuse(&[b"invalid endianness ", other, b" is not supported"])),
    };
    Ok(if is_native { ByteOrder::Native } else { ByteOrder::Swapped })
}

fn parse_uuid(call: &Call<'_>, value: &OsStr) -> Result<NewUuid, Refusal> {
    match value.as_bytes() {
        b"clear" => Ok(NewUuid::Given([0; 16])),
        b"random" => Ok(NewUuid::Random),
        b"time" => Ok(NewUuid::OfTheTime),
        text => match uuid::parse(text) {
            Some(uuid) => Ok(NewUuid::Given(uuid)),
            None => Err(call.refuse(&[b"error: parsing UUID failed"])),
        },
    }
}

/// A page has to hold the header, and its size is a power of two.
fn check_page_size(call: &Call<'_>, format: &mut NewArea) -> Result<(), Refusal> {
    const AT_LEAST: usize = 2048;
    format.page_size = format.page_size.filter(|size| *size != 0);
    match format.page_size {
        Some(size) if !size.is_power_of_two() || size < AT_LEAST => {
            Err(call.refuse(&[format!("Bad user-specified page size {size}").as_bytes()]))
        }
        _ => Ok(()),
    }
}

/// What is said of a page size that is not this machine's.
pub(crate) fn page_size_note(format: &NewArea) -> Option<String> {
    let system = system_page_size();
    let size = format.page_size.filter(|size| *size != system && !format.manner.quiet)?;
    Some(format!("Using user-specified page size {size}, instead of the system value {system}"))
}

fn nowhere(call: &Call<'_>, format: &NewArea) -> Refusal {
    let note = page_size_note(format).map(|note| format!("mkswap: {note}\n")).unwrap_or_default();
    let mut refusal = call.refuse(&[b"error: Nowhere to set up swap on?"]).with_hint();
    refusal.line.splice(..0, note.into_bytes());
    refusal
}

fn parse_lock(call: &Call<'_>, given: &Given) -> Result<Lock, Refusal> {
    let mode = given.value.as_deref().map_or(&b"yes"[..], OsStr::as_bytes);
    lock_mode(mode).ok_or_else(|| call.refuse(&[b"unsupported lock mode: ", mode]))
}

fn lock_mode(mode: &[u8]) -> Option<Lock> {
    match mode {
        b"yes" | b"1" => Some(Lock::Wait),
        b"no" | b"0" => Some(Lock::No),
        b"nonblock" => Some(Lock::Try),
        _ => None,
    }
}

fn lock_from_environment() -> Lock {
    let mode = std::env::var_os("LOCK_BLOCK_DEVICE");
    mode.and_then(|mode| lock_mode(mode.as_bytes())).unwrap_or_default()
}

/// How large an area becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub page_size: usize,
    /// How many pages, the header's too.
    pub pages: u32,
    /// The device has more than a swap area can.
    pub cut: bool,
}

/// Lays an area out on a device of `available` bytes; `None` where nobody knows its size.
///
/// # Errors
/// The words of mkswap: too small, or larger than the device.
pub(crate) fn layout(format: &NewArea, available: Option<u64>) -> Result<Layout, String> {
    const PAGES_AT_LEAST: u64 = 10;
    let page_size = format.page_size.unwrap_or_else(system_page_size);
    let page = page_size as u64;
    let whole = available.map_or(u64::MAX, |bytes| bytes.saturating_sub(format.offset)) / page;
    let pages = format.blocks.map_or(whole, |blocks| blocks.saturating_mul(1024) / page);
    let kib = |pages: u64| pages.saturating_mul(page / 1024);
    if pages > whole && !format.manner.force {
        let (asked, there) = (kib(pages), kib(whole));
        return Err(format!("error: size {asked} KiB is larger than device size {there} KiB"));
    }
    if pages < PAGES_AT_LEAST {
        return Err(format!("error: swap area needs to be at least {} KiB", kib(PAGES_AT_LEAST)));
    }
    let cut = pages > u64::from(u32::MAX);
    Ok(Layout { page_size, pages: u32::try_from(pages).unwrap_or(u32::MAX), cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four_k(blocks: Option<u64>, force: bool) -> NewArea {
        let manner = Manner { force, ..Manner::default() };
        NewArea { page_size: Some(4096), blocks, manner, ..NewArea::default() }
    }

    #[test]
    fn an_area_is_never_larger_than_its_device_unless_forced() {
        let megabyte = Some(1 << 20);
        assert_eq!(layout(&four_k(None, false), megabyte).unwrap().pages, 256);
        assert_eq!(layout(&four_k(Some(512), false), megabyte).unwrap().pages, 128);
        assert_eq!(
            layout(&four_k(Some(2048), false), megabyte).unwrap_err(),
            "error: size 2048 KiB is larger than device size 1024 KiB"
        );
        assert_eq!(layout(&four_k(Some(2048), true), megabyte).unwrap().pages, 512);
    }

    #[test]
    fn ten_pages_are_the_least_and_the_most_is_cut() {
        assert!(layout(&four_k(None, false), Some(40 << 10)).is_ok());
        assert_eq!(
            layout(&four_k(None, false), Some(39 << 10)).unwrap_err(),
            "error: swap area needs to be at least 40 KiB"
        );
        let huge = layout(&four_k(None, false), None).unwrap();
        assert!(huge.cut && huge.pages == u32::MAX);
    }

    #[test]
    fn an_offset_is_taken_from_the_size() {
        let format = NewArea { offset: 1 << 19, ..four_k(None, false) };
        assert_eq!(layout(&format, Some(1 << 20)).unwrap().pages, 128);
    }
}
