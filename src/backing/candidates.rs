//! Where the backing filesystem may be found, as nothing in the tree leads to it.
//!
//! overlayfs's handle of its own root embeds upper's handle of the upper directory, so on any mount of the
//! right filesystem the directory can be opened without knowing a path. Where the kernel does not tell that
//! (before 6.5), the names in `upperdir=` are tried. None of it counts until the files themselves prove it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::backing::devices::{self, Device};
use crate::config::Config;
use crate::kernel::mounts::Mount;
use crate::swap::uuid;
use crate::sys::{self, FileHandle};

/// Where the upper directory of an overlay may be, and how to know it.
#[derive(Debug)]
pub(crate) struct Candidates {
    /// The overlay's root.
    pub root: OwnedFd,
    /// Upper's own handle of the upper directory.
    pub handle: Option<FileHandle>,
    /// What its path may end in, longest first; the whole path is among them.
    pub names: Vec<PathBuf>,
    /// The devices that are said to hold it, the likeliest first.
    pub devices: Vec<Device>,
}

/// What overlayfs says of the real file behind one of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Embedded {
    /// The real filesystem's own handle of it.
    pub handle: FileHandle,
    /// The real filesystem's UUID.
    pub filesystem: [u8; 16],
}

/// A handle that overlayfs made, taken apart (`struct ovl_fh`): three bytes of padding, version, magic 0xfb,
/// length, flags, type, the UUID of the real filesystem, and its own handle.
pub(crate) fn embedded(outer: &FileHandle) -> Option<Embedded> {
    const OVERLAY: i32 = 0xf8;
    const PATH_UPPER: u8 = 4;
    const BEFORE_HANDLE: usize = 21;
    let [_, _, _, _, 0xfb, length, flags, kind, rest @ ..] = outer.bytes.as_slice() else { return None };
    if outer.kind != OVERLAY || flags & PATH_UPPER == 0 {
        return None;
    }
    let uuid: [u8; 16] = rest.get(..16)?.try_into().ok()?;
    let end = 16 + usize::from(*length).checked_sub(BEFORE_HANDLE)?;
    let handle = FileHandle { kind: i32::from(*kind), bytes: rest.get(16..end)?.to_vec() };
    Some(Embedded { handle, filesystem: uuid })
}

impl Candidates {
    /// Gathers the candidates. Only looks.
    pub(crate) fn gather(root: OwnedFd, mount: &Mount, config: &Config) -> Self {
        let inner = sys::file_handle(root.as_fd()).ok().as_ref().and_then(embedded);
        let mut named: Vec<PathBuf> = vec![PathBuf::from(&mount.source)];
        named.extend(config.layers.writable.clone());
        if let Some(Embedded { filesystem, .. }) = &inner {
            named.push(Path::new("/dev/disk/by-uuid").join(uuid::text(filesystem)));
        }
        Self {
            handle: inner.map(|inner| inner.handle),
            names: names(mount),
            root,
            devices: named.iter().filter_map(|path| devices::named(path)).collect(),
        }
    }
}

/// `/run/w/upper` may be visible as `run/w/upper`, `w/upper` or `upper` below a mount point, or be one.
fn names(root: &Mount) -> Vec<PathBuf> {
    const AT_MOST: usize = 32;
    let mut names = Vec::new();
    for upper in root.upper_candidates() {
        let mut rest: &Path = upper.strip_prefix("/").unwrap_or(&upper);
        while !rest.as_os_str().is_empty() {
            names.push(rest.to_owned());
            let mut parts = rest.components();
            parts.next();
            rest = parts.as_path();
        }
    }
    names.push(PathBuf::new());
    names.dedup();
    names.truncate(AT_MOST);
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::mounts::Mounts;

    #[test]
    fn overlayfs_tells_what_its_root_is_in_upper() {
        let bytes =
            [0, 0, 0, 0, 0xfb, 0x1d, 4, 1].into_iter().chain([7; 16]).chain([0xc, 0, 0, 0, 1, 2, 3, 4]);
        let outer = FileHandle { kind: 0xf8, bytes: bytes.collect() };
        let Embedded { handle: inner, filesystem: uuid } = embedded(&outer).unwrap();
        assert_eq!((inner.kind, inner.bytes.as_slice(), uuid), (1, &[0xc, 0, 0, 0, 1, 2, 3, 4][..], [7; 16]));
        let mut copied_up = outer.clone();
        copied_up.bytes[6] = 0;
        assert_eq!(embedded(&copied_up), None);
        assert_eq!(embedded(&FileHandle { kind: 1, ..outer }), None);
    }

    #[test]
    fn every_ending_of_the_path_is_a_name() {
        let line =
            b"31 27 0:39 / / rw - overlay /dev/vdb rw,lowerdir=/l,upperdir=/run/w/upper,workdir=/run/w/work";
        let mounts = Mounts::parse_all(line);
        let found = names(mounts.iter().next().unwrap());
        for name in ["run/w/upper", "w/upper", "upper", ""] {
            assert!(found.contains(&PathBuf::from(name)), "{name}");
        }
    }
}
