//! `/proc/self/mountinfo` as typed mounts, and the same of single mounts without it.
//!
//! The table is as long as the machine has mounts, and the kernel writes all of it for whoever wants a line; so where
//! statmount(2) tells the same of one mount, that one is asked for. Only the lines that somebody asks for are parsed,
//! because a container host has thousands. A line is bytes, and its paths need not be UTF-8, which the crates that know
//! mountinfo refuse; and they keep options in hash maps, whose seed ends the program where getrandom(2) fails.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::{Attempt, Result};
use crate::octal;
use crate::sys::{self, MountId};

/// A superblock's device number: two mounts with the same one show the same filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DevNo {
    /// 0 for a filesystem without a block device of its own (tmpfs, overlay, btrfs).
    pub major: u32,
    /// It tells the devices of one `major` number apart.
    pub minor: u32,
}

/// One mount, as a line of mountinfo describes it (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Identifies the mount: the first field of its line.
    pub id: MountId,
    /// The mount that it is mounted on.
    pub parent: MountId,
    /// The device number of its superblock.
    pub device: DevNo,
    /// Which directory of the filesystem is its root.
    pub root: PathBuf,
    /// Where it is mounted, seen from this process's root.
    pub point: PathBuf,
    /// Whether it belongs to a peer group, so that mounts on it appear elsewhere too.
    pub shared: bool,
    /// The filesystem's type, e.g. `ext4`.
    pub fstype: String,
    /// What was mounted: a device's path, or any word.
    pub source: OsString,
    /// The superblock's options, decoded, as one string: for overlay, `lowerdir=…,upperdir=…`.
    pub options: OsString,
    /// Mounted read-only, here or as a whole.
    pub read_only: bool,
}

/// A process's mounts, in the kernel's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// These, and those of `others` that are not among them.
    pub(crate) fn with(mut self, others: Self) -> Self {
        let new = |mount: &Mount| self.get(mount.id).is_none();
        let new: Vec<Mount> = others.0.into_iter().filter(new).collect();
        self.0.extend(new);
        self
    }

    /// The lines of `text` that `wanted` picks by mount ID; a line that makes no sense is left out.
    pub fn parse(text: &[u8], wanted: impl Fn(MountId) -> bool) -> Self {
        let lines = text.split(|&b| b == b'\n').filter(|line| line_id(line).is_some_and(&wanted));
        Self(lines.filter_map(parse_line).collect())
    }

    /// The mounts of these IDs, each asked for by itself; `None` if the kernel does not tell it of all.
    pub fn ask(ids: impl Iterator<Item = Option<NonZeroU64>>) -> Option<Self> {
        // Many files are in few mounts.
        let mut asked: Vec<NonZeroU64> = Vec::new();
        let mut mounts = Vec::new();
        for id in ids {
            let id = id?;
            if !asked.contains(&id) {
                asked.push(id);
                mounts.push(ask(id)?);
            }
        }
        Some(Self(mounts))
    }

    /// The mounts of all lines of `text`.
    pub fn parse_all(text: &[u8]) -> Self {
        Self::parse(text, |_| true)
    }

    /// The mount of that ID.
    pub fn get(&self, id: MountId) -> Option<&Mount> {
        self.0.iter().find(|mount| mount.id == id)
    }

    /// The topmost mount at exactly `point`.
    pub fn at(&self, point: &Path) -> Option<&Mount> {
        self.0.iter().rfind(|mount| mount.point == point)
    }

    /// All mounts, in the kernel's order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Mount> {
        self.0.iter()
    }
}

impl Mount {
    /// The overlay's `upperdir=` as it stands in the options: every place that may be it, because a
    /// directory may be named `x,upperdir=/evil`. Candidates, not facts: whoever uses one proves it.
    pub fn upper_candidates(&self) -> Vec<PathBuf> {
        let options = self.options.as_encoded_bytes();
        let key = b"upperdir=";
        let starts = (0..options.len()).filter(|&at| {
            options.get(at..).is_some_and(|rest| rest.starts_with(key))
                && (at == 0 || options.get(at - 1) == Some(&b','))
        });
        let mut found = Vec::new();
        for start in starts {
            let rest = options.get(start + key.len()..).unwrap_or(&[]);
            for end in commas(rest) {
                let path = unescape(rest.get(..end).unwrap_or(rest));
                // The shortest first: the real option comes after lowerdir in the kernel's order, and a name seldom
                // has a comma.
                let at = found.iter().position(|other: &PathBuf| other.as_os_str().len() > path.len());
                found.insert(at.unwrap_or(found.len()), PathBuf::from(OsString::from_vec(path)));
            }
        }
        found
    }
}

impl Mount {
    /// Whether the overlay was mounted with a feature on, as `xino`. Of one that is as the kernel has it by default it says
    /// nothing.
    pub fn has_feature(&self, name: &str) -> Option<bool> {
        let mut options = self.options.as_encoded_bytes().split(|b| *b == b',');
        let value = options.find_map(|option| option.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        Some(value == b"on")
    }

    /// The overlay's lower layers, the topmost first, as whoever mounted it named them. They may be relative to a
    /// directory that is gone, and a name with a comma ends there: good to read, and for nothing else.
    pub fn lower_layers(&self) -> Vec<PathBuf> {
        let options = self.options.as_encoded_bytes().split(|b| *b == b',');
        // A list of layers, and single ones, in whose names a colon is just a byte (Linux 6.8 and later).
        let single: [&[u8]; 2] = [b"lowerdir+=", b"datadir+="];
        let values = options.filter_map(|option| {
            let one = single.iter().find_map(|key| option.strip_prefix(*key));
            one.map(|one| (one, false)).or_else(|| Some((option.strip_prefix(b"lowerdir=")?, true)))
        });
        let mut layers: Vec<Vec<u8>> = Vec::new();
        for (value, is_list) in values {
            layers.push(Vec::new());
            let mut escaped = false;
            for &byte in value {
                match layers.last_mut() {
                    Some(layer) if escaped || byte != b':' || !is_list => layer.push(byte),
                    _ => layers.push(Vec::new()),
                }
                escaped = byte == b'\\' && !escaped;
            }
        }
        let named = layers.iter().filter(|layer| !layer.is_empty());
        named.map(|layer| OsString::from_vec(unescape(layer)).into()).collect()
    }
}

/// The ends of what may be one option: each comma, and the end of the string.
fn commas(rest: &[u8]) -> impl Iterator<Item = usize> {
    let ends: Vec<usize> = rest.iter().enumerate().filter(|(_, b)| **b == b',').map(|(at, _)| at).collect();
    ends.into_iter().chain([rest.len()]).take(16)
}

/// overlayfs prints a backslash before a comma, colon or backslash of a path.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next()),
            byte => out.push(byte),
        }
    }
    out
}

fn line_id(line: &[u8]) -> Option<MountId> {
    let end = line.iter().position(|b| !b.is_ascii_digit())?;
    std::str::from_utf8(line.get(..end)?).ok()?.parse().ok().map(MountId)
}

fn ask(id: NonZeroU64) -> Option<Mount> {
    let told = sys::status_of_mount(id).ok()?;
    let (major, minor) = told.device;
    Some(Mount {
        id: told.id,
        parent: told.parent,
        device: DevNo { major, minor },
        root: OsString::from_vec(told.root).into(),
        point: OsString::from_vec(told.point).into(),
        shared: told.shared,
        fstype: String::from_utf8(told.fstype).ok()?,
        source: OsString::from_vec(told.source),
        options: OsString::from_vec(octal::decode(&told.options)),
        read_only: told.read_only,
    })
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (id, parent) = (number(fields.next()?)?, number(fields.next()?)?);
    let mut device = fields.next()?.splitn(2, |byte| *byte == b':');
    let device = DevNo { major: number(device.next()?)?, minor: number(device.next()?)? };
    let decode = |field: &[u8]| OsString::from_vec(octal::decode(field));
    let (root, point) = (decode(fields.next()?), decode(fields.next()?));
    let is_read_only = |options: &[u8]| options.split(|byte| *byte == b',').any(|option| option == b"ro");
    let read_only = is_read_only(fields.next()?);
    let mut shared = false;
    // As many optional fields as the kernel likes, and a hyphen.
    loop {
        match fields.next()? {
            b"-" => break,
            field => shared |= field.starts_with(b"shared:"),
        }
    }
    let (fstype, source, options) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Mount {
        id: MountId(id),
        parent: MountId(parent),
        device,
        root: root.into(),
        point: point.into(),
        shared,
        read_only: read_only || is_read_only(options),
        fstype: octal::to_ascii(fstype),
        source: decode(source),
        options: decode(options),
    })
}

fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// A file of /proc says that it has no bytes, so room is made beforehand: each read(2) of mountinfo makes the
/// kernel walk the mount table from its beginning.
#[expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]
pub(crate) fn read_proc(path: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32 * 1024);
    let read = fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    if read.is_ok() { bytes } else { Vec::new() }
}

/// Every mount of this thread (`mount` works in one that has its own), for the commands that print the World.
pub(crate) fn all_mounts() -> Mounts {
    Mounts::parse_all(&read_proc("/proc/thread-self/mountinfo"))
}

/// What helps where the kernel's tables are not to be read.
pub(crate) const NO_PROC: &str = "mount /proc first";

/// The one mount of this thread with that ID; `None` if it is not to be seen from here.
///
/// # Errors
/// If the table cannot be read.
#[expect(clippy::disallowed_methods, reason = "the kernel's own table")]
pub(crate) fn mount_of_id(id: MountId) -> Result<Option<Mount>> {
    let table = "/proc/thread-self/mountinfo";
    let text = fs::read(table).attempt("read", table).map_err(|error| error.or_remedy(NO_PROC))?;
    Ok(Mounts::parse(&text, |line| line == id).0.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &[u8] = b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
        31 27 0:39 / / rw,relatime shared:5 - overlay /dev/vdb rw,lowerdir=/a,upperdir=/w/upper,workdir=/w/work\n\
        40 31 8:1 /sub\\040dir /mnt\\011\xff rw - xfs /dev/disk\\134x ro\n\
        garbage\n41 x y\n";

    #[test]
    fn escapes_and_bytes_that_are_not_utf8_come_out_as_they_went_in() {
        let mounts = Mounts::parse_all(LINES);
        assert_eq!(mounts.iter().count(), 3);
        let mount = mounts.get(MountId(40)).unwrap();
        assert_eq!(mount.root, Path::new("/sub dir"));
        assert_eq!(mount.point.as_os_str().as_encoded_bytes(), b"/mnt\t\xff");
        assert_eq!(mount.source, "/dev/disk\\x");
        assert!(mount.read_only && !mount.shared);
    }

    /// Of every mount that can be reached here, those of a plain container too.
    #[test]
    fn one_mount_asked_for_is_as_its_line_says() {
        let mut compared = 0;
        for line in all_mounts().iter() {
            let Ok(place) = crate::kernel::places::locate(&line.point) else { continue };
            if place.mount != line.id {
                continue;
            }
            let Some(mut asked) = Mounts::ask([place.unique].into_iter()) else {
                eprintln!("NOT CHECKED: this kernel has no statmount(2) that tells all, or does not tell us");
                return;
            };
            let mut asked = asked.0.remove(0);
            // The line says whether the superblock is read-only, and what else the kernel itself knows of it, first.
            let options = line.options.to_str().unwrap();
            assert!(options.ends_with(asked.options.to_str().unwrap()), "{line:?} {asked:?}");
            asked.options = line.options.clone();
            assert_eq!(&asked, line);
            compared += 1;
        }
        assert!(compared > 0);
    }

    #[test]
    fn the_topmost_of_two_mounts_at_one_place_is_found() {
        assert_eq!(Mounts::parse_all(LINES).at(Path::new("/")).unwrap().fstype, "overlay");
    }

    #[test]
    fn only_the_wanted_lines_are_there() {
        let mounts = Mounts::parse(LINES, |id| id == MountId(31));
        assert_eq!(mounts.iter().map(|mount| mount.id).collect::<Vec<_>>(), [MountId(31)]);
        assert!(mounts.get(MountId(31)).unwrap().shared);
    }

    #[test]
    fn lower_layers_are_told_apart() {
        let lower = |options: &str| {
            let line = format!("31 27 0:39 / / rw - overlay o rw,{options},upperdir=/u,workdir=/w");
            Mounts::parse_all(line.as_bytes()).get(MountId(31)).unwrap().lower_layers()
        };
        assert_eq!(lower(r"lowerdir=/a:/b\134:c::/d"), ["/a", "/b:c", "/d"].map(PathBuf::from));
        assert_eq!(lower("lowerdir+=/a,lowerdir+=0-vda"), ["/a", "0-vda"].map(PathBuf::from));
        assert_eq!(lower("lowerdir+=/a:b,datadir+=/c:d"), ["/a:b", "/c:d"].map(PathBuf::from));
        assert_eq!(lower("index=on"), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_feature_is_on_or_off_or_the_kernels_own_affair() {
        let line =
            b"31 27 0:39 / / rw - overlay o rw,lowerdir=/x,upperdir=/u,workdir=/w,redirect_dir=on,xino=off";
        let mounts = Mounts::parse_all(line);
        let has = |name| mounts.get(MountId(31)).unwrap().has_feature(name);
        assert_eq!([has("redirect_dir"), has("xino"), has("index")], [Some(true), Some(false), None]);
    }

    #[test]
    fn every_reading_of_a_spoofed_upperdir_is_a_candidate() {
        let line =
            b"31 27 0:39 / / rw - overlay o rw,lowerdir=/x,upperdir=/evil,upperdir=/w/upper,workdir=/w/work";
        let candidates = Mounts::parse_all(line).get(MountId(31)).unwrap().upper_candidates();
        assert!(candidates.contains(&"/evil".into()) && candidates.contains(&"/w/upper".into()));
    }
}
