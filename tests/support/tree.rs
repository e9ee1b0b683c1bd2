//! The contents of guests, made from what this machine has: no download.
//!
//! The tools of another release come from a tree that `tests/shim/trees` made beforehand.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{host, host_sh};

/// Names the directory of the trees of other releases.
const TREES: &str = "ROOTFS_SHIM_TREES";
/// The releases: util-linux 2.36 and BusyBox 1.30; 2.41 and 1.37; the newest.
pub const RELEASES: [&str; 3] = ["bullseye", "trixie", "sid"];

/// Builds of BusyBox with all that it can have, as Alpine's, and with nothing that can be left out. Debian's are
/// between them.
pub const BUILDS: [&str; 2] = ["busybox-full", "busybox-bare"];

/// The builds of BusyBox that are asked for.
pub fn builds() -> &'static [&'static str] {
    if std::env::var_os(TREES).is_some() { &BUILDS } else { &[] }
}

/// The releases whose tools are asked for.
pub fn releases() -> &'static [&'static str] {
    if std::env::var_os(TREES).is_some() { &RELEASES } else { &[] }
}

/// The tree of a release.
pub fn of_release(suite: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(TREES).unwrap_or_default()).join(suite)
}

/// A tree like Alpine's: one BusyBox, and every command an absolute link to it.
pub fn busybox(root: &Path, program: &Path) {
    for dir in ["bin", "sbin", "usr/bin", "usr/sbin", "etc"] {
        fs::create_dir_all(root.join(dir)).expect("scratch is writable");
    }
    let copy = root.join("bin/busybox");
    host(&["cp".as_ref(), program.as_os_str(), copy.as_os_str()]).ok("copy BusyBox");
    for path in host(&[copy.as_os_str(), "--list-full".as_ref()]).ok("BusyBox lists its applets").lines() {
        if path != "bin/busybox" {
            symlink("/bin/busybox", root.join(path)).expect("a fresh tree");
        }
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("a fresh tree");
}

/// toybox's tools, to lie over a Debian tree.
pub fn toybox(root: &Path) {
    fs::create_dir_all(root.join("usr/sbin")).expect("scratch is writable");
    for tool in ["swapon", "swapoff", "mkswap"] {
        symlink("/usr/bin/toybox", root.join("usr/sbin").join(tool)).expect("a fresh tree");
    }
}

/// A Debian tree on a native filesystem: the programs and libraries of `origin` read-only, below those of `image`,
/// the little of /etc that they need copied, all else writable and empty.
pub fn debian(root: &Path, origin: &Path, image: &Path) {
    let script = r#"
        root=$1 from=${2%/} over=$3
        mkdir -p "$root/etc" "$root/var/lib" "$root/var/tmp"
        for dir in usr bin sbin lib lib32 lib64 libx32; do
            if [ -h "$from/$dir" ]; then cp -a "$from/$dir" "$root/$dir"
            elif [ -d "$over/$dir" ]; then
                mount -t overlay tools -o "ro,lowerdir=$over/$dir:$from/$dir" "$root/$dir"
            elif [ -d "$from/$dir" ]; then mkdir "$root/$dir"; mount --bind "$from/$dir" "$root/$dir"
                mount -o remount,bind,ro "$root/$dir"; fi
        done
        for file in passwd group nsswitch.conf ld.so.cache ld.so.conf ld.so.conf.d alternatives mke2fs.conf; do
            [ ! -e "$from/etc/$file" ] || cp -a "$from/etc/$file" "$root/etc/$file"
        done"#;
    host_sh(script, &[root, origin, image].map(Path::as_os_str));
}

/// What any root has beside its programs.
pub fn common(root: &Path) {
    let script = r#"
        cd "$1"
        mkdir -p proc sys dev run tmp mnt root home data var/lib
        mount -t proc proc proc; mount -t sysfs sysfs sys; mount --rbind /dev dev
        : >etc/fstab"#;
    host_sh(script, &[root.as_os_str()]);
}
