//! Enabling one area: a look at it, what to say and to mend, and swapon(2).

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;

use crate::builtin::access::{InsecureMode, insecure_mode, insecure_owner};
use crate::builtin::call::{Reported, Streams};
use crate::builtin::mkswap;
use crate::builtin::swapon::ask::Enable;
use crate::error::errno_of;
use crate::swap::header::{Header, SIGNATURE, Signature, system_page_size};
use crate::swap::tag;
use crate::sys;

/// What an area looks like before it is enabled.
#[derive(Debug)]
struct AreaFacts {
    insecure_mode: Option<InsecureMode>,
    insecure_owner: Option<u32>,
    has_holes: bool,
    /// The size of the file or device in bytes.
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

/// What to say about an area, and what it needs.
#[derive(Debug)]
struct Assessment {
    words: Vec<String>,
    /// `None` if it cannot be enabled.
    mend: Option<Mend>,
}

/// Enables what is at a path.
///
/// # Errors
/// If that did not work.
pub(crate) fn switch_on(
    path: &Path,
    flags: i32,
    enable: &Enable,
    console: &mut Streams,
) -> Result<(), Reported> {
    let name = path.as_os_str().as_bytes();
    let area = look(path).map_err(|error| console.report(&[b"cannot open ", name], errno_of(&error)))?;
    let verdict = judge(&area, enable);
    for words in verdict.words {
        console.warn(&[name, b": ", words.as_bytes()]);
    }
    match (verdict.mend.ok_or(Reported)?, &area.header) {
        (Mend::Nothing, _) | (_, None) => {}
        (Mend::Reinitialise, Some(header)) => mkswap::reinitialise(path, header, console)?,
        (Mend::Resign, Some(header)) => resign(path, header, console)?,
    }
    if enable.verbose {
        console.say(&[b"swapon ", name, b"\n"]);
    }
    let done = CString::new(name).map_err(|_| Errno::EINVAL).and_then(|path| sys::swapon(&path, flags));
    done.map_err(|errno| console.report(&[name, b": swapon failed"], errno))
}

fn look(path: &Path) -> std::io::Result<AreaFacts> {
    let mut file = tag::open_to_read(path)?;
    let meta = file.metadata()?;
    let kind = meta.file_type();
    let is_device = kind.is_block_device();
    let size =
        if is_device { std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))? } else { meta.size() };
    let plain = kind.is_file() || is_device;
    Ok(AreaFacts {
        insecure_mode: insecure_mode(&meta),
        insecure_owner: insecure_owner(&meta),
        has_holes: kind.is_file() && meta.blocks().saturating_mul(512) < size,
        size,
        header: if plain { Header::read(&file) } else { None },
    })
}

fn judge(area: &AreaFacts, enable: &Enable) -> Assessment {
    let mut words = Vec::new();
    if let Some(InsecureMode { mode, suggested }) = area.insecure_mode {
        words.push(format!("insecure permissions {mode:04o}, {suggested:04o} suggested."));
    }
    if let Some(owner) = area.insecure_owner {
        words.push(format!("insecure file owner {owner}, 0 (root) suggested."));
    }
    if area.has_holes {
        words.push("skipping - it appears to have holes.".to_owned());
        return Assessment { words, mend: None };
    }
    let Some(header) = &area.header else {
        words.push("read swap header failed".to_owned());
        return Assessment { words, mend: None };
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
    Assessment { words, mend: Some(mend) }
}

fn resign(path: &Path, header: &Header, console: &mut Streams) -> Result<(), Reported> {
    let name = path.as_os_str().as_bytes();
    let file: File = File::options()
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| console.report(&[b"cannot open ", name], errno_of(&error)))?;
    let place = header.page_size.saturating_sub(SIGNATURE.len()) as u64;
    let written = file.write_all_at(SIGNATURE, place).and_then(|()| file.sync_all());
    written.map_err(|error| console.report(&[name, b": write signature failed"], errno_of(&error)))
}
