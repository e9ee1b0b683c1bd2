//! A disk: an image file, with a filesystem or without, as a loop device or mounted.
//!
//! It goes when it is dropped, also by a panic. Loop devices belong to the machine and their numbers are given again,
//! so only one that still shows our file is detached. What a killed test left is found by its scratch directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};

use super::host::host;

/// A filesystem that a disk can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fs {
    /// ext4.
    Ext4,
    /// xfs.
    Xfs,
    /// btrfs; the scripts' `mk` makes its files without copy-on-write.
    Btrfs,
}

/// An image file, and what was made of it.
pub struct Disk {
    file: PathBuf,
    device: Option<PathBuf>,
    point: Option<PathBuf>,
}

impl Disk {
    /// An image file that is there.
    pub fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), device: None, point: None }
    }

    /// An empty image file of a size such as `256M`.
    pub fn new(file: &Path, size: &str) -> Self {
        let file_of_size = File::create(file).expect("a place for an image");
        file_of_size.set_len(bytes(size)).expect("a sparse file");
        Self::of(file)
    }

    /// Makes a filesystem on it.
    pub fn formatted(self, fs: Fs) -> Self {
        let mkfs: &[&str] = match fs {
            Fs::Ext4 => &["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1"],
            Fs::Xfs => &["mkfs.xfs", "-q", "-f"],
            Fs::Btrfs => &["mkfs.btrfs", "-q", "-f"],
        };
        let argv: Vec<_> = mkfs.iter().map(OsStr::new).chain([self.file.as_os_str()]).collect();
        host(&argv).ok("mkfs");
        self
    }

    /// Makes a loop device of it.
    pub fn attached(mut self) -> Self {
        let argv = ["losetup".as_ref(), "--find".as_ref(), "--show".as_ref(), self.file.as_os_str()];
        self.device = Some(PathBuf::from(host(&argv).ok("losetup").trim_end()));
        self
    }

    /// Mounts it in this namespace, at a directory that is made, with more options if there are any. Its loop device
    /// goes with its last mount, in whatever namespace that is.
    pub fn mounted(mut self, point: &Path, options: &str) -> Self {
        fs::create_dir_all(point).expect("a place to mount at");
        let options = format!("loop,{options}");
        let options = OsStr::new(options.trim_end_matches(','));
        let (file, at) = (self.file.as_os_str(), point.as_os_str());
        host(&["mount".as_ref(), "-o".as_ref(), options, file, at]).ok("mount the disk");
        self.point = Some(point.to_owned());
        self
    }

    /// The loop device that it was attached as.
    pub fn device(&self) -> &Path {
        self.device.as_deref().expect("it was attached")
    }

    /// The loop device that it is mounted from.
    pub fn source(&self) -> String {
        let point = self.point.as_deref().expect("it was mounted");
        let words = ["findmnt", "-no", "SOURCE", "--mountpoint"].map(OsStr::new);
        host(&[&words[..], &[point.as_os_str()]].concat()).ok("findmnt").trim_end().to_owned()
    }

    /// Unmounts it, which must work at once.
    pub fn unmount(&mut self) {
        let point = self.point.take().expect("it was mounted");
        host(&["umount".as_ref(), point.as_os_str()]).ok("umount the disk");
    }

    /// Lets the loop device clear itself when nobody has it any more.
    pub fn detach(&mut self) {
        let device = self.device.take().expect("it was attached");
        host(&["losetup".as_ref(), "--detach".as_ref(), device.as_os_str()]).ok("losetup --detach");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(point) = &self.point {
            // Whoever has it mounted elsewhere keeps it.
            let _ = umount2(point, MntFlags::MNT_DETACH);
        }
        if let Some(device) = &self.device
            && loops_of(&self.file).contains(device)
        {
            host(&["losetup".as_ref(), "--detach".as_ref(), device.as_os_str()]);
        }
    }
}

fn bytes(size: &str) -> u64 {
    let (number, unit) = size.split_at(size.len() - 1);
    let shift = match unit {
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => panic!("a size has a unit: {size}"),
    };
    number.parse::<u64>().expect("a number") << shift
}

/// The loop devices of an image file, or of those in a scratch directory.
pub fn loops_of(files: &Path) -> Vec<PathBuf> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let ours = devices.filter(|entry| {
        let file = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        let file = file.trim_end_matches('\n').trim_end_matches(" (deleted)");
        Path::new(file).starts_with(files)
    });
    ours.map(|entry| Path::new("/dev").join(entry.file_name())).collect()
}

/// Swaps off what lies on the loop devices of a scratch directory.
pub fn swap_off_all(scratch: &Path) {
    for device in loops_of(scratch) {
        swap_off_all_of(&device, scratch);
    }
}

/// Swaps off a loop device and the files on it: one more mount, which nobody else sees, shows the same filesystem that
/// others have mounted.
pub fn swap_off_all_of(device: &Path, scratch: &Path) {
    let script = r#"
        swapoff "$1"; mkdir -p "$2"; mount "$1" "$2" || exit
        find "$2" -xdev -type f -size +39k -exec swapoff {} ';'; umount "$2""#;
    let point = scratch.join("sweep");
    let words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"].map(OsStr::new);
    host(&[&words[..], &[device.as_os_str(), point.as_os_str()]].concat());
}
