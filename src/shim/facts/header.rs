//! A swap header at the head of a file, as far as a plan asks for it.

use std::fs::File;

use crate::swap::tag::{Key, Tag};
use crate::swap::{header, uuid};

/// What the first page of a file says (mkswap(8)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AreaHeader {
    /// Nobody looked at the first page.
    Unread,
    /// It is no swap area.
    Missing,
    /// The file is a swap area.
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

impl AreaHeader {
    /// Whether the tag is what it says; a UUID in any case.
    pub fn has_tag(&self, tag: &Tag) -> bool {
        let Self::Swap { label, uuid: own, .. } = self else { return false };
        match tag.key {
            Key::Label => !label.is_empty() && *label == tag.value,
            Key::Uuid => uuid::text(own).as_bytes().eq_ignore_ascii_case(&tag.value),
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

/// A hibernated system's header is nothing that we have a word for, so it is as if nobody had looked.
pub(crate) fn header_of(file: &File) -> AreaHeader {
    match header::Header::read(file) {
        None => AreaHeader::Missing,
        Some(header) if header.signature == header::Signature::Swap => AreaHeader::Swap {
            bytes: (u64::from(header.last_page) + 1) * header.page_size as u64,
            usable: header.version == 1
                && header.bad_pages == 0
                && header.page_size == header::system_page_size(),
            label: header.label,
            uuid: header.uuid,
        },
        Some(_) => AreaHeader::Unread,
    }
}
