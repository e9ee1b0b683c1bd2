//! Putting backing files over the user's paths, in a namespace that ends with the real tool.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, in a namespace of our own")]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;

use crate::command::tables::Purpose;
use crate::error::{Attempt, Result};
use crate::kernel::namespace::unshare_mounts;
use crate::kernel::places;
use crate::shim::plan::outcome::Prepared;
use crate::shim::plan::types::{Decided, Decision, FileNow, Plan};
use crate::swap::active;
use crate::{octal, sys};

/// A fallback device, and the path of the file in whose place it is.
struct Covered {
    path: PathBuf,
    device: PathBuf,
}

/// Enters a private mount namespace and mounts each proved backing file over the path that the user gave.
/// What cannot be mounted is left as it is; the real tool then says what the kernel says.
///
/// # Errors
/// If there can be no namespace; nothing was changed then.
pub(crate) fn mask(plan: &Plan, prepared: &[Prepared]) -> Result<Mask> {
    let covered: Vec<Covered> = plan.operands.iter().filter_map(covered).collect();
    if covered.is_empty() && !prepared.iter().any(Prepared::is_proved) {
        return Ok(Mask::default());
    }
    let swaps = active::swaps_text();
    unshare_mounts()?;
    let names = plan.active_fallbacks().filter(|_| plan.by_tag).map(|device| device.name.as_path());
    let shown = as_files(&swaps, &names.collect::<Vec<_>>());
    if active::swaps_text() != shown {
        // Worth trying only: without it, `swapoff -a` in a chroot misses what is not masked, and `swapoff -U` a
        // fallback device.
        let _ = cover_swaps(&shown);
    }
    for (at, prepared) in prepared.iter().enumerate() {
        if let Some(file) = plan.backing(at).filter(|_| prepared.is_proved()) {
            let path = &file.seen;
            // Opened anew: a descriptor from before the unshare belongs to a mount of the old namespace.
            let upper = places::open_path(&plan.upper).attempt("open", &plan.upper)?;
            let source = places::open_beneath(&upper, &file.overlay, OFlag::O_PATH).attempt("open", path)?;
            cover(&source, path, Writes::Reach)?;
        }
    }
    cover_with_devices(plan, &covered)
}

fn covered(operand: &Decided) -> Option<Covered> {
    match &operand.decision {
        Decision::ActiveFallback { path, device, file: FileNow::Named } => {
            Some(Covered { path: path.clone(), device: device.path.clone() })
        }
        _ => None,
    }
}

/// Puts each device in its file's place, and takes it from its own: natively no device has the file's label.
fn cover_with_devices(plan: &Plan, covered: &[Covered]) -> Result<Mask> {
    let mut mask = Mask::default();
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    mask.open = covered.iter().flat_map(|one| open(&one.device, flags, Mode::empty())).collect();
    for Covered { path, device } in covered {
        // swapoff gets the device. mkswap gets a program that is running, this one, which the kernel lets nobody
        // write to, as it does a file that is swap; read-only besides, for when this process is killed.
        let (source, writes) = match plan.tool.purpose {
            Purpose::Format => (own_program()?, Writes::Fail),
            Purpose::Disable | Purpose::Enable => {
                (places::open_path(device).attempt("open", device)?, Writes::Reach)
            }
        };
        cover(&source, path, writes)?;
    }
    // Made when it is first looked at, so it is younger than whatever libblkid remembers of the device: only then
    // does it look again at what it has just looked at.
    if let Ok(nothing) = places::open_path(Path::new("/proc/self/comm")) {
        let devices = covered.iter().map(|one| &one.device);
        let hidden = devices.filter(|device| cover(&nothing, device, Writes::Reach).is_ok());
        mask.hidden = hidden.cloned().collect();
    }
    Ok(mask)
}

/// This program by its name in the tree, as a mount of this namespace has it. Called in a chroot, /proc names it from
/// another root.
fn own_program() -> Result<OwnedFd> {
    let names = [std::fs::read_link("/proc/self/exe").ok(), sys::executed_path().map(PathBuf::from)];
    let found = names.into_iter().flatten().find_map(|path| places::open_path(&path).ok());
    found.ok_or(Errno::ENOENT).attempt("find", "/proc/self/exe")
}

/// What has to last until the real tool has ended: a loop device would go when it is disabled, and the tool may yet
/// look at it.
#[derive(Debug, Default)]
pub(crate) struct Mask {
    open: Vec<OwnedFd>,
    hidden: Vec<PathBuf>,
}

impl Mask {
    /// The real tool has ended, and the devices are to be seen again.
    pub(crate) fn lift(self) {
        for device in &self.hidden {
            let _ = nix::mount::umount2(device, nix::mount::MntFlags::MNT_DETACH);
        }
        drop(self.open);
    }
}

/// In a chroot the kernel prints the paths of areas that were enabled in another namespace from that one's own
/// root, and no such path leads anywhere here. So the list as it was is mounted over `/proc/swaps`.
fn cover_swaps(swaps: &[u8]) -> Result<()> {
    let place = ["/mnt", "/media", "/srv", "/opt", "/home", "/boot"].map(Path::new);
    let Some(place) = place.into_iter().find(|place| place.is_dir()) else { return Ok(()) };
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("rootfs-shim"), place, Some("tmpfs"), flags, Some("mode=0700")).attempt("mount", place)?;
    let list = place.join("swaps");
    let covered = std::fs::write(&list, swaps).attempt("write", &list).and_then(|()| {
        cover(&places::open_path(&list).attempt("open", &list)?, Path::new("/proc/swaps"), Writes::Reach)
    });
    let _ = nix::mount::umount2(place, nix::mount::MntFlags::MNT_DETACH);
    covered
}

/// `/proc/swaps` with these areas as the files that they are to the user: where util-linux looks for a tag.
fn as_files(swaps: &[u8], names: &[&Path]) -> Vec<u8> {
    const DEVICE: &[u8] = b"partition";
    let lines = swaps.split_inclusive(|&b| b == b'\n').map(|line| {
        let path = line.split(|&b| b == b' ').next().map(octal::decode).unwrap_or_default();
        let at = line.windows(DEVICE.len()).rposition(|word| word == DEVICE);
        match at.and_then(|at| line.split_at_checked(at)) {
            Some((head, tail)) if names.iter().any(|name| name.as_os_str().as_bytes() == path) => {
                [head, b"file\t", tail.get(DEVICE.len()..).unwrap_or_default()].concat()
            }
            _ => line.to_owned(),
        }
    });
    lines.flatten().collect()
}

/// Whether what is written to a path that is covered reaches what covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    Reach,
    Fail,
}

/// Mounts one file over another.
fn cover(source: &OwnedFd, path: &Path, writes: Writes) -> Result<()> {
    let onto = places::open_path(path).attempt("open", path)?;
    let clone = sys::clone_mount(source.as_fd()).attempt("open_tree", path)?;
    if writes == Writes::Fail {
        sys::make_read_only(clone.as_fd()).attempt("make read-only what covers", path)?;
    }
    sys::attach_mount(clone.as_fd(), onto.as_fd()).attempt("mount the backing file over", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_areas_are_files() {
        let text =
            b"Filename\n/a\\040b     partition\t1\n/dev/zram0  partition\t2\n/partition  partition\t3\n";
        let shown = as_files(text, &[Path::new("/a b"), Path::new("/partition")]);
        assert_eq!(
            String::from_utf8(shown).unwrap(),
            "Filename\n/a\\040b     file\t\t1\n/dev/zram0  partition\t2\n/partition  file\t\t3\n"
        );
    }
}
