//! What stands in a file or device before mkswap overwrites it: old signatures and partition tables.
//!
//! mkswap names what it destroys and erases the signature, so that nothing takes the area for a filesystem
//! afterwards. The names are libblkid's; of its many formats here are those that live on Linux disks.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::swap::header::{OLD_SIGNATURE, PAGE_SIZES, SIGNATURE, SUSPENDED};

/// A signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Of what.
    pub name: &'static str,
    /// Where it is, in bytes.
    pub at: u64,
    /// How long it is, in bytes.
    pub length: usize,
}

/// Formats that their magic alone tells: name, place, magic.
const MAGICS: &[(&str, u64, &[u8])] = &[
    ("xfs", 0, b"XFSB"),
    ("btrfs", 0x10040, b"_BHRfS_M"),
    ("crypto_LUKS", 0, b"LUKS\xba\xbe"),
    ("crypto_LUKS", 0, b"SKUL\xba\xbe"),
    ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    ("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
    ("ntfs", 3, b"NTFS    "),
    ("exfat", 3, b"EXFAT   "),
    ("vfat", 0x52, b"FAT32   "),
    ("vfat", 0x36, b"FAT16   "),
    ("vfat", 0x36, b"FAT12   "),
    ("LVM2_member", 0x218, b"LVM2 001"),
    ("linux_raid_member", 4096, b"\xfc\x4e\x2b\xa9"),
    ("bcache", 4096 + 24, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    ("iso9660", 0x8001, b"CD001"),
    ("reiserfs", 0x10034, b"ReIsEr2Fs"),
    ("jfs", 0x8000, b"JFS1"),
];

/// Every signature that stands there now.
pub(crate) fn signatures(file: &File) -> Vec<Found> {
    let mut found: Vec<Found> = PAGE_SIZES.into_iter().filter_map(|size| swap(file, size)).collect();
    found.extend(MAGICS.iter().filter_map(|&(name, at, magic)| {
        (read(file, at, magic.len())? == magic).then_some(Found { name, at, length: magic.len() })
    }));
    found.extend(squashfs(file));
    found.extend(ext(file));
    found
}

fn read(file: &File, at: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

fn swap(file: &File, page_size: usize) -> Option<Found> {
    let at = (page_size - SIGNATURE.len()) as u64;
    let mark = read(file, at, SIGNATURE.len())?;
    if mark == SIGNATURE || mark == OLD_SIGNATURE {
        return Some(Found { name: "swap", at, length: SIGNATURE.len() });
    }
    let word = SUSPENDED.iter().find(|word| mark.starts_with(word))?;
    Some(Found { name: "swsuspend", at, length: word.len() })
}

fn squashfs(file: &File) -> Option<Found> {
    let head = read(file, 0, 32)?;
    let magic = head.get(..4)?;
    let major = match magic {
        b"hsqs" => u16::from_le_bytes(head.get(28..30)?.try_into().ok()?),
        b"sqsh" => u16::from_be_bytes(head.get(28..30)?.try_into().ok()?),
        _ => return None,
    };
    Some(Found { name: if major >= 4 { "squashfs" } else { "squashfs3" }, at: 0, length: 4 })
}

/// Which of the ext family it is, its features tell.
fn ext(file: &File) -> Option<Found> {
    const HAS_JOURNAL: u32 = 0x4;
    const JOURNAL_DEVICE: u32 = 0x8;
    const EXT3_INCOMPATIBLE: u32 = 0x2 | 0x4 | 0x10;
    const EXT3_READ_ONLY: u32 = 0x1 | 0x2 | 0x4;
    let block = read(file, 1024, 0x70)?;
    if block.get(0x38..0x3a)? != b"\x53\xef" {
        return None;
    }
    let features = |at: usize| Some(u32::from_le_bytes(block.get(at..at + 4)?.try_into().ok()?));
    let (compatible, incompatible, read_only) = (features(0x5c)?, features(0x60)?, features(0x64)?);
    let name = if incompatible & JOURNAL_DEVICE != 0 {
        "jbd"
    } else if incompatible & !EXT3_INCOMPATIBLE != 0 || read_only & !EXT3_READ_ONLY != 0 {
        "ext4"
    } else if compatible & HAS_JOURNAL != 0 {
        "ext3"
    } else {
        "ext2"
    };
    Some(Found { name, at: 1024 + 0x38, length: 2 })
}

/// The kind of partition table, if there is one.
pub(crate) fn partition_table(file: &File) -> Option<&'static str> {
    for sector in [512, 4096] {
        if read(file, sector, 8).is_some_and(|magic| magic == b"EFI PART") {
            return Some("gpt");
        }
    }
    let boot = read(file, 0, 512)?;
    let is_filesystem = MAGICS
        .iter()
        .any(|&(_, at, magic)| at < 512 && boot.get(at as usize..).is_some_and(|b| b.starts_with(magic)));
    if boot.get(510..512)? != b"\x55\xaa" || is_filesystem {
        return None;
    }
    let entries = boot.get(446..510)?.chunks_exact(16);
    let sane = entries.clone().all(|entry| matches!(entry.first(), Some(0 | 0x80)));
    let used = entries.clone().any(|entry| entry.get(4).is_some_and(|kind| *kind != 0));
    (sane && used).then_some("dos")
}
