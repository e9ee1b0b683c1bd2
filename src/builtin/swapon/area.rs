//! Enabling one area: a look at it, what to say and to mend, and swapon(2).

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;

use crate::builtin::call::Console;
use crate::builtin::mkswap;
use crate::builtin::swapon::ask::Enable;
use crate::error::errno_of;
use crate::swap::header::system_page_size;
use crate::swap::header::{Header, SIGNATURE, Signature};
use crate::swap::tag;
use crate::sys;

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

/// Enables what is at a path; whether that worked.
pub(crate) fn switch_on(path: &Path, flags: i32, enable: &Enable, console: &mut Console) -> bool {
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
        (Some(Mend::Reinitialise), Some(header)) => mkswap::reinitialise(path, header, console),
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
    let mut file = tag::open_to_read(path)?;
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
