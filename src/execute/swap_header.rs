//! The first page of a swap area, byte for byte as util-linux's mkswap writes it (version 1).
//!
//! `union swap_header` of the kernel: 1024 bytes for a boot loader, then version, last page, number of bad
//! pages, UUID, label; the signature in the last ten bytes of the page. Numbers are in the machine's order.

use std::io::Read;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapHeader {
    /// How many pages the area has, the header's own included.
    pub pages: u32,
    /// Zero for none.
    pub uuid: [u8; 16],
    /// At most 15 bytes are kept, as mkswap does.
    pub label: Vec<u8>,
}

/// The least area that the kernel takes.
pub const LEAST_PAGES: u64 = 10;

impl SwapHeader {
    /// For an area of `size` bytes with a new UUID; `None` if it is too small.
    pub fn new(size: u64, page: usize, label: &[u8]) -> Option<Self> {
        let pages = (size / page as u64).min(u64::from(u32::MAX));
        let pages = u32::try_from(pages).ok().filter(|pages| u64::from(*pages) >= LEAST_PAGES)?;
        Some(Self { pages, uuid: random_uuid(), label: label.to_vec() })
    }

    /// The page.
    pub fn bytes(&self, page: usize) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        for number in [1, self.pages.saturating_sub(1), 0] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(self.uuid);
        bytes.extend(self.label.iter().take(15));
        bytes.resize(page.max(1100).saturating_sub(10), 0);
        bytes.extend(b"SWAPSPACE2");
        bytes
    }
}

/// A random UUID (RFC 9562, version 4); without a source of random bytes there is none, which is allowed.
fn random_uuid() -> [u8; 16] {
    let mut bytes = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    if read.is_err() {
        return [0; 16];
    }
    let [.., _, _, six, _, eight, _, _, _, _, _, _, _] = &mut bytes;
    *six = (*six & 0x0f) | 0x40;
    *eight = (*eight & 0x3f) | 0x80;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_a_random_one() {
        let header = SwapHeader::new(1 << 20, 4096, b"").unwrap();
        assert_eq!((header.uuid[6] >> 4, header.uuid[8] >> 6), (4, 2));
        assert_ne!(header.uuid, SwapHeader::new(1 << 20, 4096, b"").unwrap().uuid);
        assert_eq!(SwapHeader::new(9 * 4096, 4096, b""), None);
    }

    #[test]
    fn it_is_byte_for_byte_what_mkswap_writes() {
        let Some(mkswap) = crate::world::layers::program("mkswap") else {
            let required = std::env::var_os("ROOTFS_SHIM_REQUIRE_ALL").is_some();
            assert!(!required, "there is no mkswap to compare with: apt-get install util-linux");
            return;
        };
        let uuid: [u8; 16] = *b"\x01\x23\x45\x67\x89\xab\x4d\xef\x81\x23\x45\x67\x89\xab\xcd\xef";
        for (size, label) in [(40960, ""), (1 << 20, "swap"), (5_000_001, "a label of 15 b and more")] {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(size).unwrap();
            let mut command = std::process::Command::new(&mkswap);
            command.args(["-q", "-U", "01234567-89ab-4def-8123-456789abcdef", "-L", label]);
            command.arg(file.path()).stderr(std::process::Stdio::null());
            assert!(command.status().unwrap().success());
            let theirs = std::fs::read(file.path()).unwrap();
            let mut ours = SwapHeader::new(size, 4096, label.as_bytes()).unwrap();
            ours.uuid = uuid;
            assert_eq!(theirs[..4096], ours.bytes(4096), "{size} {label}");
        }
    }
}
