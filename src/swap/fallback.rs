//! Devices that are swap in the place of files: how one is marked, and those that are active now.
//!
//! Nothing is written down beside the device itself. `/proc/swaps` lists it under the *file's* path, which no
//! other device is, and its first page, which is the file's own and never written again, carries our mark: a
//! digest of that path, and which file it is ([`FileId`]). A device counts only if all of that fits and somebody
//! holds it: a copy of the page on another device is nobody's fallback.
#![expect(clippy::disallowed_methods, reason = "the running system's own devices, and never an image's")]

use std::ffi::{CStr, OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::Fallback;
use crate::kernel::devices::is_held;
use crate::kernel::places::FileId;
use crate::swap::active::ActiveSwap;
use crate::sys::{block, xattr};

/// Where our mark is: in the part of the page that belongs to a boot loader. The word, whose name it is, which
/// file it is.
const MARK_AT: usize = 256;
/// The first of it, and the label of a loop device that we make.
pub(crate) const WORD: &[u8; 16] = b"rootfs-shim swap";
const MARK: usize = 16 + 16 + 24;
/// The memory limit, in bytes, of a zram device that we added: one that no machine reaches. It can be set and
/// read before the device has a size, so whoever finds it knows whose device it is.
pub(crate) const ZRAM_MARK: u64 = 0x726f_6f74_6673 << 16;
/// Where a zram device is added.
pub(crate) const ZRAM_ADD: &str = "/sys/class/zram-control/hot_add";
/// The attribute of that file which says the name of the device that a call of ours is about to add and has not
/// marked yet. It lives as long as the devices do.
pub(crate) const ZRAM_NOTE: &CStr = c"trusted.rootfs-shim";

/// A device that is active swap in the place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackDevice {
    /// What `/proc/swaps` calls it: the file's path.
    pub name: PathBuf,
    pub path: PathBuf,
    pub kind: Fallback,
    /// The file in whose place it is.
    pub file: FileId,
}

/// Marks the first page of a device that is to take the place of the file of that name.
pub(crate) fn mark(page: &mut [u8], name: &Path, file: FileId) {
    let mark = [&WORD[..], &digest(name), &file.to_bytes()].concat();
    page.iter_mut().skip(MARK_AT).zip(mark).for_each(|(to, from)| *to = from);
}

/// A name of any length in sixteen bytes.
fn digest(name: &Path) -> [u8; 16] {
    let digest = Sha256::digest(name.as_os_str().as_bytes());
    digest.first_chunk().copied().unwrap_or_default()
}

/// The fallback devices that are active. No device is looked at unless the list has an entry that is neither a file nor, by
/// its path, a device.
pub(crate) fn look(swaps: &[ActiveSwap]) -> Vec<FallbackDevice> {
    let is_device = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.file_type().is_block_device());
    let named: Vec<&Path> =
        swaps.iter().filter(|swap| !swap.is_file).map(|swap| swap.path.as_path()).collect();
    let strange: Vec<&Path> = named.iter().copied().filter(|path| !is_device(path)).collect();
    if strange.is_empty() {
        return Vec::new();
    }
    let devices = devices().into_iter().filter(|(device, _)| !named.contains(&device.as_path()));
    devices.filter_map(|(device, kind)| look_at(device, kind, &strange)).collect()
}

/// A loop device is read only if it has our word for a label: it can lie on a disk that answers nobody any more,
/// and whoever reads from it then cannot even be killed.
fn look_at(path: PathBuf, kind: Fallback, names: &[&Path]) -> Option<FallbackDevice> {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    let file = options.open(&path).ok()?;
    if kind == Fallback::Loop && !block::loop_label(file.as_fd()).is_ok_and(|label| label.starts_with(WORD)) {
        return None;
    }
    let mut mark = [0; MARK];
    file.read_exact_at(&mut mark, MARK_AT as u64).ok()?;
    let (whose, file) = mark.strip_prefix(WORD)?.split_at_checked(16)?;
    let name = names.iter().find(|name| digest(name) == whose)?;
    let file = FileId::parse(file)?;
    is_held(&path).then(|| FallbackDevice { name: name.to_path_buf(), path, kind, file })
}

/// The loop and zram devices that have a size. /proc knows them also where there is no /sys.
fn devices() -> Vec<(PathBuf, Fallback)> {
    let table = fs::read("/proc/partitions").unwrap_or_default();
    let names = table.split(|&b| b == b'\n').filter_map(|line| line.rsplit(|&b| b == b' ').next());
    let known = |name: &[u8]| {
        let (kind, number) = match name.strip_prefix(b"loop") {
            Some(number) => (Fallback::Loop, number),
            None => (Fallback::Zram, name.strip_prefix(b"zram")?),
        };
        let is_whole = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
        is_whole.then(|| (Path::new("/dev").join(OsStr::from_bytes(name)), kind))
    };
    names.filter_map(known).collect()
}

/// The zram devices that a call of ours added and did not live to use or to remove, and the one that it did not
/// live to add.
pub(crate) fn leftovers() -> Vec<PathBuf> {
    let noted = noted();
    let mut left: Vec<OsString> = zrams();
    left.retain(|name| is_ours(name) || (noted.as_ref() == Some(name) && is_new(name)));
    left.extend(noted.filter(|name| !Path::new("/sys/block").join(name).exists()));
    let devices = left.iter().map(|name| Path::new("/dev").join(name));
    devices.filter(|device| !is_held(device)).collect()
}

/// The name that the kernel gives to the next zram device: the lowest number that is free.
pub(crate) fn next_zram() -> OsString {
    let taken = zrams();
    let mut names = (0..=taken.len()).map(|number| OsString::from(format!("zram{number}")));
    names.find(|name| !taken.contains(name)).unwrap_or_default()
}

fn zrams() -> Vec<OsString> {
    let names = fs::read_dir("/sys/block").into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.as_bytes().starts_with(b"zram")).collect()
}

fn noted() -> Option<OsString> {
    let name = xattr::get(Path::new(ZRAM_ADD), ZRAM_NOTE).ok()?;
    name.starts_with(b"zram").then(|| OsString::from_vec(name))
}

/// Nobody has given it a size or a limit yet.
fn is_new(zram: &OsStr) -> bool {
    let dir = Path::new("/sys/block").join(zram);
    fs::read_to_string(dir.join("disksize")).is_ok_and(|size| size.trim() == "0") && limit_of(zram) == Some(0)
}

fn is_ours(zram: &OsStr) -> bool {
    limit_of(zram) == Some(ZRAM_MARK)
}

/// `mm_stat`: the fourth number is the limit.
fn limit_of(zram: &OsStr) -> Option<u64> {
    let text = fs::read_to_string(Path::new("/sys/block").join(zram).join("mm_stat")).ok()?;
    text.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_at_the_same_path_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let id = || {
            let _ = fs::remove_file(&path);
            FileId::of(&File::create(&path).unwrap().metadata().unwrap())
        };
        assert_ne!(id(), id());
    }
}
