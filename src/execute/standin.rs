//! Making a device that stands in for a file which cannot be swap, and taking it away again.
//!
//! A loop device goes by itself when its last user goes (autoclear); one in compressed memory is reset, which
//! gives its memory back.
#![expect(clippy::disallowed_methods, reason = "the running system's own files and devices")]

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::builtin::header::{self, Fields};
use crate::config::Fallback;
use crate::error::{Attempt, Error, Result};
use crate::plan::standin;
use crate::sys;
use crate::sys::block;
use crate::world::{Scope, World};

/// A device that holds the file's area and is not active yet.
#[derive(Debug)]
pub struct StandIn {
    /// Its path.
    pub device: PathBuf,
    /// Which kind it is.
    pub way: Fallback,
    /// A loop device lives as long as somebody has it open.
    _open: Option<OwnedFd>,
}

/// Makes a stand-in for the file at `path`, which has `size` bytes.
///
/// # Errors
/// If the kernel has no such device, or no memory or space.
pub fn make(way: Fallback, path: &Path, size: u64) -> Result<StandIn> {
    match way {
        Fallback::Loop => over_loop(path, size),
        Fallback::Zram => in_memory(path, size),
    }
}

/// Waits until no other call makes a stand-in for the file at `path`; the lock goes with the file's descriptor.
pub fn take_turn(path: &Path) -> Option<File> {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC);
    let file = options.open(path).ok()?;
    file.lock().ok()?;
    Some(file)
}

/// Whether something stands in for the file at `path` by now.
pub fn exists(path: &Path) -> bool {
    let world = World::gather(&[], &Scope { active: true, ..Scope::default() });
    standin::of_file(path, &world).is_some()
}

/// Takes a stand-in away that is not active; whatever is left of it is nobody's.
pub fn unmake(way: Fallback, device: &Path) {
    if let (Fallback::Zram, Some(name)) = (way, device.file_name()) {
        // A device is busy for a moment after the last close (udev looks at it).
        for _ in 0..20 {
            if fs::write(Path::new("/sys/block").join(name).join("reset"), "1").is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Some(number) = name.to_str().and_then(|name| name.strip_prefix("zram")) {
            let _ = fs::write("/sys/class/zram-control/hot_remove", number);
        }
    }
}

fn over_loop(path: &Path, size: u64) -> Result<StandIn> {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC);
    let file = options.open(path).attempt("open", path)?;
    let length = i64::try_from(size).map_err(|_| Error::system("allocate", path, Errno::EFBIG))?;
    sys::unharmed(|| fallocate(&file, FallocateFlags::empty(), 0, length)).attempt("allocate", path)?;
    let (open, device) = block::attach_loop(file.as_fd(), false).attempt("make a loop device over", path)?;
    Ok(StandIn { device, way: Fallback::Loop, _open: Some(open) })
}

fn in_memory(path: &Path, size: u64) -> Result<StandIn> {
    let name = free_zram(size)?;
    let device = Path::new("/dev").join(&name);
    let made = StandIn { device: device.clone(), way: Fallback::Zram, _open: None };
    let formatted = format(&device, path, size);
    if formatted.is_err() {
        unmake(Fallback::Zram, &device);
    }
    formatted.map(|()| made)
}

/// Setting the size claims a device: only one of two callers can.
fn free_zram(size: u64) -> Result<String> {
    let control = Path::new("/sys/class/zram-control/hot_add");
    let claim = |name: &str| fs::write(format!("/sys/block/{name}/disksize"), size.to_string()).is_ok();
    if let Ok(number) = fs::read_to_string(control) {
        let name = format!("zram{}", number.trim());
        if claim(&name) {
            return Ok(name);
        }
    }
    let unused = |name: &String| {
        name.starts_with("zram")
            && fs::read_to_string(format!("/sys/block/{name}/disksize")).is_ok_and(|size| size.trim() == "0")
    };
    let names = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut names = names.filter_map(|entry| entry.file_name().into_string().ok()).filter(unused);
    names
        .find(|name| claim(name))
        .ok_or_else(|| Error::system("make a zram device with", control, Errno::ENODEV))
}

fn format(device: &Path, path: &Path, size: u64) -> Result<()> {
    let page_size = 4096_usize.max(page_size());
    let pages = size / page_size as u64;
    let last_page = u32::try_from(pages.saturating_sub(1)).unwrap_or(u32::MAX);
    let page = header::page(&Fields {
        page_size,
        last_page,
        bad_pages: &[],
        swapped: false,
        uuid: standin::uuid(path),
        label: standin::LABEL,
    });
    let mut options = File::options();
    options.write(true).custom_flags(libc::O_CLOEXEC);
    let file = options.open(device).attempt("open", device)?;
    file.write_all_at(&page, 0).attempt("write", device)?;
    file.sync_all().attempt("fsync", device)
}

fn page_size() -> usize {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(4096)
}
