//! The builtin mkswap's hands: looks at the file or device, warns of what it sees, writes the header.
//!
//! Everything that can fail is tried before the first byte is written. The first kilobyte is erased, because
//! an old filesystem or boot sector there would be taken for a living one, unless it holds a partition table.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::fs::{self, File, Metadata};
use std::io::Seek;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::builtin::access::{InsecureMode, insecure_mode, insecure_owner};
use crate::builtin::call::{Reported, Streams};
use crate::builtin::mkswap::ask::{Layout, Lock, NewArea, NewUuid, layout, page_size_note};
use crate::builtin::show;
use crate::error::errno_of;
use crate::kernel::devices;
use crate::kernel::extents::extents;
use crate::swap::header::{self, Fields};
use crate::swap::{signature, tag, uuid};
use crate::sys::{DirtyPages, Extent};

/// Makes the area.
///
/// # Errors
/// If it could not be made; the reason is on stderr then.
pub(crate) fn format(format: &NewArea, console: &mut Streams) -> Result<(), Reported> {
    let device = Path::new(&format.device);
    let name = format.device.as_bytes();
    if let Some(note) = page_size_note(format) {
        console.warn(&[note.as_bytes()]);
    }
    let seen = match fs::metadata(device) {
        Err(error) if format.file && errno_of(&error) == Errno::ENOENT => None,
        seen => Some(seen.or_else(|error| failed(console, &[b"cannot open ", name], errno_of(&error)))?),
    };
    let available = available(format, seen.as_ref())
        .or_else(|error| failed(console, &[b"cannot open ", name], errno_of(&error)))?;
    let layout = layout(format, available).or_else(|words| refused(console, &[words.as_bytes()]))?;
    if layout.cut {
        let most = u64::from(u32::MAX) * (layout.page_size as u64 / 1024);
        console.warn(&[format!("warning: truncating swap area to {most} KiB").as_bytes()]);
    }
    if seen.as_ref().is_some_and(|seen| seen.file_type().is_block_device()) && is_mounted(device) {
        return refused(console, &[b"error: ", name, b" is mounted; will not make swapspace"]);
    }
    let file = open(format, seen.as_ref())
        .or_else(|error| failed(console, &[b"cannot open ", name], errno_of(&error)))?;
    let meta = file
        .metadata()
        .or_else(|error| failed(console, &[b"stat of ", name, b" failed"], errno_of(&error)))?;
    lock(format, &file, console)?;
    grow(format, &file, &meta, console)?;
    if !format.manner.quiet {
        warn_of_access(name, &meta, console);
    }
    let bad_pages = check(format, &layout, &file, &meta, console)?;
    if !format.manner.quiet && meta.is_file() {
        warn_of_holes(format, &file, console);
    }
    if !meta.is_file() && !meta.file_type().is_block_device() {
        return refused(console, &[b"unable to assign device to libblkid probe"]);
    }
    write(format, &layout, &bad_pages, &file, console)
}

/// The device's size in bytes, if it has one.
fn available(format: &NewArea, seen: Option<&Metadata>) -> std::io::Result<Option<u64>> {
    Ok(match (format.size.filter(|_| format.file), seen) {
        (Some(size), _) => Some(size),
        (None, None) => Some(0),
        (None, Some(seen)) if seen.is_file() => Some(seen.size()),
        (None, Some(seen)) if seen.file_type().is_block_device() => {
            let mut device = tag::open_to_read(Path::new(&format.device))?;
            device.seek(std::io::SeekFrom::End(0)).ok()
        }
        (None, Some(_)) => None,
    })
}

/// A block device that somebody uses cannot be opened exclusively: an active swap area, a mounted disk.
fn open(format: &NewArea, seen: Option<&Metadata>) -> std::io::Result<File> {
    let exclusive = seen.is_some_and(|seen| seen.file_type().is_block_device());
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | if exclusive { libc::O_EXCL } else { 0 };
    let mut options = File::options();
    options.read(true).write(true).custom_flags(flags);
    if seen.is_none() {
        options.create_new(true).mode(0o600);
    }
    options.open(&format.device)
}

/// `--file`: cut to its size, and every block there.
fn grow(format: &NewArea, file: &File, meta: &Metadata, console: &mut Streams) -> Result<(), Reported> {
    let Some(size) = format.size.filter(|_| format.file && meta.is_file()) else { return Ok(()) };
    let length = i64::try_from(size).unwrap_or(i64::MAX);
    let allocated = || match fallocate(file, FallocateFlags::empty(), 0, length) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => fill(file, meta.size(), size),
        done => done.map_err(std::io::Error::from),
    };
    let cut = if meta.size() > size { file.set_len(size) } else { Ok(()) };
    cut.and_then(|()| allocated()).or_else(|error| {
        failed(console, &[b"couldn't allocate swap file ", format.device.as_bytes()], errno_of(&error))
    })
}

/// Zeros from the file's end on, where the filesystem has no fallocate(2).
fn fill(file: &File, from: u64, to: u64) -> std::io::Result<()> {
    const CHUNK: usize = 64 * 1024;
    let zeros = vec![0; CHUNK];
    let mut at = from;
    while at < to {
        let length = usize::try_from(to - at).unwrap_or(CHUNK).min(CHUNK);
        file.write_all_at(zeros.get(..length).unwrap_or_default(), at)?;
        at += length as u64;
    }
    Ok(())
}

fn is_mounted(device: &Path) -> bool {
    let Ok(meta) = fs::metadata(device) else { return false };
    let is_swap = crate::swap::active::active().iter().any(|swap| swap.path == tag::canonical(device));
    is_swap
        || crate::kernel::mounts::all_mounts().iter().any(|mount| {
            let source = Path::new(&mount.source);
            source == device || (source.starts_with("/dev") && devices::is_node_of(source, meta.rdev()))
        })
}

#[expect(
    deprecated,
    reason = "nix's Flock wants to own the file, and the lock is the file's for as long as we are"
)]
fn lock(format: &NewArea, file: &File, console: &mut Streams) -> Result<(), Reported> {
    use nix::fcntl::{FlockArg, flock};
    use std::os::fd::AsRawFd;
    let name = format.device.as_bytes();
    if format.lock == Lock::No {
        return Ok(());
    }
    match flock(file.as_raw_fd(), FlockArg::LockExclusiveNonblock) {
        Ok(()) => return Ok(()),
        Err(Errno::EWOULDBLOCK) if format.lock == Lock::Try => {
            return refused(console, &[name, b": device already locked"]);
        }
        Err(Errno::EWOULDBLOCK) => {}
        Err(errno) => return failed(console, &[name, b": failed to get lock"], errno),
    }
    let words = [b"mkswap: ", name, b": device already locked, waiting to get lock ... "].concat();
    console.write_err(&words);
    flock(file.as_raw_fd(), FlockArg::LockExclusive)
        .or_else(|errno| failed(console, &[name, b": failed to get lock"], errno))?;
    console.write_err(b"OK\n");
    Ok(())
}

fn warn_of_access(name: &[u8], meta: &Metadata, console: &mut Streams) {
    if let Some(InsecureMode { mode, suggested }) = insecure_mode(meta) {
        let words = format!(": insecure permissions {mode:04o}, fix with: chmod {suggested:04o} ");
        console.warn(&[name, words.as_bytes(), name]);
    }
    if let Some(owner) = insecure_owner(meta) {
        let words = format!(": insecure file owner {owner}, fix with: chown 0:0 ");
        console.warn(&[name, words.as_bytes(), name]);
    }
}

/// `-c`: the pages of a device that cannot be read.
fn check(
    format: &NewArea,
    layout: &Layout,
    file: &File,
    meta: &Metadata,
    console: &mut Streams,
) -> Result<Vec<u32>, Reported> {
    if !format.manner.check {
        return Ok(Vec::new());
    }
    if !meta.file_type().is_block_device() {
        console.warn(&[
            b"warning: checking bad blocks from swap file is not supported: ",
            format.device.as_bytes(),
        ]);
        return Ok(Vec::new());
    }
    let mut page = vec![0; layout.page_size];
    let mut bad = Vec::new();
    let most = header::bad_pages_max(layout.page_size);
    for number in 0..layout.pages {
        let at = format.offset + u64::from(number) * layout.page_size as u64;
        if file.read_exact_at(&mut page, at).is_ok() {
            continue;
        }
        if bad.len() == most {
            return refused(console, &[format!("too many bad pages: {most}").as_bytes()]);
        }
        bad.push(number);
    }
    let noun = if bad.len() == 1 { "page" } else { "pages" };
    console.say(&[format!("{} bad {noun}\n", bad.len()).as_bytes()]);
    Ok(bad)
}

/// What the kernel may refuse when the area is enabled.
fn warn_of_holes(format: &NewArea, file: &File, console: &mut Streams) {
    let Some(findings) = holes(file).filter(|findings| !findings.is_empty()) else { return };
    console.write_err(b"\n");
    console.warn(&[format.device.as_bytes(), b" contains holes or other unsupported extents."]);
    console.write_err(b"        This swap file can be rejected by kernel on swap activation!\n");
    if !format.manner.verbose {
        console.write_err(b"        Use --verbose for more details.\n\n");
        return;
    }
    console.write_err(b"\n");
    for finding in findings {
        console.write_err(format!(" - {finding}\n").as_bytes());
    }
    console.write_err(b"\n");
}

fn holes(file: &File) -> Option<Vec<String>> {
    const UNFIT: [(u32, &str); 3] = [
        (Extent::INLINE, "data inline extent"),
        (Extent::SHARED, "shared extent"),
        (Extent::UNKNOWN, "unallocated extent"),
    ];
    let size = file.metadata().ok()?.size();
    let (mut end, mut findings) = (0, Vec::new());
    for extent in extents(file, DirtyPages::Placed).ok()? {
        if extent.logical > end {
            findings.push(format!("hole detected at offset {end}"));
        }
        let unfit = UNFIT.iter().find(|(flag, _)| extent.flags & flag != 0);
        findings.extend(unfit.map(|(_, what)| format!("{what} at offset {}", extent.logical)));
        end = extent.logical.saturating_add(extent.length);
    }
    if end < size {
        findings.push(format!("hole detected at offset {end}"));
    }
    Some(findings)
}

fn write(
    format: &NewArea,
    layout: &Layout,
    bad_pages: &[u32],
    file: &File,
    console: &mut Streams,
) -> Result<(), Reported> {
    let name = format.device.as_bytes();
    let own = new_uuid(format.uuid).or_else(|errno| failed(console, &[b"cannot make a UUID"], errno))?;
    let used = u64::from(layout.pages).saturating_sub(1 + bad_pages.len() as u64);
    if bad_pages.first() == Some(&0) {
        return refused(console, &[b"Unable to set up swap-space: unreadable"]);
    }
    erase_old(format, file, console)?;
    if format.label.as_ref().is_some_and(|label| label.is_cut) && !format.manner.quiet {
        console.warn(&[b"Label was truncated."]);
    }
    if !format.manner.quiet {
        let bytes = used * layout.page_size as u64;
        let size = show::human(bytes, "iB");
        console.say(&[format!("Setting up swapspace version 1, size = {size} ({bytes} bytes)\n").as_bytes()]);
        match &format.label {
            Some(label) => console.say(&[b"LABEL=", &label.bytes, b", "]),
            None => console.say(&[b"no label, "]),
        }
        console.say(&[b"UUID=", uuid::text(&own).as_bytes(), b"\n"]);
    }
    let page = header::page(&Fields {
        page_size: layout.page_size,
        last_page: layout.pages.saturating_sub(1),
        bad_pages,
        uuid: own,
        label: format.label.as_ref().map_or(&[], |label| &label.bytes),
        byte_order: format.byte_order,
    });
    let fields = page.get(header::FIELDS..).unwrap_or_default();
    let unwritten = [name, b": unable to write signature page"];
    file.write_all_at(fields, format.offset + header::FIELDS as u64)
        .or_else(|error| failed(console, &unwritten, errno_of(&error)))?;
    file.sync_all().or_else(|error| failed(console, &[b"write failed"], errno_of(&error)))
}

/// Erases what would make others take the area for something else, and says what it was.
fn erase_old(format: &NewArea, file: &File, console: &mut Streams) -> Result<(), Reported> {
    let name = format.device.as_bytes();
    let at_start = format.offset == 0;
    let signatures = if at_start { signature::signatures(file) } else { Vec::new() };
    let table = if format.manner.force || !at_start { None } else { signature::partition_table(file) };
    match table {
        Some(table) if !format.manner.quiet => {
            console.warn(&[name, b": warning: don't erase bootbits sectors"]);
            let line = format!("        ({table} partition table detected). Use -f to force.\n");
            console.write_err(line.as_bytes());
        }
        Some(_) => {}
        None => {
            let erased = file.write_all_at(&[0; header::FIELDS], format.offset);
            erased.or_else(|_| refused(console, &[b"unable to erase bootbits sectors"]))?;
        }
    }
    for found in signatures {
        if !format.manner.quiet {
            console.warn(&[name, b": warning: wiping old ", found.name.as_bytes(), b" signature."]);
        }
        // What is not erased here is overwritten, or is named again by the next tool that looks.
        let _ = file.write_all_at(&vec![0; found.length], found.at);
    }
    Ok(())
}

fn new_uuid(choice: NewUuid) -> nix::Result<[u8; 16]> {
    match choice {
        NewUuid::Given(uuid) => Ok(uuid),
        NewUuid::Random => uuid::random(),
        NewUuid::OfTheTime => uuid::of_the_time(),
    }
}

fn failed<T>(console: &mut Streams, parts: &[&[u8]], errno: Errno) -> Result<T, Reported> {
    Err(console.report(parts, errno))
}

fn refused<T>(console: &mut Streams, parts: &[&[u8]]) -> Result<T, Reported> {
    console.warn(parts);
    Err(Reported)
}
