//! That the root is one tree: nothing in it leads to the layer's files a second time, behind the overlay's back.
//!
//! Each test is done twice, since a root is made in two ways: by `mount --install`, and by mount(8) and `install`.

use libtest_mimic::Failed;

use crate::bench::{Bench, Outcome, Test, equal};

pub const TESTS: &[(&str, Test)] = &[
    ("second_way_is_in_no_mount_and_no_directory", |b| both(b, alone)),
    ("second_way_is_not_walked_by_find", |b| both(b, walked)),
    ("second_way_is_not_left_by_a_hundred_swapons", |b| b.take_swap().and_then(|()| both(b, hundred))),
];

/// How a root is mounted, and taken down.
struct Way {
    up: &'static str,
    down: &'static str,
}

const BY_MOUNT: Way = Way {
    up: "$SHIM mount --install --lower low --writable $DEVICE --passthrough /srv t >&2",
    down: "$SHIM unmount t >&2",
};

/// What a distribution's initramfs does, and then moves the layer's own mount out of the way.
const BY_HAND: Way = Way {
    up: "mkdir -p m; mount $DEVICE m; mkdir -p m/upper m/work m/passthrough/srv
        mount -t overlay $DEVICE -o lowerdir=low,upperdir=m/upper,workdir=m/work t
        mkdir -p t/srv; mount --bind m/passthrough/srv t/srv; umount m; $SHIM install --quiet --chroot t",
    down: "umount t/srv; umount t",
};

fn both(b: &Bench, test: fn(&Bench, &Way) -> Outcome) -> Outcome {
    b.sh("mkdir -p low/bin low/sbin low/proc; cp \"$(command -v busybox)\" low/bin/busybox
          for n in swapon swapoff mkswap; do ln -s /bin/busybox low/sbin/$n; done
          echo image > low/etc/x.tmp; echo image > low/etc/x.conf; echo image > low/etc/y.conf")?;
    for way in [BY_MOUNT, BY_HAND] {
        let device = b.device("256M")?;
        b.sh(&format!("mkfs.ext4 -q -L rootfs-shim {device}; echo DEVICE={device} > env"))?;
        test(b, &way)?;
    }
    Ok(())
}

/// Runs a script that knows the device.
fn sh(b: &Bench, script: &str) -> Result<String, Failed> {
    b.sh(&format!(". ./env; {script}"))
}

fn alone(b: &Bench, way: &Way) -> Outcome {
    sh(b, way.up)?;
    // By its number and by its name: the root itself, and what is kept.
    let points = "N=$(lsblk -dno MAJ:MIN $DEVICE | tr -d ' ')
        awk -v n=$N -v d=$DEVICE -v t=\"$D/t\" 'index($0, t) && ($3 == n || index($0, \" \" d \" \")) { print $5 }' \\
            /proc/self/mountinfo | sort | sed \"s,^$D/,,\"";
    equal(sh(b, points)?, "t\nt/srv")?;
    equal(sh(b, "lsblk -no MOUNTPOINTS $DEVICE | sort | sed \"s,^$D/,,\"")?, "t\nt/srv")?;
    equal(b.sh("ls -A t/.rootfs-shim")?, "bin\nmanifest.toml")?;
    // A file of the root's is met once, by name and by inode, and one that is kept as well.
    b.sh("echo mine > t/etc/mine; echo kept > t/srv/kept")?;
    equal(b.sh("find t -name mine -o -name kept | sort")?, "t/etc/mine\nt/srv/kept")?;
    equal(b.sh("tar -C t -cf - . 2>/dev/null | tar -tf - | grep -c mine")?, "1")?;
    equal(b.sh("find t -name work -o -name upper -o -name passthrough -o -name lost+found")?, "")?;
    sh(b, way.down).map(drop)
}

fn walked(b: &Bench, way: &Way) -> Outcome {
    sh(b, way.up)?;
    let find = "find t";
    b.sh(&format!("{find} -name '*.tmp' -delete; ! ls t/etc/x.tmp"))?;
    b.sh(&format!("{find} -name '*.conf' -exec sed -i '$a added' {{}} \\;"))?;
    let both = "cat t/etc/x.conf t/etc/y.conf; ls t/etc";
    let after = "image\nadded\nimage\nadded\nname\nx.conf\ny.conf";
    equal(b.sh(both)?, after)?;
    sh(b, way.down)?;
    sh(b, way.up)?;
    equal(b.sh(both)?, after)?;
    sh(b, way.down).map(drop)
}

/// A mount or a namespace that is left somewhere keeps the device busy.
fn hundred(b: &Bench, way: &Way) -> Outcome {
    sh(b, way.up)?;
    b.sh("mount -t proc proc t/proc; fallocate -l 16M t/rev; chmod 600 t/rev; mkswap -q t/rev")?;
    let before = b.sh("cat /proc/self/mountinfo")?;
    let loops = "for i in $(seq 100); do chroot t /sbin/swapon /rev; chroot t /sbin/swapoff /rev; done";
    let said = b.sh(&format!("{loops} 2>&1"));
    let left = b.sh("cat /proc/self/mountinfo; grep -c ^/rev /proc/swaps || true");
    b.sh("chroot t /sbin/swapoff /rev 2>/dev/null || true; umount t/proc")?;
    equal(said?, "")?;
    equal(left?, format!("{before}\n0"))?;
    sh(b, way.down)?;
    sh(b, "$SHIM reset --force --discard never $DEVICE").map(drop)
}
