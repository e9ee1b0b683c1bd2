//! What a device or an image carries, told from its first MiB. Pure: bytes in, a word out.
//!
//! A device is empty only if every byte that we look at is zero; what we do not recognise is `Unknown` and
//! never formatted by itself. The trick for a format that was cut short: [`MARK`] is written near the end of
//! the device before mkfs begins and wiped after it is done, in a block that mkfs itself does not touch. A
//! mark is believed only while there is no filesystem of ours that was ever mounted, so that a guest cannot
//! write one into a file and have its layer reset. It names the filesystem that was to be made.

use crate::swap::header::{OLD_SIGNATURE, PAGE_SIZES, SIGNATURE, SUSPENDED};
use crate::swap::signature::{self, BTRFS_AT, EXT_AT, Ext, FORMATS, Format, LabelPlace, Role};

/// How much of the beginning is looked at.
pub(crate) const HEAD: usize = 1 << 20;
/// Within how much of it every signature that we know stands.
pub(crate) const NEAR: usize = 128 << 10;
/// The label that says a filesystem is a writable layer of ours.
pub(crate) const LABEL: &str = "rootfs-shim";
/// The filesystems that a writable layer can have; the first is what an empty device becomes.
pub(crate) const WRITABLE: [&str; 3] = ["ext4", "xfs", "btrfs"];
/// What stands at [`mark_offset`] while a format is under way; the filesystem's name follows, unless it is the
/// first of [`WRITABLE`], and the rest of the block is zero.
pub(crate) const MARK: &[u8] = b"rootfs-shim: formatting, not finished yet\n";
/// The length of the block that the mark is in.
pub(crate) const MARK_BLOCK: usize = 4096;

/// What stands on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Every byte that we look at is zero.
    Empty,
    /// A filesystem that we can mount.
    Filesystem {
        /// The kernel's name for it.
        kind: &'static str,
        /// Whether it carries our label.
        ours: bool,
    },
    Swap,
    /// A format of ours that did not get to its end: which of [`WRITABLE`] was being made.
    Unfinished(&'static str),
    /// Something with a name that is no filesystem for us: LUKS, a partition table, another filesystem.
    Other(String),
    /// There are bytes that neither we nor blkid know.
    Unknown,
}

impl Content {
    /// Says it in a person's words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Empty => "nothing".to_owned(),
            Self::Filesystem { kind, ours: true } => format!("a writable layer ({kind})"),
            Self::Filesystem { kind, ours: false } => format!("an {kind} filesystem"),
            Self::Swap => "a swap area".to_owned(),
            Self::Unfinished(_) => "a writable layer whose reset was cut short".to_owned(),
            Self::Other(name) => name.clone(),
            Self::Unknown => "data of an unknown kind".to_owned(),
        }
    }
}

/// Where the mark stands on a device of that size: mkfs.ext4 and mkfs.xfs clear the last 64 to 128 KiB, and a
/// block this near to the end is otherwise free on a new filesystem. mkfs.btrfs clears 2 MiB at the end of what
/// it makes a filesystem of, so its filesystems end here.
pub(crate) fn mark_offset(size: u64) -> Option<u64> {
    (size & !0xffff).checked_sub(192 << 10).filter(|offset| *offset >= HEAD as u64)
}

/// What the first MiB and the block of the mark say.
pub(crate) fn identify(head: &[u8], mark: &[u8]) -> Content {
    let content = recognise(head);
    match mark.strip_prefix(MARK) {
        Some(kind) if !is_in_use(head, &content) => {
            let named = WRITABLE.into_iter().find(|name| kind.starts_with(name.as_bytes()));
            Content::Unfinished(named.unwrap_or("ext4"))
        }
        _ => content,
    }
}

/// Whether this is a layer of ours that was mounted at least once: ext4's s_mtime, and s_mnt_count for a
/// machine whose clock stands at 1970. mkfs.xfs says itself, in sb_inprogress, that it is not done; mkfs.btrfs
/// writes the signature last. Theirs are left as they are once they are whole.
fn is_in_use(head: &[u8], content: &Content) -> bool {
    match content {
        Content::Filesystem { kind: "ext4", .. } => {
            at(head, 1024 + 0x2c, 4) != Some(&[0; 4]) || at(head, 1024 + 0x34, 2) != Some(&[0; 2])
        }
        Content::Filesystem { kind: "xfs", .. } => at(head, 126, 1) != Some(&[1]),
        Content::Empty | Content::Unknown => false,
        _ => true,
    }
}

fn recognise(head: &[u8]) -> Content {
    let is = |offset: usize, magic: &[u8]| at(head, offset, magic.len()) == Some(magic);
    let is_swap = PAGE_SIZES.iter().any(|page| is(page - 10, SIGNATURE) || is(page - 10, OLD_SIGNATURE));
    let stands = |format: &&Format| {
        let telling = format.magic.get(..format.telling).unwrap_or(format.magic);
        usize::try_from(format.at).is_ok_and(|offset| is(offset, telling))
    };
    if let Some((kind, label)) = filesystem(head, &stands, is_swap) {
        let label = label.and_then(|label| at(head, label.at, label.length)).unwrap_or(&[]);
        let label = label.split(|b| *b == 0).next().unwrap_or(&[]);
        return Content::Filesystem { kind, ours: label == LABEL.as_bytes() };
    }
    if let Some(words) = other(head, &stands) {
        return Content::Other(words.to_owned());
    }
    if is_swap {
        return Content::Swap;
    }
    if PAGE_SIZES.iter().any(|page| SUSPENDED.iter().any(|word| is(page - 10, word))) {
        return Content::Other("a hibernated system".to_owned());
    }
    if is(510, b"\x55\xaa") {
        return Content::Other("a partition table or boot sector".to_owned());
    }
    if head.iter().all(|byte| *byte == 0) { Content::Empty } else { Content::Unknown }
}

/// The filesystem that we can mount, with the place of its label. A superblock of btrfs lies where a swap area has
/// its pages, so there the swap signature wins.
fn filesystem(
    head: &[u8],
    stands: &dyn Fn(&&Format) -> bool,
    is_swap: bool,
) -> Option<(&'static str, Option<LabelPlace>)> {
    if matches!(ext_of(head), Some(Ext::Ext2 | Ext::Ext3 | Ext::Ext4)) {
        return Some(("ext4", Some(LabelPlace { at: EXT_AT + 0x78, length: 16 })));
    }
    FORMATS.iter().filter(stands).find_map(|format| match format.role {
        Role::Mountable { kind, label } if !(is_swap && format.at == BTRFS_AT) => Some((kind, label)),
        _ => None,
    })
}

/// What must never be overwritten by mistake, in words; `blkid -p` knows more, where there is one.
fn other(head: &[u8], stands: &dyn Fn(&&Format) -> bool) -> Option<&'static str> {
    let container = FORMATS.iter().filter(stands).find_map(|format| match format.role {
        Role::Container(words) => Some(words),
        _ => None,
    });
    let plain = || {
        FORMATS.iter().filter(stands).find_map(|format| match format.role {
            Role::Other(words) => Some(words),
            _ => None,
        })
    };
    let journal = || (ext_of(head) == Some(Ext::Journal)).then_some("an ext4 journal device");
    container.or_else(plain).or_else(journal)
}

fn ext_of(head: &[u8]) -> Option<Ext> {
    head.get(EXT_AT..).and_then(signature::ext)
}

fn at(head: &[u8], offset: usize, length: usize) -> Option<&[u8]> {
    head.get(offset..offset.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        for (offset, bytes) in parts {
            head[*offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    #[test]
    fn only_zeros_are_empty() {
        assert_eq!(identify(&with(&[]), &[]), Content::Empty);
        assert_eq!(identify(&with(&[(HEAD - 1, b"\x01")]), &[]), Content::Unknown);
        assert_eq!(identify(&with(&[(0, b"LUKS\xba\xbe")]), &[]), Content::Other("a LUKS volume".into()));
    }

    #[test]
    fn every_signature_is_near_the_beginning() {
        let last = FORMATS.iter().map(|format| format.at as usize + format.magic.len()).max().unwrap();
        assert!(last <= NEAR && PAGE_SIZES.iter().all(|page| *page <= NEAR));
    }

    #[test]
    fn the_label_says_whose_it_is() {
        let ext4 = with(&[(1080, b"\x53\xef"), (1144, b"rootfs-shim")]);
        assert_eq!(identify(&ext4, &[]), Content::Filesystem { kind: "ext4", ours: true });
        let other = with(&[(1080, b"\x53\xef"), (1144, b"rootfs-shimmer")]);
        assert_eq!(identify(&other, &[]), Content::Filesystem { kind: "ext4", ours: false });
    }

    #[test]
    fn the_family_is_known_by_the_part_of_the_magic_that_it_shares() {
        for (offset, magic, words) in [
            (0x36, &b"FAT1X"[..], "a FAT filesystem"),
            (0x10034, b"ReIsErFs", "a ReiserFS filesystem"),
            (4096 + 24, b"\xc6\x85\x73\xf6", "a bcache device"),
        ] {
            assert_eq!(identify(&with(&[(offset, magic)]), &[]), Content::Other(words.into()));
        }
    }

    #[test]
    fn what_others_are_inside_of_wins() {
        let volume = with(&[(1024, b"\x10\x20\xf5\xf2"), (0x218, b"LVM2 001"), (510, b"\x55\xaa")]);
        assert_eq!(identify(&volume, &[]), Content::Other("an LVM physical volume".into()));
        let journal = with(&[(1080, b"\x53\xef"), (1024 + 0x60, b"\x08")]);
        assert_eq!(identify(&journal, &[]), Content::Other("an ext4 journal device".into()));
    }

    #[test]
    fn a_swapped_page_that_looks_like_btrfs_is_still_swap() {
        let head = with(&[(4086, b"SWAPSPACE2"), (0x10040, b"_BHRfS_M")]);
        assert_eq!(identify(&head, &[]), Content::Swap);
        let asleep = with(&[(4086, b"S1SUSPEND")]);
        assert_eq!(identify(&asleep, &[]), Content::Other("a hibernated system".into()));
    }

    #[test]
    fn a_mark_is_believed_only_before_the_first_mount() {
        let fresh = with(&[(1080, b"\x53\xef"), (1144, b"rootfs-shim")]);
        let used = with(&[(1080, b"\x53\xef"), (1144, b"rootfs-shim"), (1024 + 0x2c, b"\x01")]);
        assert_eq!(identify(&fresh, MARK), Content::Unfinished("ext4"));
        assert_eq!(
            identify(&with(&[(5000, b"old")]), &[MARK, b"btrfs"].concat()),
            Content::Unfinished("btrfs")
        );
        let (half, whole) = (with(&[(0, b"XFSB"), (126, b"\x01")]), with(&[(0, b"XFSB")]));
        assert_eq!(identify(&half, &[MARK, b"xfs\0"].concat()), Content::Unfinished("xfs"));
        assert_eq!(identify(&whole, MARK), Content::Filesystem { kind: "xfs", ours: false });
        assert_eq!(identify(&used, MARK), Content::Filesystem { kind: "ext4", ours: true });
        assert_eq!(identify(&with(&[(0, b"LUKS\xba\xbe")]), MARK), Content::Other("a LUKS volume".into()));
    }
}
