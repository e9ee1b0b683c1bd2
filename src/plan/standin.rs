//! Stand-ins: a device that is swap in the place of a file that cannot be, and how it is found again.
//!
//! Nothing is written down anywhere. A zram area's header carries [`LABEL`] and a UUID that is made of the
//! file's path; a loop device tells its file by itself.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::Fallback;
use crate::world::World;
use crate::world::files::{Header, Operand, Thing, What};

/// The label of an area that we made in compressed memory.
pub const LABEL: &[u8] = b"rootfs-shim";

/// An active device that stands in for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// `/dev/zram0` or `/dev/loop0`.
    pub device: PathBuf,
    /// Which kind it is.
    pub way: Fallback,
}

/// The UUID of the area in compressed memory that stands in for the file at `path`: the same at each call.
pub fn uuid(path: &Path) -> [u8; 16] {
    let digest = Sha256::digest([b"rootfs-shim swap ", path.as_os_str().as_bytes()].concat());
    let mut uuid = [0; 16];
    uuid.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    // Version 8 of RFC 9562: made by a rule of one's own.
    uuid[6] = (uuid[6] & 0x0f) | 0x80;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    uuid
}

/// The device that stands in for the file at `path`, if one is active.
pub fn of_file(path: &Path, world: &World) -> Option<Active> {
    world.active.iter().find_map(|area| {
        let (thing, device) = device_of(area)?;
        let zram = matches!(&thing.header, Header::Swap { label, uuid: found, .. } if label == LABEL && *found == uuid(path));
        if zram {
            return Some(Active { device, way: Fallback::Zram });
        }
        (thing.loop_file.as_deref() == Some(path)).then_some(Active { device, way: Fallback::Loop })
    })
}

/// An active area that is a stand-in of ours in compressed memory, whatever it stands in for.
pub fn of_area(area: &Operand) -> Option<Active> {
    let (thing, device) = device_of(area)?;
    let ours = matches!(&thing.header, Header::Swap { label, .. } if label == LABEL);
    (ours && is_zram(&device)).then_some(Active { device, way: Fallback::Zram })
}

fn device_of(area: &Operand) -> Option<(&Thing, PathBuf)> {
    match &area.what {
        What::NotAFile(thing) => Some((thing, thing.path.clone()?)),
        _ => None,
    }
}

fn is_zram(device: &Path) -> bool {
    device.as_os_str().as_bytes().starts_with(b"/dev/zram")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_uuid_and_no_other_path_has_it() {
        assert_eq!(uuid(Path::new("/swapfile")), uuid(Path::new("/swapfile")));
        assert_ne!(uuid(Path::new("/swapfile")), uuid(Path::new("/swapfile2")));
        assert_eq!(uuid(Path::new("/x"))[6] >> 4, 8);
    }
}
