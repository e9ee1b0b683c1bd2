//! Making a fallback device for a file which cannot be swap, and taking it away again.
//!
//! What the user can reach is never under the device: a loop device lies over a nameless file of its own on the
//! backing filesystem, so that writing to the swapfile, or removing it, harms no page that was swapped out. The
//! loop device and its file go by themselves with their last user, a kill at any moment included; a zram device
//! is noted before it is there and marked before it has a size, so that the next call finds what a killed one left.
#![expect(clippy::disallowed_methods, reason = "the running system's own files and devices")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate, openat};
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat};

use crate::config::Fallback;
use crate::error::{Attempt, Error, Kind, Result};
use crate::kernel::places::FileId;
use crate::kernel::program;
use crate::shim::plan::runs::FallbackOperand;
use crate::swap::active;
use crate::swap::fallback::{self, FallbackDevice, ZRAM_ADD};
use crate::swap::header::Header;
use crate::sys::block::{self, Access};
use crate::sys::{self, xattr};

const ZRAM_REMOVE: &str = "/sys/class/zram-control/hot_remove";

/// A device that holds the file's area and is not active yet.
#[derive(Debug)]
pub(crate) struct Made {
    pub device: PathBuf,
    kind: Fallback,
    /// A loop device lives as long as somebody has it open.
    _open: Option<OwnedFd>,
    /// Until a zram device is active, this keeps other calls from taking it for one that was left.
    _turn: Option<File>,
}

/// A file, while no other call makes a fallback device for it.
#[derive(Debug)]
pub(crate) struct Turn {
    file: File,
    id: FileId,
    size: u64,
}

/// Waits until no other call makes a fallback device for the file at `path`; the lock goes with the file's descriptor.
///
/// # Errors
/// As open(2) says, and EWOULDBLOCK if somebody keeps the file locked.
pub(crate) fn take_turn(path: &Path) -> Result<Turn> {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC);
    let file = options.open(path).attempt("open", path)?;
    lock(&file, path)?;
    let meta = file.metadata().attempt("stat", path)?;
    Ok(Turn { id: FileId::of(&meta), size: meta.size(), file })
}

/// Others may lock the file too, so the wait has an end.
fn lock(file: &File, path: &Path) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let taken = sys::wait_for(PATIENCE, || match sys::try_lock_among_us(file.as_fd()) {
        Err(Errno::EWOULDBLOCK) => None,
        done => Some(done),
    });
    taken.unwrap_or(Err(Errno::EWOULDBLOCK)).attempt("lock", path)
}

impl Turn {
    /// The device that is active in the file's place by now.
    pub(crate) fn taken(&self) -> Option<FallbackDevice> {
        fallback::look(&active::active_swaps()).into_iter().find(|device| device.file == self.id)
    }

    /// Makes a device, which will have that name in `/proc/swaps`; `upper` is on the backing filesystem.
    ///
    /// # Errors
    /// If the kernel has no such device, or no memory or space.
    pub(crate) fn make(&self, kind: Fallback, name: &Path, upper: &Path) -> Result<Made> {
        let page = self.first_page(name)?;
        match kind {
            Fallback::Loop => over_loop(self.size, &page, upper),
            Fallback::Zram => in_memory(self.size, &page),
        }
    }

    /// The file's own, so that the kernel says of the device what it would say of the file, with our marks.
    fn first_page(&self, name: &Path) -> Result<Vec<u8>> {
        let broken = || Error::new(Kind::State, "read the header of", "it is no swap area any more").at(name);
        let size = Header::read(&self.file).ok_or_else(broken)?.page_size;
        let mut page = vec![0; size];
        self.file.read_exact_at(&mut page, 0).attempt("read", name)?;
        fallback::mark(&mut page, name, self.id);
        Ok(page)
    }
}

impl Made {
    /// Takes it away again, which did not become active.
    pub(crate) fn unmake(self) {
        if self.kind == Fallback::Zram {
            remove_zram(&self.device);
        }
    }
}

/// Takes a device away that is active no longer. One in compressed memory gives its memory back; a loop device
/// goes by itself.
pub(crate) fn retire(device: &FallbackDevice) {
    if device.kind == Fallback::Zram && !fallback::look(&active::active_swaps()).contains(device) {
        remove_zram(&device.path);
    }
}

/// Disables a device by its own name.
///
/// # Errors
/// As swapoff(2) says.
pub(crate) fn disable(device: &FallbackDevice) -> Result<()> {
    let path = std::ffi::CString::new(device.path.as_os_str().as_encoded_bytes());
    path.map_err(|_| Errno::EINVAL).and_then(|path| sys::swapoff(&path)).attempt("swapoff", &device.path)?;
    retire(device);
    Ok(())
}

/// Removes what a killed call left, unless a live one is at work on it.
pub(crate) fn sweep(leftovers: &[PathBuf]) {
    if leftovers.is_empty() {
        return;
    }
    let Ok(_turn) = zram_turn() else { return };
    fallback::leftovers()
        .iter()
        .filter(|device| leftovers.contains(device))
        .for_each(|device| remove_zram(device));
    note(OsStr::new(""));
}

/// The device under its name, in a filesystem of its own that is attached nowhere: what the real tool opens, and
/// what `/proc/swaps` shows.
///
/// # Errors
/// ENOSYS before Linux 5.2.
pub(crate) fn mount_of(operand: &FallbackOperand) -> Result<OwnedFd> {
    let device = &operand.device;
    let meta = fs::metadata(device).attempt("stat", device)?;
    let mount = sys::memory_filesystem().attempt("make a filesystem in memory for", device)?;
    let mut at = mount.try_clone().attempt("keep", device)?;
    let mut names = operand.name.relative().components().peekable();
    while let Some(Component::Normal(name)) = names.next() {
        if names.peek().is_none() {
            let mode = Mode::S_IRUSR | Mode::S_IWUSR;
            mknodat(&at, name, SFlag::S_IFBLK, mode, meta.rdev()).attempt("make a node for", device)?;
            break;
        }
        mkdirat(&at, name, Mode::S_IRWXU).attempt("make a directory for", device)?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        at = openat(&at, name, flags, Mode::empty()).attempt("open a directory for", device)?;
    }
    Ok(mount)
}

/// Without copy-on-write where the filesystem has that, so that swapping allocates nothing.
fn over_loop(size: u64, page: &[u8], upper: &Path) -> Result<Made> {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC);
    let file = options.open(upper).attempt("make a nameless file in", upper)?;
    let _ = sys::set_no_cow(file.as_fd());
    let length = i64::try_from(size).map_err(|_| Error::system("allocate", upper, Errno::EFBIG))?;
    let allocated = sys::unharmed(|| fallocate(&file, FallocateFlags::empty(), 0, length));
    allocated.attempt("allocate a file of the swapfile's size in", upper)?;
    let written = sys::unharmed(|| file.write_all_at(page, 0)).and_then(|()| file.sync_all());
    written.attempt("write a swap header in", upper)?;
    let (open, device) = block::attach_loop(file.as_fd(), Access::Writable, fallback::WORD)
        .attempt("make a loop device in", upper)?;
    if !block::loop_is_direct(open.as_fd()).attempt("look at", &device)? {
        // Swapping through the page cache would need memory to free memory, and could wait for itself.
        let why = "this filesystem has no direct I/O for it";
        return Err(Error::new(Kind::State, "make a loop device for swap in", why).at(upper));
    }
    Ok(Made { device, kind: Fallback::Loop, _open: Some(open), _turn: None })
}

fn in_memory(size: u64, page: &[u8]) -> Result<Made> {
    if !Path::new(ZRAM_ADD).exists() {
        load_module("zram");
        fs::metadata(ZRAM_ADD).attempt("add a zram device with", ZRAM_ADD)?;
    }
    let turn = zram_turn()?;
    note(&fallback::next_zram());
    let number = fs::read_to_string(ZRAM_ADD).attempt("add a zram device with", ZRAM_ADD)?;
    let name = format!("zram{}", number.trim());
    let device = Path::new("/dev").join(&name);
    let made = Made { device, kind: Fallback::Zram, _open: None, _turn: Some(turn) };
    let formatted = format(&name, &made.device, size, page);
    if formatted.is_err() {
        remove_zram(&made.device);
    }
    formatted.map(|()| made)
}

/// Says which zram device we are about to add, for whoever comes after us if we are killed before it is marked.
/// Where it cannot be said, an empty device would be left.
fn note(name: &OsStr) {
    let _ = xattr::set(Path::new(ZRAM_ADD), fallback::ZRAM_NOTE, name.as_bytes());
}

fn format(name: &str, device: &Path, size: u64, page: &[u8]) -> Result<()> {
    let set = |what: &str, value: u64| {
        let path = Path::new("/sys/block").join(name).join(what);
        fs::write(&path, value.to_string()).attempt("write", &path)
    };
    set("mem_limit", fallback::ZRAM_MARK)?;
    note(OsStr::new(""));
    set("disksize", size)?;
    let mut options = File::options();
    options.write(true).custom_flags(libc::O_CLOEXEC);
    let file = options.open(device).attempt("open", device)?;
    file.write_all_at(page, 0).attempt("write", device)?;
    file.sync_all().attempt("fsync", device)
}

/// Only calls of ours that are at work with zram devices wait for each other.
fn zram_turn() -> Result<File> {
    let file = File::options().write(true).open(ZRAM_REMOVE).attempt("open", ZRAM_REMOVE)?;
    lock(&file, Path::new(ZRAM_REMOVE))?;
    Ok(file)
}

/// One write takes the whole device away, so that a kill leaves it marked or leaves none. It is refused while
/// somebody has the device open, as udev has for a moment after its last user has gone.
fn remove_zram(device: &Path) {
    let name = device.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(number) = name.strip_prefix("zram") else { return };
    for _ in 0..50 {
        match fs::write(ZRAM_REMOVE, number) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            _ => return,
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// By the program that the kernel itself would run.
fn load_module(module: &str) {
    const LIMIT: Duration = Duration::from_secs(60);
    let path = fs::read_to_string("/proc/sys/kernel/modprobe").unwrap_or_default();
    // Whether it worked shows in what the caller looks for next.
    let _ = program::run(Command::new(path.trim()).args(["-q", module]), LIMIT);
}
