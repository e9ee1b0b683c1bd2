//! The header of a swap area, as the kernel reads it (`union swap_header` in include/linux/swap.h).
//!
//! It fills one page of the size that the area was made for: 1024 bytes that belong to somebody else (a boot
//! loader), then the fields, and the signature in the page's last ten bytes. So the page size has to be found
//! by looking for the signature. Numbers are in the byte order of the machine that made it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::swap::uuid;

/// Where the fields begin in the page.
pub(crate) const FIELDS: usize = 1024;
/// The signature that the kernel takes.
pub(crate) const SIGNATURE: &[u8; 10] = b"SWAPSPACE2";
/// The signature of the format of Linux 2.0, which nothing takes any more.
pub(crate) const OLD_SIGNATURE: &[u8; 10] = b"SWAP-SPACE";
/// What hibernation leaves in the signature's place.
pub(crate) const SUSPENDED: &[&[u8]] =
    &[b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c", b"LINHIB0001"];
/// The page sizes of Linux's architectures, in bytes.
pub(crate) const PAGE_SIZES: [usize; 5] = [4096, 8192, 16384, 32768, 65536];
/// A label has 16 bytes, and the last is for C's sake a NUL.
pub(crate) const LABEL_MAX: usize = 15;
/// Where the list of bad pages begins.
const BAD_PAGES: usize = FIELDS + 512;

/// What a signature says of the area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// The kernel takes it as a swap area.
    Swap,
    /// A swap area with a hibernated system in it.
    Suspended,
}

/// What the header of a swap area says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The page size in bytes.
    pub page_size: usize,
    /// What the signature in that page says.
    pub signature: Signature,
    /// The version of the format, which is 1.
    pub version: u32,
    /// The number of the last page.
    pub last_page: u32,
    /// How many pages must not be used.
    pub bad_pages: u32,
    /// Sixteen zeros mean that the area has none.
    pub uuid: [u8; 16],
    /// Without trailing NULs; empty for none.
    pub label: Vec<u8>,
}

impl Header {
    /// The header in the beginning of an area; `None` if there is none.
    pub fn parse(head: &[u8]) -> Option<Self> {
        let (page_size, signature) = PAGE_SIZES.into_iter().find_map(|size| {
            let mark = head.get(size - SIGNATURE.len()..size)?;
            let suspended = || SUSPENDED.iter().any(|word| mark.starts_with(word));
            let signature = match mark {
                mark if mark == SIGNATURE => Signature::Swap,
                _ if suspended() => Signature::Suspended,
                _ => return None,
            };
            Some((size, signature))
        })?;
        let number = |at: usize| Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let label = head.get(FIELDS + 28..FIELDS + 44)?;
        Some(Self {
            page_size,
            signature,
            version: number(FIELDS)?,
            last_page: number(FIELDS + 4)?,
            bad_pages: number(FIELDS + 8)?,
            uuid: head.get(FIELDS + 12..FIELDS + 28)?.try_into().ok()?,
            label: label.split(|&b| b == 0).next().unwrap_or_default().to_owned(),
        })
    }

    /// The header in the beginning of a file or device.
    pub fn read(file: &File) -> Option<Self> {
        Self::parse(&head_of(file))
    }

    /// The area's size in bytes, in either byte order; one page if nobody can tell.
    pub fn size(&self) -> u64 {
        let last = match self.version {
            1 => self.last_page,
            version if version.swap_bytes() == 1 => self.last_page.swap_bytes(),
            _ => 0,
        };
        (u64::from(last) + 1) * self.page_size as u64
    }

    /// The UUID as text; `None` if it has none.
    pub fn uuid_text(&self) -> Option<String> {
        (self.uuid != [0; 16]).then(|| uuid::text(&self.uuid))
    }
}

/// In which order the bytes of a header's numbers are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    #[default]
    Native,
    /// It is the one that this machine has not.
    Swapped,
}

/// What [`page`] makes a header of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields<'a> {
    /// The page size in bytes.
    pub page_size: usize,
    /// The number of the last page.
    pub last_page: u32,
    /// Pages that must not be used.
    pub bad_pages: &'a [u32],
    /// Sixteen zeros mean that the area has none.
    pub uuid: [u8; 16],
    /// The label, of which [`LABEL_MAX`] bytes count.
    pub label: &'a [u8],
    pub byte_order: ByteOrder,
}

/// How many bad pages a header of this page size can hold.
pub(crate) fn bad_pages_max(page_size: usize) -> usize {
    page_size.saturating_sub(BAD_PAGES + SIGNATURE.len()) / 4
}

/// The first page of a swap area; its first [`FIELDS`] bytes are zeros.
pub(crate) fn page(fields: &Fields<'_>) -> Vec<u8> {
    let mut page = vec![0; fields.page_size];
    let number = |n: u32| {
        let n = if fields.byte_order == ByteOrder::Swapped { n.swap_bytes() } else { n };
        n.to_ne_bytes()
    };
    put(&mut page, FIELDS, &number(1));
    put(&mut page, FIELDS + 4, &number(fields.last_page));
    put(&mut page, FIELDS + 8, &number(u32::try_from(fields.bad_pages.len()).unwrap_or(u32::MAX)));
    put(&mut page, FIELDS + 12, &fields.uuid);
    put(&mut page, FIELDS + 28, fields.label.get(..LABEL_MAX).unwrap_or(fields.label));
    for (place, bad) in fields.bad_pages.iter().enumerate() {
        put(&mut page, BAD_PAGES + 4 * place, &number(*bad));
    }
    put(&mut page, fields.page_size.saturating_sub(SIGNATURE.len()), SIGNATURE);
    page
}

fn put(page: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = page.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// As much of the first 64 KiB as can be read.
pub(crate) fn head_of(file: &File) -> Vec<u8> {
    let mut head = vec![0; 65536];
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    head.truncate(filled);
    head
}

/// This machine's page size, in bytes.
pub(crate) fn system_page_size() -> usize {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_swap_area_has_no_header() {
        assert_eq!(Header::parse(&[]), None);
        assert_eq!(Header::parse(&[0; 65536]), None);
        let mut old = vec![0; 4096];
        old[4086..].copy_from_slice(OLD_SIGNATURE);
        assert_eq!(Header::parse(&old), None);
    }

    proptest! {
        #[test]
        fn a_header_comes_back_as_it_was_written(
            size in proptest::sample::select(PAGE_SIZES.to_vec()), last_page: u32, uuid: [u8; 16],
            label in "[a-z]{0,15}"
        ) {
            let fields = Fields {
                page_size: size, last_page, bad_pages: &[], uuid, label: label.as_bytes(),
                byte_order: ByteOrder::Native,
            };
            let header = Header::parse(&page(&fields)).unwrap();
            prop_assert_eq!(header.page_size, size);
            prop_assert_eq!((header.last_page, header.uuid), (last_page, uuid));
            prop_assert_eq!(header.label, label.as_bytes());
            let swapped = Header::parse(&page(&Fields { byte_order: ByteOrder::Swapped, ..fields })).unwrap();
            prop_assert_eq!(swapped.size(), (u64::from(last_page) + 1) * size as u64);
        }

        #[test]
        fn any_bytes_are_survived(head: Vec<u8>) {
            Header::parse(&head);
        }
    }
}
