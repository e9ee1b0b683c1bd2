//! What an operand is: a tag, a missing path, a device, or a regular file and where it lives.
//!
//! Nothing here changes a file or its access: O_PATH opens copy nothing up and cannot block, and only a
//! regular file is ever opened for reading.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::Mode;

use crate::paths::OverlayPath;
use crate::swap::fallback::{self, FileId};
use crate::swap::header;
use crate::swap::tag::{Key, Tag};
use crate::sys::{self, MountId};

use crate::kernel::extents;
use crate::swap::active;

/// An operand of a command line, or a path of `/proc/swaps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operand {
    /// As it was given.
    pub given: OsString,
    /// What it turned out to be.
    pub what: What,
}

/// What an operand turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// `LABEL=…`, `UUID=…`: a name for a swap area, not a path.
    Tag,
    /// The path leads nowhere; `parent` is the directory that it would be in, if there is one.
    Missing {
        /// Why it could not be opened.
        errno: Errno,
        /// Where its directory is.
        parent: Option<Location>,
        /// Where it would be, in as many directories of its path as there are.
        path: Option<PathBuf>,
    },
    /// A device, directory, socket or FIFO.
    NotAFile(Thing),
    /// A regular file.
    File(FileFacts),
}

/// Something at a path that is no regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// In words: `block device`.
    pub kind: &'static str,
    /// Its path without symlinks, if that is known.
    pub path: Option<PathBuf>,
    /// The swap header of a block device that is an active swap area; nothing else is read.
    pub header: Header,
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Where it is.
    pub location: Location,
    /// In bytes.
    pub size: u64,
    /// Which file it is, whatever its name.
    pub id: FileId,
    /// The filesystem's own UUID, where the kernel tells it (6.9).
    pub filesystem: Option<[u8; 16]>,
    /// Whether it is made without copy-on-write (chattr +C), which is what btrfs wants.
    pub no_cow: bool,
    /// chattr(1) forbids to open it for writing. On an overlay, the backing file does not tell.
    pub unwritable: bool,
    /// How many names it has.
    pub links: u64,
    /// The bytes that no block holds; known of swap areas only.
    pub holes: u64,
    /// Its swap header.
    pub header: Header,
    /// What stands at its backing path; `None` if it has none.
    pub twin: Option<Twin>,
    /// The backing file is an active swap area, by this name or another.
    pub active: bool,
}

/// What the first page of a file says (mkswap(8)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// Nobody looked.
    Unread,
    /// It is no swap area.
    Missing,
    /// It is one.
    Swap {
        /// Without padding; empty if it has none.
        label: Vec<u8>,
        /// All zeroes if it has none.
        uuid: [u8; 16],
        /// How large it says that the area is.
        bytes: u64,
        /// It is as the kernel wants a file's: for pages of this machine's size, and without bad ones.
        usable: bool,
    },
}

impl Header {
    /// Whether the tag is what it says; a UUID in any case.
    pub fn has_tag(&self, tag: &Tag) -> bool {
        let Self::Swap { label, uuid, .. } = self else { return false };
        match tag.key {
            Key::Label => !label.is_empty() && *label == tag.value,
            Key::Uuid => header::uuid_text(uuid).as_bytes().eq_ignore_ascii_case(&tag.value),
            Key::PartLabel | Key::PartUuid | Key::Id => false,
        }
    }

    /// Whether the kernel takes it.
    pub fn is_usable(&self) -> bool {
        matches!(self, Self::Swap { usable: true, .. })
    }

    /// Whether a file of that size holds this area and nothing else: the rest at its end is no whole page.
    pub fn fills(&self, size: u64) -> bool {
        const LARGEST_PAGE: u64 = 64 * 1024;
        matches!(self, Self::Swap { bytes, .. } if *bytes <= size && size - bytes < LARGEST_PAGE)
    }
}

/// Where a file is, as the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The mount that it is in.
    pub mount: MountId,
    /// The same mount's unique ID, where the kernel tells it.
    pub unique: Option<NonZeroU64>,
    /// Its path from this process's root, without symlinks.
    pub path: PathBuf,
}

/// What stands at the path on the backing filesystem where a file of the overlay would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// A regular file; whether it is the same one is for execute to prove.
    File,
    /// Nothing: the file is in a lower layer only.
    Nothing,
    /// Something that is no file, such as a whiteout or a symlink: the path means another thing there.
    Other,
}

impl Operand {
    /// Where it is, or would be.
    pub fn location(&self) -> Option<&Location> {
        match &self.what {
            What::File(file) => Some(&file.location),
            What::Missing { parent, .. } => parent.as_ref(),
            What::Tag | What::NotAFile(_) => None,
        }
    }

    /// What its first page says.
    pub fn header(&self) -> &Header {
        match &self.what {
            What::File(file) => &file.header,
            What::NotAFile(thing) => &thing.header,
            What::Tag | What::Missing { .. } => &Header::Unread,
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&FileFacts> {
        match &self.what {
            What::File(file) => Some(file),
            What::Tag | What::Missing { .. } | What::NotAFile(_) => None,
        }
    }

    pub(crate) fn set_twin(&mut self, twin: Option<(Twin, bool)>) {
        if let What::File(file) = &mut self.what {
            file.twin = twin.map(|(twin, _)| twin);
            file.active = twin.is_some_and(|(_, active)| active);
        }
    }
}

/// Looks at one operand.
pub fn probe(given: &OsStr, header: bool) -> Operand {
    Operand { given: given.to_owned(), what: look(given, header) }
}

/// Looks at an active swap area; it is a swap area, so its first page can be read without harm. A device's is
/// read only where a tag asks for it: the disk may be slow, or answer no more.
pub fn probe_active(path: &Path, by_tag: bool) -> Operand {
    let mut operand = probe(path.as_os_str(), true);
    if let (What::NotAFile(thing), true) = (&mut operand.what, by_tag)
        && thing.kind == "block device"
        && let Ok(fd) = open_path(path)
    {
        thing.header = look_inside(&fd).0;
    }
    operand
}

/// Looks at what stands at `path` on the backing filesystem; nothing there is followed.
pub fn twin(upper: &Path, path: &OverlayPath) -> Twin {
    let meta = open_path(upper).and_then(|upper| open_beneath(&upper, path, OFlag::O_PATH)).map(File::from);
    match meta.map(|file| file.metadata()) {
        Ok(Ok(meta)) if meta.is_file() => Twin::File,
        Err(Errno::ENOENT) => Twin::Nothing,
        Ok(Ok(_)) | Err(Errno::ELOOP | Errno::EXDEV | Errno::ENOTDIR) => Twin::Other,
        // Nobody could look; the proof will, or say why it cannot.
        Ok(Err(_)) | Err(_) => Twin::File,
    }
}

/// Where a path leads.
///
/// # Errors
/// As open(2) with O_PATH says, and what /proc says where it is not there.
pub fn locate(path: &Path) -> nix::Result<Location> {
    location_of(&open_path(path)?)
}

/// Opens a file below `dir` without following a symlink or leaving the mount.
///
/// # Errors
/// As openat2(2) says: ELOOP for a symlink, EXDEV for a mount point.
pub fn open_beneath(dir: &OwnedFd, path: &OverlayPath, flags: OFlag) -> nix::Result<OwnedFd> {
    let resolve =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    // openat2(2) refuses flags that mean nothing for a place.
    let nonblock = if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { OFlag::O_NONBLOCK };
    let flags = flags | nonblock | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    match openat2(dir, path.relative(), OpenHow::new().flags(flags).resolve(resolve)) {
        Err(Errno::ENOSYS) => walk_beneath(dir, path, flags),
        other => other,
    }
}

/// openat2(2) by hand, for a kernel before 5.6 or a seccomp filter: name by name, no symlink followed, no mount
/// entered.
fn walk_beneath(dir: &OwnedFd, path: &OverlayPath, flags: OFlag) -> nix::Result<OwnedFd> {
    let home = sys::mount_id(dir.as_fd())?;
    let mut at = dir.try_clone().map_err(|error| errno_of(&error))?;
    let mut names = path.relative().components().peekable();
    while let Some(name) = names.next() {
        let place = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let flags = if names.peek().is_none() { flags } else { place | OFlag::O_DIRECTORY };
        at = openat(&at, name.as_os_str(), flags, Mode::empty())?;
        if sys::mount_id(at.as_fd())? != home {
            return Err(Errno::EXDEV);
        }
    }
    let file = File::from(at);
    let is_link = file.metadata().is_ok_and(|meta| meta.file_type().is_symlink());
    if is_link { Err(Errno::ELOOP) } else { Ok(file.into()) }
}

/// Whether the file at `path` on the backing filesystem is an active swap area. The kernel is asked, not
/// `/proc/swaps`, where a hard link has another name, and another filesystem's file may have the same.
pub(crate) fn is_active_at(upper: &Path, path: &OverlayPath) -> bool {
    let file = open_path(upper).and_then(|upper| open_beneath(&upper, path, OFlag::O_PATH));
    file.is_ok_and(|file| active::is_active(&file))
}

/// Opens a path as a place only.
///
/// # Errors
/// As open(2) says.
pub fn open_path(path: &Path) -> nix::Result<OwnedFd> {
    open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
}

fn look(given: &OsStr, header: bool) -> What {
    if Tag::parse(given).is_some() {
        return What::Tag;
    }
    let fd = match open_path(Path::new(given)) {
        Ok(fd) => fd,
        Err(errno) => {
            let (parent, path) = (locate(parent_of(given.as_ref())).ok(), fallback::would_be(given.as_ref()));
            return What::Missing { errno, parent, path };
        }
    };
    let file = File::from(fd);
    let Ok(meta) = file.metadata() else {
        return What::Missing { errno: Errno::EIO, parent: None, path: None };
    };
    let kind = meta.file_type();
    if !kind.is_file() {
        let path = fs::read_link(sys::proc_path(&file)).ok();
        return What::NotAFile(Thing { kind: name_of(kind), path, header: Header::Unread });
    }
    let fd = OwnedFd::from(file);
    let (header, holes) = if header { look_inside(&fd) } else { (Header::Unread, 0) };
    match location_of(&fd) {
        Err(errno) => What::Missing { errno, parent: None, path: None },
        Ok(location) => What::File(FileFacts {
            header,
            location,
            filesystem: filesystem_uuid(&fd),
            no_cow: File::open(sys::proc_path(&fd)).is_ok_and(|file| sys::is_no_cow(file.as_fd())),
            unwritable: sys::is_unwritable(fd.as_fd()),
            size: meta.size(),
            id: FileId::of(&meta),
            links: meta.nlink(),
            holes,
            twin: None,
            active: false,
        }),
    }
}

fn parent_of(path: &Path) -> &Path {
    let parent = path.parent().unwrap_or(path);
    if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
}

fn name_of(kind: fs::FileType) -> &'static str {
    if kind.is_block_device() {
        "block device"
    } else if kind.is_dir() {
        "directory"
    } else if kind.is_char_device() {
        "character device"
    } else if kind.is_fifo() {
        "FIFO"
    } else {
        "socket"
    }
}

/// The UUID of the filesystem that a regular file or a directory is on.
pub fn filesystem_uuid(fd: &OwnedFd) -> Option<[u8; 16]> {
    let file = File::open(sys::proc_path(fd)).ok()?;
    sys::filesystem_uuid(file.as_fd()).ok()
}

fn location_of(fd: &OwnedFd) -> nix::Result<Location> {
    let path = fs::read_link(sys::proc_path(fd)).map_err(|error| errno_of(&error))?;
    // What the kernel says of a file that has lost its name, and what any file may be called.
    if path.as_os_str().as_bytes().ends_with(b" (deleted)") && !leads_to(&path, fd) {
        return Err(Errno::ENOENT);
    }
    let (mount, unique) = (sys::mount_id(fd.as_fd())?, sys::unique_mount_id(fd.as_fd()));
    Ok(Location { mount, unique, path })
}

fn leads_to(path: &Path, fd: &OwnedFd) -> bool {
    let inode = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    inode(path).is_some_and(|there| Some(there) == inode(Path::new(&sys::proc_path(fd))))
}

/// A regular file's header and holes; a file that cannot be read has none that anybody knows of.
fn look_inside(fd: &OwnedFd) -> (Header, u64) {
    let Ok(file) = File::open(sys::proc_path(fd)) else { return (Header::Missing, 0) };
    let header = header_of(&file);
    let holes = if header.is_usable() { extents::holes(&file).unwrap_or(0) } else { 0 };
    (header, holes)
}

/// A hibernated system's header is nothing that we have a word for, so it is as if nobody had looked.
pub fn header_of(file: &File) -> Header {
    match header::Header::read(file) {
        None => Header::Missing,
        Some(header) if header.signature == header::Signature::Swap => Header::Swap {
            bytes: (u64::from(header.last_page) + 1) * header.page_size as u64,
            usable: header.version == 1 && header.bad_pages == 0 && header.page_size == page_size(),
            label: header.label,
            uuid: header.uuid,
        },
        Some(_) => Header::Unread,
    }
}

fn page_size() -> usize {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(4096)
}

fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
