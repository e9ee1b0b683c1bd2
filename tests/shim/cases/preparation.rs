//! A file made ready, and the backing filesystem found where it is not visible.

use std::path::Path;

use crate::support::Test;
use crate::support::guest::{Fs, Guest, KINDS, Kind, Spec, Tools, kind_name, needs};

const EXT4: Kind = (Fs::Ext4, Tools::Debian);
const XFS: Kind = (Fs::Xfs, Tools::Debian);
const BTRFS: Kind = (Fs::Btrfs, Tools::Debian);

/// A test of one guest: its name, how the guest is made, and what is done in it.
type Row = (&'static str, Spec, fn(&Guest));

/// Each row in a guest of its own, and finding the backing filesystem on every kind of guest.
pub fn tests() -> Vec<Test> {
    let image = "dd if=/dev/urandom of=$1/swapfile bs=1M count=16 status=none
        mkswap -q -L image -U 11111111-2222-4333-8444-555555555555 $1/swapfile
        chmod 640 $1/swapfile; chown 0:6 $1/swapfile";
    let with_image = |kind| Spec { prepare: image, ..Spec::overlay(kind) };
    let rows: [Row; 6] = [
        ("lower_only::ext4", with_image(EXT4), lower_only),
        ("lower_only::xfs", with_image(XFS), lower_only),
        ("lower_only::btrfs", with_image(BTRFS), lower_only),
        ("more_than_an_area_is_copied", with_image(EXT4), more_than_an_area),
        ("shared_blocks", Spec::overlay(XFS), shared_blocks),
        ("btrfs_recipe", Spec::overlay(BTRFS), btrfs_recipe),
    ];
    let mut tests: Vec<Test> = rows
        .into_iter()
        .map(|(name, spec, check)| {
            Test::new(format!("ready::{name}"), &needs(spec.kind), move |scratch| {
                check(&Guest::boot(scratch, spec))
            })
        })
        .collect();
    for kind in KINDS {
        let name = format!("ready::{}::backing_is_found_by_its_device", kind_name(kind));
        tests.push(Test::new(name, &needs(kind), move |scratch| {
            by_its_device(&Guest::boot(scratch, Spec::overlay(kind)));
        }));
    }
    tests.push(Test::new("ready::image_prepared_once", &needs(EXT4), |scratch| {
        prepared_once(scratch, Spec { install: false, prepare: PREPARED, ..Spec::overlay(EXT4) });
    }));
    let busybox = (Fs::Ext4, Tools::Busybox);
    tests.push(Test::new("ready::busybox_image_prepared_once", &needs(busybox), move |scratch| {
        prepared_once(scratch, Spec { install: false, prepare: AT_REST, ..Spec::overlay(busybox) });
    }));
    tests
}

/// `install --chroot` of an image that is nobody's layer yet.
const AT_REST: &str = concat!(env!("CARGO_BIN_EXE_rootfs-shim"), " install --quiet --chroot $IMAGE");
/// The same, of one that has nothing else than the tools.
const PREPARED: &str = concat!(
    "mkdir -p $IMAGE/usr/sbin; cp -a /usr/sbin/swapon /usr/sbin/swapoff /usr/sbin/mkswap $IMAGE/usr/sbin; ",
    env!("CARGO_BIN_EXE_rootfs-shim"),
    " install --quiet --chroot $IMAGE"
);

/// Whatever mounts the overlay at boot, nothing of ours has to be run there.
fn prepared_once(scratch: &Path, spec: Spec) {
    let guest = Guest::boot(scratch, spec);
    let mounts = guest.mounts();
    guest.sh("mk /s; mk /data/s; swapon /s && swapon /data/s").ok("swapon");
    assert_eq!(guest.swap_paths(), ["/s", "/data/s"]);
    let status = guest.sh("/.rootfs-shim/bin/rootfs-shim status").ok("status");
    assert!(status.contains("nothing is off") && status.contains("[/upper]"), "{status}");
    guest.sh("swapoff /s && swapoff -a && rm /s /data/s").ok("swapoff");
    assert_eq!(guest.mounts(), mounts, "a mount was left");
    assert_eq!(guest.swaps(), "");
}

/// Made new with the same header, owner and mode, and not copied: the random bytes behind the header are gone.
fn lower_only(guest: &Guest) {
    let before = guest.sh("head -c 4096 /swapfile | sha1sum; stat -c '%s %a %u %g' /swapfile").ok("before");
    guest.sh("swapon /swapfile").ok("swapon");
    assert_eq!(guest.swap_paths(), ["/swapfile"], "{}", guest.notices());
    let notices = guest.notices();
    assert!(notices.contains("/swapfile came with the image; it was made new at the same size"), "{notices}");
    let after = guest.sh("swapoff -a; head -c 4096 /swapfile | sha1sum; stat -c '%s %a %u %g' /swapfile");
    assert_eq!(after.ok("after"), before);
    let left = guest.sh("tail -c 1048576 /swapfile | tr -d '\\0' | wc -c; ls -a / | grep -c rootfs-shim");
    assert_eq!(left.ok("what is left"), "0\n1\n", "copied, or a temporary file was left");
}

/// A file that is larger than its area may hold something else: nothing of it is lost.
fn more_than_an_area(guest: &Guest) {
    let sum = "tail -c 1048576 /swapfile | sha1sum";
    let before = guest.sh(&format!("mkswap /swapfile 8192 >/dev/null; {sum}")).ok("a smaller area");
    guest.sh("swapon /swapfile").ok("swapon");
    assert_eq!(guest.swap_paths(), ["/swapfile"], "{}", guest.notices());
    assert_eq!(guest.sh(&format!("swapoff /swapfile; {sum}")).ok("what is behind it"), before);
}

fn shared_blocks(guest: &Guest) {
    guest.sh("mk /a; cp --reflink=always /a /b; chmod 600 /b; swapon /b").ok("a clone");
    assert_eq!(guest.swap_paths(), ["/b"], "{}", guest.notices());
    assert!(guest.notices().contains("/b shared disk blocks with another file; it has its own now"));
    guest.sh("swapoff /b; cmp -n 4096 /a /b; rm /a /b").ok("the header is the same");
}

fn btrfs_recipe(guest: &Guest) {
    let ran =
        guest.sh("dd if=/dev/zero of=/s bs=1M count=16 status=none; chmod 600 /s; mkswap -q /s; swapon /s");
    assert_eq!((ran.status, guest.swap_paths().len()), (0, 0), "{ran:?}");
    let notices = guest.notices();
    let recipe = notices.split_once("without copy-on-write: ").expect("a recipe").1;
    let recipe = recipe.split_once(". ").expect("an end").0;
    guest.sh(&format!("set -e; {recipe}; swapon /s")).ok("what the notice says");
    assert_eq!(guest.swap_paths(), ["/s"]);
    guest.sh("swapoff /s && rm /s").ok("undo");
}

/// Nothing of the writable layer is visible: its device is the overlay's source.
fn by_its_device(guest: &Guest) {
    guest.sh("mk /s; mk /data/s; mk /mnt/s").ok("prepare");
    let mounts = guest.mounts();
    guest.sh("swapon /s && swapon /data/s && swapon /mnt/s").ok("swapon");
    assert_eq!(guest.swap_paths(), ["/s", "/data/s", "/mnt/s"], "{}", guest.notices());
    assert_eq!(guest.mounts(), mounts, "a mount was left");
    guest.sh("swapoff /s && swapoff -a && rm /s /data/s /mnt/s").ok("swapoff");
    for (what, change) in DEVICES {
        guest.sh(change).ok(what);
        let mounts = guest.mounts();
        guest.sh("mk /s 2; mk /data/s 2; swapon /s && swapon /data/s").ok(what);
        assert_eq!(guest.swap_paths(), ["/s", "/data/s"], "{what}: {}", guest.notices());
        let explained = guest.sh("/.rootfs-shim/bin/rootfs-shim explain -- swapon /s").ok(what);
        assert!(explained.contains("s in the upper directory takes its place"), "{what}: {explained}");
        guest.sh("swapoff /s && swapoff -a && rm /s /data/s").ok(what);
        assert_eq!(guest.mounts(), mounts, "{what}: a mount was left");
    }
}

/// What the guest's device directory may be like, one thing after the other.
const DEVICES: [(&str, &str); 5] = [
    ("mounted elsewhere as well", "mkdir /else; mount \"$(sed -n 's, / overlay.*,,p' /proc/mounts)\" /else"),
    (
        "mounted elsewhere, and no node",
        "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/zero c 1 5; mknod /dev/urandom c 1 9",
    ),
    ("no node", "umount /else"),
    (
        "a node of another name, and another device's of that name",
        "set -- $(sed -n 's, / overlay.*,,p' /proc/mounts); name=${1#/dev/}
         set -- $(sed -n 's,:, ,p' /sys/block/$name/dev); mknod /dev/disk b $1 $2; mknod /dev/$name b 7 9999",
    ),
    ("and no /sys", "umount -l /sys"),
];
