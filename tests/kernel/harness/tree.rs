//! The contents of guests, made from what this machine has: no download.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{host, host_sh};

/// A tree like Alpine's: one BusyBox, and every command an absolute link to it.
pub fn busybox(root: &Path) {
    for dir in ["bin", "sbin", "usr/bin", "usr/sbin", "etc"] {
        fs::create_dir_all(root.join(dir)).expect("scratch is writable");
    }
    host(&["cp".as_ref(), "/bin/busybox".as_ref(), root.join("bin/busybox").as_os_str()]).ok("copy BusyBox");
    for path in host(&["/bin/busybox", "--list-full"]).ok("BusyBox lists its applets").lines() {
        if path != "bin/busybox" {
            symlink("/bin/busybox", root.join(path)).expect("a fresh tree");
        }
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("a fresh tree");
}

/// A Debian tree on a native filesystem: the host's programs and libraries bound read-only, the little of
/// /etc that they need copied, all else writable and empty.
pub fn debian(root: &Path) {
    let script = r#"
        root=$1
        mkdir -p "$root/etc" "$root/var/lib" "$root/var/tmp"
        for dir in usr bin sbin lib lib32 lib64 libx32; do
            if [ -h "/$dir" ]; then cp -a "/$dir" "$root/$dir"
            elif [ -d "/$dir" ]; then mkdir "$root/$dir"; mount --bind "/$dir" "$root/$dir"
                mount -o remount,bind,ro "$root/$dir"; fi
        done
        for file in passwd group nsswitch.conf ld.so.cache ld.so.conf ld.so.conf.d alternatives mke2fs.conf; do
            [ ! -e "/etc/$file" ] || cp -a "/etc/$file" "$root/etc/$file"
        done"#;
    host_sh(script, &[root.as_os_str()]);
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
