//! From what the user calls a swap area to its path: facts, looked up once.
//!
//! A tag is looked for among the devices, and then in the headers of the swap files that fstab, `/proc/swaps`
//! or libblkid's cache knows: on a root without partitions of its own, that is where swap lives. The cache is
//! how `UUID=$(blkid -s UUID -o value FILE)` works in fstab: blkid(8) remembers what it has looked at.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::swap::header::Header;

/// By what a tag names an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The label in the header of a swap area.
    Label,
    /// The UUID in the header of a swap area.
    Uuid,
    /// The name of a partition in its table.
    PartLabel,
    /// The UUID of a partition in its table.
    PartUuid,
    /// A device's serial number, as udev knows it.
    Id,
}

/// A name for a swap area that is no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// By what it names the area.
    pub key: Key,
    /// The name itself, without quotes.
    pub value: Vec<u8>,
}

impl Tag {
    /// `LABEL=swap`, `UUID="…"`; `None` for everything else, an empty value and an open quote too.
    pub fn parse(spec: &OsStr) -> Option<Self> {
        let bytes = spec.as_bytes();
        let equals = bytes.iter().position(|&b| b == b'=')?;
        let key = match bytes.get(..equals)? {
            b"LABEL" => Key::Label,
            b"UUID" => Key::Uuid,
            b"PARTLABEL" => Key::PartLabel,
            b"PARTUUID" => Key::PartUuid,
            b"ID" => Key::Id,
            _ => return None,
        };
        let value = bytes.get(equals + 1..)?;
        let bare = match value {
            // What follows the last quote is passed over.
            [quote @ (b'"' | b'\''), rest @ ..] => rest.get(..rest.iter().rposition(|b| b == quote)?)?,
            value => value,
        };
        (!bare.is_empty()).then(|| Self { key, value: bare.to_owned() })
    }
}

/// The path of what `spec` names; `None` if nothing is known by that name. A path need not lead anywhere.
pub(crate) fn resolve(spec: &OsStr, files: &[PathBuf]) -> Option<PathBuf> {
    match Tag::parse(spec) {
        Some(tag) => by_tag(&tag, files),
        None if spec.is_empty() => None,
        None => Some(canonical(Path::new(spec))),
    }
}

/// The path without symlinks, or as it is if it leads nowhere. A device mapper node has a name that people
/// know.
pub(crate) fn canonical(path: &Path) -> PathBuf {
    let Ok(real) = fs::canonicalize(path) else { return path.to_owned() };
    let node = real.strip_prefix("/dev").ok().filter(|node| node.as_os_str().as_bytes().starts_with(b"dm-"));
    let name = node.and_then(|node| fs::read(Path::new("/sys/block").join(node).join("dm/name")).ok());
    match name {
        Some(name) => Path::new("/dev/mapper").join(OsStr::from_bytes(name.trim_ascii())),
        None => real,
    }
}

/// The device or, of `files` and those that libblkid remembers, the swap file that carries a tag.
pub(crate) fn by_tag(tag: &Tag, files: &[PathBuf]) -> Option<PathBuf> {
    // An area without a label is not one with an empty label.
    if tag.value.is_empty() {
        return None;
    }
    device(tag, &|_| true).or_else(|| {
        let mut known = files.iter().cloned().chain(remembered());
        known.find(|path| matches!(tag.key, Key::Label | Key::Uuid) && carries(path, tag))
    })
}

/// The device that carries a tag, of those that may be meant.
pub(crate) fn device(tag: &Tag, may_be: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    by_udev(tag).filter(|device| may_be(device)).or_else(|| by_device(tag, may_be))
}

/// What libblkid's cache says is swap. It may be long ago, so each has to be looked at again.
pub(crate) fn remembered() -> Vec<PathBuf> {
    const READ_AT_MOST: u64 = 1024 * 1024;
    let files = ["/run/blkid/blkid.tab", "/etc/blkid.tab"].into_iter();
    let text = files.map(Path::new).find_map(|path| open_to_read(path).ok()).and_then(|file| {
        let mut text = Vec::new();
        let plain = file.metadata().is_ok_and(|meta| meta.is_file());
        (plain && file.take(READ_AT_MOST).read_to_end(&mut text).is_ok()).then_some(text)
    });
    parse_cache(&text.unwrap_or_default())
}

/// `<device … TYPE="swap">/path</device>`, one to a line; in a quoted value a quote has a backslash before it.
fn parse_cache(text: &[u8]) -> Vec<PathBuf> {
    let line = |line: &[u8]| {
        let line = line.strip_prefix(b"<device ")?.strip_suffix(b"</device>")?;
        let (mut quoted, mut escaped) = (false, false);
        let end = line.iter().position(|&byte| {
            quoted ^= byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            byte == b'>' && !quoted
        })?;
        let (tags, path) = (line.get(..end)?, line.get(end + 1..)?);
        let is_swap = tags.windows(12).any(|tag| tag == b" TYPE=\"swap\"");
        (is_swap && path.starts_with(b"/")).then(|| PathBuf::from(OsStr::from_bytes(path)))
    };
    text.split(|&b| b == b'\n').filter_map(line).collect()
}

/// The device that a link of udev's leads to.
fn by_udev(tag: &Tag) -> Option<PathBuf> {
    let dir = match tag.key {
        Key::Label => "by-label",
        Key::Uuid => "by-uuid",
        Key::PartLabel => "by-partlabel",
        Key::PartUuid => "by-partuuid",
        Key::Id => "by-id",
    };
    let link = Path::new("/dev/disk").join(dir).join(OsString::from_vec(udev_name(&tag.value)));
    link.exists().then(|| canonical(&link))
}

/// udev writes what may not be in a file's name as `\xNN`.
fn udev_name(value: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(value.len());
    for &byte in value {
        if byte.is_ascii_alphanumeric() || byte >= 0x80 || b"#+-.:=@_".contains(&byte) {
            name.push(byte);
        } else {
            name.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
    }
    name
}

/// Where there is no udev: every partition that the kernel knows.
fn by_device(tag: &Tag, may_be: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let text = fs::read("/proc/partitions").unwrap_or_default();
    let names = text
        .split(|&b| b == b'\n')
        .skip(2)
        .filter_map(|line| line.split(|b| *b == b' ').rfind(|field| !field.is_empty()).map(<[u8]>::to_vec));
    names.into_iter().find_map(|name| {
        let node: Vec<u8> = name.iter().map(|&b| if b == b'!' { b'/' } else { b }).collect();
        let path = Path::new("/dev").join(OsStr::from_bytes(&node));
        let found = may_be(&path)
            && match tag.key {
                Key::Label | Key::Uuid => carries(&path, tag),
                Key::PartLabel => uevent(&name, b"PARTNAME=").is_some_and(|value| value == tag.value),
                Key::PartUuid => {
                    uevent(&name, b"PARTUUID=").is_some_and(|value| value.eq_ignore_ascii_case(&tag.value))
                }
                Key::Id => false,
            };
        found.then(|| canonical(&path))
    })
}

fn uevent(name: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let path = Path::new("/sys/class/block").join(OsStr::from_bytes(name)).join("uevent");
    let text = fs::read(path).ok()?;
    text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(key).map(<[u8]>::to_vec))
}

/// Whether there is a swap area of that label or UUID.
fn carries(path: &Path, tag: &Tag) -> bool {
    let header = header_at(path);
    header.is_some_and(|header| match tag.key {
        Key::Label => header.label == tag.value,
        _ => header.uuid_text().is_some_and(|uuid| uuid.as_bytes().eq_ignore_ascii_case(&tag.value)),
    })
}

/// The header of the swap area at a path, if one is there and may be read.
pub(crate) fn header_at(path: &Path) -> Option<Header> {
    let file = open_to_read(path).ok()?;
    let kind = file.metadata().ok()?.file_type();
    let plain = kind.is_file() || std::os::unix::fs::FileTypeExt::is_block_device(&kind);
    if plain { Header::read(&file) } else { None }
}

/// Opens for reading, never blocking on a FIFO.
///
/// # Errors
/// As open(2) says.
pub(crate) fn open_to_read(path: &Path) -> std::io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// util-linux takes labels before UUIDs, each in the order given. The library's stable sort would be 4 KiB of code
/// for each type.
pub(crate) fn labels_first<T>(tags: Vec<T>, is_label: impl FnMut(&T) -> bool) -> Vec<T> {
    let (mut labels, others): (Vec<T>, Vec<T>) = tags.into_iter().partition(is_label);
    labels.extend(others);
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_told_from_paths() {
        let value = |spec: &str| Tag::parse(OsStr::new(spec)).map(|tag| tag.value);
        assert_eq!(value("LABEL=a b"), Some(b"a b".to_vec()));
        assert_eq!(value("UUID=\"x\""), Some(b"x".to_vec()));
        assert_eq!(value("LABEL='a\"b'c"), Some(b"a\"b".to_vec()));
        for path in ["/LABEL=x", "LABEL=", "FOO=x", "label=x", "swapfile", "", "LABEL=\"no", "UUID='"] {
            assert_eq!(value(path), None, "{path}");
        }
    }

    #[test]
    fn the_swap_areas_of_the_cache_are_found() {
        let text = b"<device DEVNO=\"0x1\" TYPE=\"ext4\">/dev/vda</device>\n\
            <device DEVNO=\"0x0\" LABEL=\"q\\\"b>\\\\\" TYPE=\"swap\">/f x\"y</device>\n\
            <device LABEL=\"TYPE=\\\"swap\\\"\" TYPE=\"xfs\">/no</device>\n<device TYPE=\"swap\">rel</device>\n\
            <device  TYPE=\"swap\">/last</device>\n<device TYPE=\"swap\">/cut";
        assert_eq!(parse_cache(text), [Path::new("/f x\"y"), Path::new("/last")]);
    }

    #[test]
    fn a_label_becomes_a_file_name_as_udev_writes_it() {
        assert_eq!(udev_name(b"a b/c"), b"a\\x20b\\x2fc");
    }
}
