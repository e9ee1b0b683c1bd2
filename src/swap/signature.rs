//! The signatures of what can stand on a device or in a file, in one table: for mkswap, which names and erases what
//! it overwrites, and for the layers, which keep their hands off.
//!
//! mkswap erases a signature so that nothing takes the area for a filesystem afterwards. Its names are libblkid's; of
//! libblkid's many formats here are those that live on Linux disks.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::swap::header::{OLD_SIGNATURE, PAGE_SIZES, SIGNATURE, SUSPENDED};

/// A format that a magic at a fixed place tells. Those that need a closer look are [`ext`] and mkswap's squashfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    /// What libblkid calls it, and so mkswap when it wipes one; `None` for what mkswap finds in another way or
    /// leaves alone.
    pub blkid_name: Option<&'static str>,
    /// Where it stands, in bytes from the beginning.
    pub at: u64,
    pub magic: &'static [u8],
    /// How many bytes of the magic tell the family: its other members differ in the rest, and are as precious.
    pub telling: usize,
    pub role: Role,
}

/// What a format is to somebody who wants to mount it or to make something else of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// We can mount it, under the kernel's name for it.
    Mountable { kind: &'static str, label: Option<LabelPlace> },
    /// Other things are inside of it, in these words; it wins over what an old filesystem left beside it.
    Container(&'static str),
    /// We have no use for it; in a person's words.
    Other(&'static str),
}

/// Where a filesystem's label is, in bytes from the beginning; NULs fill it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LabelPlace {
    pub at: usize,
    pub length: usize,
}

/// The order is that in which mkswap names them, and in which the first of several wins.
pub(crate) const FORMATS: &[Format] = &[
    mountable("xfs", 0, b"XFSB", Some(LabelPlace { at: 108, length: 12 })).named("xfs"),
    mountable("btrfs", BTRFS_AT, b"_BHRfS_M", Some(LabelPlace { at: 0x1_0000 + 0x12b, length: 256 }))
        .named("btrfs"),
    mountable("squashfs", 0, b"hsqs", None),
    container("a LUKS volume", 0, b"LUKS\xba\xbe").named("crypto_LUKS"),
    container("a LUKS volume", 0, b"SKUL\xba\xbe").named("crypto_LUKS"),
    other("an f2fs filesystem", 1024, b"\x10\x20\xf5\xf2").named("f2fs"),
    mountable("erofs", 1024, b"\xe2\xe1\xf5\xe0", None).named("erofs"),
    other("an NTFS filesystem", 3, b"NTFS    ").named("ntfs"),
    other("an exFAT filesystem", 3, b"EXFAT   ").named("exfat"),
    other("a FAT filesystem", 0x52, b"FAT32   ").named("vfat").told_by(5),
    other("a FAT filesystem", 0x36, b"FAT16   ").named("vfat").told_by(4),
    other("a FAT filesystem", 0x36, b"FAT12   ").named("vfat").told_by(4),
    container("an LVM physical volume", 0x218, b"LVM2 001").named("LVM2_member"),
    container("a partition table (GPT)", 512, GPT),
    container("a partition table (GPT)", 4096, GPT),
    container("a RAID member", 0, RAID),
    container("a RAID member", 4096, RAID).named("linux_raid_member"),
    container(
        "a bcache device",
        4096 + 24,
        b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81",
    )
    .named("bcache")
    .told_by(4),
    other("an ISO 9660 filesystem", 0x8001, b"CD001").named("iso9660"),
    other("a ReiserFS filesystem", 0x10034, b"ReIsEr2Fs").named("reiserfs").told_by(6),
    other("a JFS filesystem", 0x8000, b"JFS1").named("jfs"),
    other("a QCOW image", 0, b"QFI\xfb"),
];

/// The superblock of btrfs lies where a swap area has its pages.
pub(crate) const BTRFS_AT: u64 = 0x10040;
/// Where the superblock of ext2, ext3 and ext4 begins.
pub(crate) const EXT_AT: usize = 1024;
const GPT: &[u8] = b"EFI PART";
const RAID: &[u8] = b"\xfc\x4e\x2b\xa9";

const fn mountable(kind: &'static str, at: u64, magic: &'static [u8], label: Option<LabelPlace>) -> Format {
    Format { blkid_name: None, at, magic, telling: magic.len(), role: Role::Mountable { kind, label } }
}

const fn container(words: &'static str, at: u64, magic: &'static [u8]) -> Format {
    Format { blkid_name: None, at, magic, telling: magic.len(), role: Role::Container(words) }
}

const fn other(words: &'static str, at: u64, magic: &'static [u8]) -> Format {
    Format { blkid_name: None, at, magic, telling: magic.len(), role: Role::Other(words) }
}

impl Format {
    const fn named(self, blkid_name: &'static str) -> Self {
        Self { blkid_name: Some(blkid_name), ..self }
    }

    const fn told_by(self, telling: usize) -> Self {
        Self { telling, ..self }
    }
}

/// Which of the ext family has this superblock: its features tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ext {
    Ext2,
    Ext3,
    Ext4,
    /// No filesystem: another one's journal.
    Journal,
}

/// The ext filesystem whose superblock this is, if it is one. 104 bytes of it are enough.
pub(crate) fn ext(superblock: &[u8]) -> Option<Ext> {
    const HAS_JOURNAL: u32 = 0x4;
    const JOURNAL_DEVICE: u32 = 0x8;
    const EXT3_INCOMPATIBLE: u32 = 0x2 | 0x4 | 0x10;
    const EXT3_READ_ONLY: u32 = 0x1 | 0x2 | 0x4;
    if superblock.get(EXT_MAGIC_AT..EXT_MAGIC_AT + EXT_MAGIC.len())? != EXT_MAGIC {
        return None;
    }
    let features = |at: usize| Some(u32::from_le_bytes(superblock.get(at..at + 4)?.try_into().ok()?));
    let (compatible, incompatible, read_only) = (features(0x5c)?, features(0x60)?, features(0x64)?);
    Some(if incompatible & JOURNAL_DEVICE != 0 {
        Ext::Journal
    } else if incompatible & !EXT3_INCOMPATIBLE != 0 || read_only & !EXT3_READ_ONLY != 0 {
        Ext::Ext4
    } else if compatible & HAS_JOURNAL != 0 {
        Ext::Ext3
    } else {
        Ext::Ext2
    })
}

const EXT_MAGIC_AT: usize = 0x38;
const EXT_MAGIC: &[u8] = b"\x53\xef";

/// A signature that stands somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundSignature {
    /// libblkid's name of the format.
    pub name: &'static str,
    /// Where it stands, in bytes from the beginning.
    pub at: u64,
    pub length: usize,
}

/// Every signature that stands in a file now and that mkswap wipes.
pub(crate) fn signatures(file: &File) -> Vec<FoundSignature> {
    let mut found: Vec<FoundSignature> = PAGE_SIZES.into_iter().filter_map(|size| swap(file, size)).collect();
    found.extend(wiped().filter_map(|(name, format)| {
        let length = format.magic.len();
        (read(file, format.at, length)? == format.magic).then_some(FoundSignature {
            name,
            at: format.at,
            length,
        })
    }));
    found.extend(squashfs(file));
    found.extend(ext_in(file));
    found
}

/// The formats that their magic alone tells mkswap, by their names.
fn wiped() -> impl Iterator<Item = (&'static str, &'static Format)> {
    FORMATS.iter().filter_map(|format| Some((format.blkid_name?, format)))
}

fn read(file: &File, at: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

fn swap(file: &File, page_size: usize) -> Option<FoundSignature> {
    let at = (page_size - SIGNATURE.len()) as u64;
    let mark = read(file, at, SIGNATURE.len())?;
    if mark == SIGNATURE || mark == OLD_SIGNATURE {
        return Some(FoundSignature { name: "swap", at, length: SIGNATURE.len() });
    }
    let word = SUSPENDED.iter().find(|word| mark.starts_with(word))?;
    Some(FoundSignature { name: "swsuspend", at, length: word.len() })
}

/// Of either byte order and of any version, which are more than the kernel mounts.
fn squashfs(file: &File) -> Option<FoundSignature> {
    let head = read(file, 0, 32)?;
    let magic = head.get(..4)?;
    let major = match magic {
        b"hsqs" => u16::from_le_bytes(head.get(28..30)?.try_into().ok()?),
        b"sqsh" => u16::from_be_bytes(head.get(28..30)?.try_into().ok()?),
        _ => return None,
    };
    Some(FoundSignature { name: if major >= 4 { "squashfs" } else { "squashfs3" }, at: 0, length: 4 })
}

fn ext_in(file: &File) -> Option<FoundSignature> {
    let name = match ext(&read(file, EXT_AT as u64, 0x70)?)? {
        Ext::Ext2 => "ext2",
        Ext::Ext3 => "ext3",
        Ext::Ext4 => "ext4",
        Ext::Journal => "jbd",
    };
    Some(FoundSignature { name, at: (EXT_AT + EXT_MAGIC_AT) as u64, length: EXT_MAGIC.len() })
}

/// The kind of partition table, if there is one.
pub(crate) fn partition_table(file: &File) -> Option<&'static str> {
    for sector in [512, 4096] {
        if read(file, sector, GPT.len()).is_some_and(|magic| magic == GPT) {
            return Some("gpt");
        }
    }
    let boot = read(file, 0, 512)?;
    let is_filesystem = wiped().any(|(_, format)| {
        format.at < 512 && boot.get(format.at as usize..).is_some_and(|bytes| bytes.starts_with(format.magic))
    });
    if boot.get(510..512)? != b"\x55\xaa" || is_filesystem {
        return None;
    }
    let entries = boot.get(446..510)?.chunks_exact(16);
    let sane = entries.clone().all(|entry| matches!(entry.first(), Some(0 | 0x80)));
    let used = entries.clone().any(|entry| entry.get(4).is_some_and(|kind| *kind != 0));
    (sane && used).then_some("dos")
}
