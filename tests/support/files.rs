//! What a script left in its guest: listed to the last byte, and removed.
//!
//! The test reads and removes it itself, through `/proc/PID/root`: a guest's shell would start ten programs for each
//! file, which was two thirds of what a row took. Whatever is not plain (a mount, a file that cannot be removed) is
//! left to the guest's shell.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use sha2::{Digest as _, Sha256};

use super::text;

/// Where the UUID of a swap header stands.
const UUID: std::ops::Range<usize> = 1036..1052;
/// The one that scripts give; every other is a run's own.
const GIVEN_UUID: &[u8; 16] = b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef";
const PAGE: usize = 4096;

/// Every file that a script can have left below `root`, with its attributes and contents, a line each; a swap
/// header's UUID only if it is one that a script gave.
pub fn list(root: &Path) -> String {
    let mut lines = String::new();
    for top in tops(root).into_iter().chain([root.join("etc/fstab")]) {
        list_below(root, &top, &mut lines);
    }
    lines
}

/// Leaves the guest as it was. Says no, with some of it done, where that is more than removing files.
pub fn remove(root: &Path) -> bool {
    let removed = tops(root).iter().all(|top| match fs::symlink_metadata(top) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(top).is_ok(),
        Ok(_) => fs::remove_file(top).is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    });
    // A link would lead out of the guest: its target is looked up from our own root.
    let fstab = root.join("etc/fstab");
    let is_plain = fs::symlink_metadata(&fstab).is_ok_and(|metadata| metadata.is_file());
    removed && is_plain && fs::write(fstab, "").is_ok() && fs::create_dir(root.join("data")).is_ok()
}

/// Where scripts put files: `/w`, `/data`, `/swapfile*` and `/var/swap*`.
fn tops(root: &Path) -> Vec<PathBuf> {
    let beginning = |dir: &Path, with: &str| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
        names.retain(|name| name.as_bytes().starts_with(with.as_bytes()));
        names.sort();
        names.into_iter().map(|name| dir.join(name)).collect::<Vec<_>>()
    };
    let named = ["data", "w"].map(|name| root.join(name)).to_vec();
    [named, beginning(root, "swapfile"), beginning(&root.join("var"), "swap")].concat()
}

fn list_below(root: &Path, path: &Path, lines: &mut String) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let name = text(path.strip_prefix(root).unwrap_or(path).as_os_str().as_bytes());
    let (mode, uid, gid, links) =
        (metadata.mode() & 0o7777, metadata.uid(), metadata.gid(), metadata.nlink());
    write!(lines, "/{name} {} {mode:o} {uid} {gid} {links}", kind_of(&metadata)).expect("a string");
    if metadata.is_file() {
        let contents = File::open(path).and_then(|file| contents(&file, metadata.len()));
        let contents = contents.unwrap_or_else(|error| format!("unreadable: {}", error.kind()));
        write!(lines, " {} {contents}", metadata.len()).expect("a string");
    }
    lines.push('\n');
    if metadata.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| list_below(root, entry, lines));
    }
}

fn kind_of(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    match () {
        () if kind.is_dir() => "directory",
        () if kind.is_symlink() => "link",
        () if kind.is_file() => "file",
        () if kind.is_fifo() => "fifo",
        () if kind.is_socket() => "socket",
        () if kind.is_char_device() => "character device",
        () => "block device",
    }
}

/// The hash of a file's pages that are not zeros, each with its place, and its UUID if a script gave it.
fn contents(file: &File, size: u64) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut page = [0; PAGE];
    let mut given = "";
    let mut at = 0;
    while at < size {
        at = match lseek(file, at.cast_signed(), Whence::SeekData) {
            Ok(data) => data.cast_unsigned() / PAGE as u64 * PAGE as u64,
            Err(Errno::ENXIO) => break,
            Err(errno) => return Err(errno.into()),
        };
        let mut length = 0;
        while length < PAGE {
            match file.read_at(&mut page[length..], at + length as u64)? {
                0 => break,
                more => length += more,
            }
        }
        if at == 0 && length >= UUID.end {
            given = if &page[UUID] == GIVEN_UUID { " with the UUID given" } else { "" };
            page[UUID].fill(0);
        }
        if page[..length] != [0; PAGE][..length] {
            hash.update(at.to_ne_bytes());
            hash.update(&page[..length]);
        }
        at += PAGE as u64;
    }
    let hash = hash.finalize();
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + given)
}
