//! What an operand is: a tag, a missing path, a device, or a regular file and where it lives.
//!
//! Nothing here changes a file or its access: O_PATH opens copy nothing up and cannot block, and only a
//! regular file is ever opened for reading.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::kernel::extents;
use crate::kernel::places::{
    self, FileId, Location, filesystem_uuid, locate, location_of, open_beneath, open_path, parent_of,
};
use crate::paths::OverlayPath;
use crate::shim::facts::header::{AreaHeader, header_of};
use crate::swap::active;
use crate::swap::tag::Tag;
use crate::sys;

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
    /// A regular file, and what is known of it.
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
    pub header: AreaHeader,
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// The mount that it is in, and its path.
    pub location: Location,
    /// Its size in bytes.
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
    /// The swap header in its first page.
    pub header: AreaHeader,
    /// What stands at its backing path; `None` if it has none.
    pub at_backing_path: Option<AtBackingPath>,
    /// The backing file is an active swap area, by this name or another.
    pub active: bool,
}

/// What stands at the path on the backing filesystem where a file of the overlay would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtBackingPath {
    /// A regular file; that it is the same one is proved later.
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
    pub fn header(&self) -> &AreaHeader {
        match &self.what {
            What::File(file) => &file.header,
            What::NotAFile(thing) => &thing.header,
            What::Tag | What::Missing { .. } => &AreaHeader::Unread,
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&FileFacts> {
        match &self.what {
            What::File(file) => Some(file),
            What::Tag | What::Missing { .. } | What::NotAFile(_) => None,
        }
    }

    pub(crate) fn file_mut(&mut self) -> Option<&mut FileFacts> {
        match &mut self.what {
            What::File(file) => Some(file),
            What::Tag | What::Missing { .. } | What::NotAFile(_) => None,
        }
    }
}

/// Whether the first page of what a path leads to is looked at, where a swap header would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstPage {
    Read,
    Leave,
}

/// Looks at one operand.
pub(crate) fn probe(given: &OsStr, first_page: FirstPage) -> Operand {
    Operand { given: given.to_owned(), what: look(given, first_page) }
}

/// Looks at an active swap area; it is a swap area, so its first page can be read without harm. Of `devices` it is
/// read only where a tag asks for it: the disk may be slow, or answer no more.
pub(crate) fn probe_active(path: &Path, devices: FirstPage) -> Operand {
    let mut operand = probe(path.as_os_str(), FirstPage::Read);
    if let (What::NotAFile(thing), FirstPage::Read) = (&mut operand.what, devices)
        && thing.kind == "block device"
        && let Ok(fd) = open_path(path)
    {
        thing.header = look_inside(&fd).0;
    }
    operand
}

/// Looks at what stands at `path` on the backing filesystem; nothing there is followed.
pub(crate) fn at_backing_path(upper: &Path, path: &OverlayPath) -> AtBackingPath {
    let meta = open_path(upper).and_then(|upper| open_beneath(&upper, path, OFlag::O_PATH)).map(File::from);
    match meta.map(|file| file.metadata()) {
        Ok(Ok(meta)) if meta.is_file() => AtBackingPath::File,
        Err(Errno::ENOENT) => AtBackingPath::Nothing,
        Ok(Ok(_)) | Err(Errno::ELOOP | Errno::EXDEV | Errno::ENOTDIR) => AtBackingPath::Other,
        // Nobody could look; the proof will, or say why it cannot.
        Ok(Err(_)) | Err(_) => AtBackingPath::File,
    }
}

/// Whether the file at `path` on the backing filesystem is an active swap area. The kernel is asked, not
/// `/proc/swaps`, where a hard link has another name, and another filesystem's file may have the same.
pub(crate) fn is_active_at(upper: &Path, path: &OverlayPath) -> bool {
    let file = open_path(upper).and_then(|upper| open_beneath(&upper, path, OFlag::O_PATH));
    file.is_ok_and(|file| active::is_active(&file))
}

fn look(given: &OsStr, first_page: FirstPage) -> What {
    if Tag::parse(given).is_some() {
        return What::Tag;
    }
    let fd = match open_path(Path::new(given)) {
        Ok(fd) => fd,
        Err(errno) => {
            let (parent, path) = (locate(parent_of(given.as_ref())).ok(), places::would_be(given.as_ref()));
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
        return What::NotAFile(Thing { kind: name_of(kind), path, header: AreaHeader::Unread });
    }
    let fd = OwnedFd::from(file);
    let (header, holes) = match first_page {
        FirstPage::Read => look_inside(&fd),
        FirstPage::Leave => (AreaHeader::Unread, 0),
    };
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
            at_backing_path: None,
            active: false,
        }),
    }
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

/// A regular file's header and holes; a file that cannot be read has none that anybody knows of.
fn look_inside(fd: &OwnedFd) -> (AreaHeader, u64) {
    let Ok(file) = File::open(sys::proc_path(fd)) else { return (AreaHeader::Missing, 0) };
    let header = header_of(&file);
    let holes = if header.is_usable() { extents::holes(&file).unwrap_or(0) } else { 0 };
    (header, holes)
}
