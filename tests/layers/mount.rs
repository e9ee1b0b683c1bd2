//! mount and unmount.

use crate::bench::{Bench, Outcome, Test, contains, equal};

pub const TESTS: &[(&str, Test)] = &[
    ("mount_tells_the_truth_to_df_and_findmnt", truth),
    ("mount_takes_images_of_every_kind_topmost_first", kinds),
    ("mount_takes_erofs_and_squashfs_in_a_file_and_on_a_device", packed),
    ("mount_never_writes_an_image_not_even_its_journal", dirty),
    ("mount_takes_directories_and_xfs", directories),
    ("mount_has_all_of_the_capacity", capacity),
    ("mount_is_all_or_nothing", all_or_nothing),
    ("mount_killed_at_any_call_leaves_nothing", killed),
    ("mount_never_formats_what_it_does_not_know", unknown_data),
    ("mount_keeps_the_image's_root_directory", root_directory),
    ("mount_is_not_misled_by_the_image", hostile),
    ("mount_dry_run_changes_nothing", dry_run),
    ("mount_takes_everything_from_a_config", config),
    ("mount_installs_the_shims", install),
    ("mount_volatile_only_on_a_new_layer", volatile),
    ("mount_and_reset_know_an_image_that_is_in_use", image_in_use),
    ("mount_takes_a_layer_once_also_many_at_a_time", many),
    ("mount_puts_one_root_in_one_place", one_place),
    ("mount_takes_a_layer_that_its_guest_has_filled", full),
    ("unmount_leaves_no_swapfile_behind", swapping),
    ("unmount_puts_all_back_if_something_is_busy", busy),
    ("unmount_knows_what_is_its_own", unmount),
];

fn truth(b: &Bench) -> Outcome {
    let device = b.device("256M")?;
    b.sh(&format!("$SHIM mount --lower low --writable {device} --passthrough /srv t"))?;
    equal(b.sh("df --output=source t | tail -1")?, device.as_str())?;
    equal(b.sh("findmnt -no SOURCE,FSTYPE t")?, format!("{device} overlay"))?;
    equal(b.sh("findmnt -no SOURCE t/srv")?, format!("{device}[/passthrough/srv]"))?;
    contains(&b.sh(&format!("lsblk -no MOUNTPOINTS {device}"))?, "/t")?;
    // Nothing but the root and what is kept: nobody who walks over it comes to a file twice.
    let shown = b.sh("findmnt -Rrno SOURCE t")?;
    equal(shown, format!("{device}\n{device}[/passthrough/srv]"))?;
    b.sh(&format!("echo new > t/etc/new; ! ls -d t/.rootfs-shim; mkdir m; mount {device} m; grep -q new m/upper/etc/new; umount m"))?;
    b.sh("$SHIM unmount t")?;
    // The device's name means the root, busy or not, as it does where the device itself is the root.
    b.sh(&format!("$SHIM mount --lower low --writable {device} t"))?;
    contains(&b.fails(32, &format!("cd t/etc; umount {device}"))?, "t: target is busy")?;
    b.sh(&format!("umount {device}; ! findmnt t"))?;
    // Nor does a name that only leads to it here, as those below /dev/disk do: lsblk and the guest do not know that.
    b.sh(&format!(
        "mkdir by-id; ln -s {device} by-id/x; cd by-id; $SHIM mount --lower ../low --writable ../by-id/x ../t"
    ))?;
    equal(b.sh("findmnt -no SOURCE t; df --output=source t | tail -1")?, format!("{device}\n{device}"))?;
    let shown = b.sh(&format!("lsblk -no MOUNTPOINTS {device}"))?;
    equal(shown.lines().any(|line| line.ends_with("/t")), true)
}

fn kinds(b: &Bench) -> Outcome {
    b.sh("mkdir up mid; echo squash > up/kind; mksquashfs up top.sqsh -quiet >/dev/null 2>&1
          echo ext > mid/kind; echo mid > mid/mid; truncate -s 16M mid.img; mkfs.ext4 -q -d mid mid.img")?;
    let sum = b.sh("sha256sum mid.img")?;
    b.sh("$SHIM mount --lower top.sqsh --lower mid.img --lower low --writable w.img t")?;
    equal(b.sh("cat t/kind t/mid t/etc/name")?, "squash\nmid\nimage")?;
    b.sh("echo changed > t/mid; $SHIM unmount t")?;
    equal(b.sh("sha256sum mid.img")?, sum)?;
    equal(b.stray_loops()?, [""; 0])
}

/// What platforms really boot: a packed image, with all that its files have.
fn packed(b: &Bench) -> Outcome {
    b.sh("mkdir -p low/bin low/sbin low/proc low/srv; cp \"$(command -v busybox)\" low/bin/busybox
          for n in swapon swapoff mkswap; do ln -s /bin/busybox low/sbin/$n; done
          cp /bin/true low/srv/cap; setcap cap_net_raw+ep low/srv/cap; mknod low/srv/null c 1 3; chown 7:8 low/etc/name
          fallocate -l 16M low/swapfile; chmod 600 low/swapfile; mkswap -q low/swapfile
          mksquashfs low squash.img -quiet >/dev/null 2>&1; mksquashfs low zstd.img -comp zstd -quiet >/dev/null 2>&1
          mkfs.erofs erofs.img low >/dev/null 2>&1; mkfs.erofs -zlz4 lz4.img low >/dev/null 2>&1")?;
    for image in ["squash.img", "zstd.img", "erofs.img", "lz4.img"] {
        let device = b.device("20M")?;
        let sum = b.sh(&format!("cat {image} > {device}; sha256sum < {device}"))?;
        for lower in [image, &device] {
            b.sh(&format!(
                "truncate -s 0 w.img; truncate -s 256M w.img
                 $SHIM mount --lower {lower} --writable w.img --passthrough /srv t; ln t/etc/name t/etc/linked"
            ))?;
            let kept =
                b.sh("stat -c '%u:%g %h' t/etc/name; stat -c %t:%T t/srv/null; getcap -n t/srv/cap")?;
            equal(kept, "7:8 2\n1:3\nt/srv/cap cap_net_raw=ep")?;
            b.sh("$SHIM unmount t")?;
        }
        equal(b.sh(&format!("sha256sum < {device}"))?, sum)?;
    }
    // And a swapfile of such an image.
    b.take_swap()?;
    b.sh("truncate -s 0 w.img; truncate -s 256M w.img
          $SHIM mount --lower erofs.img --writable w.img --install t; mount -t proc proc t/proc
          chroot t /sbin/swapon /swapfile; grep -q '^/swapfile ' /proc/swaps; chroot t /sbin/swapoff /swapfile
          umount t/proc; $SHIM unmount t")?;
    equal(b.stray_loops()?, [""; 0])
}

fn dirty(b: &Bench) -> Outcome {
    // btrfs replays its log of fsyncs even for a mount that is read-only.
    b.sh("truncate -s 128M b.img; mkfs.btrfs -q b.img; mkdir bm; mount b.img bm; echo x > bm/x; sync -f bm
          echo y > bm/y; fsync() { dd if=/dev/null of=$1 conv=notrunc,fsync status=none; }; fsync bm/y
          cp --sparse=always b.img log.img; umount bm")?;
    let device = b.device("128M")?;
    b.sh(&format!(
        "cat log.img > {device}; sha256sum < {device} > sum; $SHIM mount --lower {device} --writable w.img t
        test -e t/x; $SHIM unmount t; sha256sum < {device} | diff - sum
        $SHIM mount --lower log.img --writable w.img t; test -e t/x; $SHIM unmount t"
    ))?;
    // Copied while it was mounted, so its journal is to be replayed by whoever may write.
    b.sh("truncate -s 32M i.img; mkfs.ext4 -q i.img; mkdir m; mount i.img m; echo x > m/x; sync -f m
          cp --sparse=always i.img dirty.img; umount m; dumpe2fs -h dirty.img 2>/dev/null | grep -q needs_recovery")?;
    let device = b.device("32M")?;
    b.sh(&format!(
        "cat dirty.img > {device}; sha256sum < {device} > sum
        $SHIM mount --lower dirty.img --lower {device} --lower low --writable w.img t
        test -e t/etc/name; $SHIM unmount t; sha256sum < {device} | diff - sum"
    ))?;
    Ok(())
}

fn directories(b: &Bench) -> Outcome {
    b.sh("mkdir wd; mount -t tmpfs scratch wd; $SHIM mount --lower low --writable wd t; echo x > t/x")?;
    equal(b.sh("findmnt -no SOURCE t; ls wd")?, "scratch\npassthrough\nupper\nwork")?;
    b.sh("$SHIM unmount t; truncate -s 320M x.img; mkfs.xfs -q x.img
          $SHIM mount --lower low --writable x.img t")?;
    contains(&b.sh("$SHIM status --chroot t || true")?, " (xfs), ")
}

fn capacity(b: &Bench) -> Outcome {
    b.sh("$SHIM mount --lower low --writable w.img t")?;
    let lines = b.sh("df -B1 --output=size,avail t | tail -1")?;
    let numbers: Vec<u64> = lines.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [size, free] = numbers[..] else { return Err(lines.into()) };
    if free * 100 < size * 98 || size * 100 < (256 << 20) * 89 {
        return Err(format!("{free} of {size} free on 256 MiB").into());
    }
    Ok(())
}

fn all_or_nothing(b: &Bench) -> Outcome {
    b.sh("echo junk > junk.img; touch low/file")?;
    let wrong = b.fails(1, "$SHIM mount --lower low --lower junk.img --writable w.img t")?;
    contains(&wrong, "junk.img: it carries data of an unknown kind")?;
    let wrong =
        b.fails(1, "$SHIM mount --lower low --writable w.img --passthrough /a --passthrough /file/x t")?;
    contains(&wrong, "open in the guest /file: Not a directory")?;
    b.fails(1, "$SHIM mount --lower missing --writable w.img t")?;
    b.fails(1, "$SHIM mount --lower low --writable w.img missing")?;
    b.fails(2, "$SHIM mount --lower low t")?;
    b.fails(2, "$SHIM mount --writable w.img t")?;
    equal(b.mounts()?, "")?;
    equal(b.stray_loops()?, [""; 0])
}

/// Killed as it enters the nth of each call that matters, until it gets through.
fn killed(b: &Bench) -> Outcome {
    b.sh("$SHIM mount --lower low --writable w.img t; $SHIM unmount t")?;
    let call = "$SHIM mount --lower low --writable w.img --passthrough /srv t";
    let mut cut = 0;
    for name in ["mount", "open_tree", "move_mount", "mkdirat,mkdir", "ioctl", "rename,renameat,renameat2"] {
        for at in 1..20 {
            let kill = format!("strace -f -o /dev/null -e inject={name}:signal=KILL:when={at} {call}");
            if b.sh(&kill).is_ok() {
                break;
            }
            cut += 1;
            equal(b.mounts()?, "")?;
        }
        b.sh("$SHIM unmount t")?;
    }
    equal(b.stray_loops()?, [""; 0])?;
    if cut < 12 { Err(format!("only {cut} cuts").into()) } else { b.sh(call).map(drop) }
}

fn unknown_data(b: &Bench) -> Outcome {
    let cases = [
        ("printf hello | dd of=w.img bs=1 seek=700000 conv=notrunc status=none", "data of an unknown kind"),
        ("mkswap -q w.img 2>/dev/null", "a swap area"),
        ("printf 'LUKS\\272\\276' | dd of=w.img conv=notrunc status=none", "LUKS"),
        ("printf '\\374\\116\\053\\251\\0' | dd of=w.img bs=4096 seek=1 conv=notrunc status=none", "RAID"),
    ];
    for (make, says) in cases {
        b.sh(&format!("truncate -s 0 w.img; truncate -s 256M w.img; {make}"))?;
        let sum = b.sh("sha256sum w.img")?;
        contains(&b.fails(1, "$SHIM mount --lower low --writable w.img t")?, says)?;
        equal(b.sh("sha256sum w.img")?, sum)?;
    }
    Ok(())
}

fn root_directory(b: &Bench) -> Outcome {
    b.sh("chmod 2751 low; chown 12:34 low; $SHIM mount --lower low --writable w.img t")?;
    equal(b.sh("stat -c '%a %u:%g' t")?, "2751 12:34")
}

fn hostile(b: &Bench) -> Outcome {
    b.sh("mkdir canary; ln -s $D/canary low/.rootfs-shim")?;
    let error = b.fails(1, "$SHIM mount --install --provide-missing --lower low --writable w.img t")?;
    contains(&error, "the image may be hostile")?;
    b.sh("$SHIM mount --lower low --writable w.img t; $SHIM unmount t; ! ls -A canary | grep .")?;
    b.sh("rm low/.rootfs-shim; mkdir low/srv; ln -s $D/canary low/srv/out; ln -s ../../../../../.. low/up")?;
    // In the image that path leads nowhere: it is not made up, and not looked for outside.
    b.fails(1, "$SHIM mount --lower low --writable w.img --passthrough /srv/out/data t")?;
    b.sh("mkdir -p low/$D/canary
          $SHIM mount --lower low --writable w.img --passthrough /srv/out/data --passthrough /up/new t")?;
    equal(b.sh("findmnt -no SOURCE t/$D/canary/data | sed 's/.*\\[//'")?, "/passthrough/srv/out/data]")?;
    equal(b.sh("findmnt -no SOURCE t/new | sed 's/.*\\[//'; ls canary")?, "/passthrough/up/new]")
}

fn dry_run(b: &Bench) -> Outcome {
    let sum = b.sh("sha256sum w.img")?;
    let text = b.sh("$SHIM mount --dry-run --volatile --lower low --writable w.img --passthrough /srv t")?;
    contains(&text, "would format w.img as ext4")?;
    contains(&text, "would keep /srv on the backing filesystem")?;
    let json = b.sh("$SHIM mount --dry-run --json --lower low --writable w.img t")?;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    equal(json.get("version").and_then(serde_json::Value::as_u64), Some(1))?;
    equal(json.get("changed").and_then(serde_json::Value::as_bool), Some(false))?;
    equal(b.sh("sha256sum w.img")?, sum)?;
    equal(b.mounts()?, "")
}

fn config(b: &Bench) -> Outcome {
    b.sh(
        "printf '[layers]\\nlower=[\"%s/low\"]\\nwritable=\"%s/w.img\"\\n' $D $D > c.toml
          printf 'source_name=\"disk\"\\npassthrough=[\"/srv\"]\\n' >> c.toml; $SHIM mount --config c.toml t",
    )?;
    equal(b.sh("findmnt -no SOURCE t; ls t")?, "disk\netc\nsrv")
}

fn install(b: &Bench) -> Outcome {
    b.sh("mkdir -p low/bin low/sbin; cp \"$(command -v busybox)\" low/bin/busybox
          for n in swapon swapoff mkswap; do ln -s /bin/busybox low/sbin/$n; done
          $SHIM mount --json --install --lower low --writable w.img t > report 2>&1; grep -q '\"warnings\": \\[\\]' report")?;
    equal(b.sh("readlink t/sbin/swapon.real")?, "/bin/busybox")?;
    equal(b.sh("stat -c %i t/sbin/swapon t/.rootfs-shim/bin/rootfs-shim | uniq | wc -l")?, "1")?;
    b.sh("$SHIM unmount t; $SHIM mount --install --lower low --writable w.img t").map(drop)
}

fn volatile(b: &Bench) -> Outcome {
    b.sh("$SHIM mount --volatile --lower low --writable w.img t")?;
    contains(&b.sh("findmnt -no OPTIONS t")?, "volatile")?;
    b.sh("$SHIM unmount t")?;
    contains(&b.fails(1, "$SHIM mount --volatile --lower low --writable w.img t")?, "add --reset")?;
    contains(&b.fails(1, "$SHIM mount --lower low --writable w.img t")?, "add --reset")?;
    b.sh("$SHIM mount --volatile --reset --lower low --writable w.img t").map(drop)
}

/// On a filesystem of its own, where the name that the kernel has for a loop device's file leads nowhere.
fn image_in_use(b: &Bench) -> Outcome {
    b.sh("mkdir m u; mount -t tmpfs x m; mv w.img m; $SHIM mount --lower low --writable m/w.img t; echo kept > t/new")?;
    contains(&b.fails(1, "$SHIM mount --lower low --writable m/w.img u")?, "it is mounted at")?;
    contains(&b.fails(1, "$SHIM reset --force m/w.img")?, "it is mounted at")?;
    let hidden = "ln m/w.img m/other; unshare -m sh -euc 'umount t; $SHIM reset --force m/other'";
    contains(&b.fails(1, hidden)?, "it is in use")?;
    b.sh("umount t; $SHIM mount --lower low --writable m/w.img t")?;
    equal(b.sh("cat t/new")?, "kept")?;
    contains(&b.fails(2, "$SHIM mount --reset --lower m/w.img --writable m/other u")?, "at once")
}

fn many(b: &Bench) -> Outcome {
    let device = b.device("256M")?;
    b.sh("mkdir wd")?;
    for layer in ["w.img", &device, "wd"] {
        let text = b.sh(&format!(
            "mkdir t1 t2 t3 t4 t5
             for i in 1 2 3 4 5; do $SHIM mount --lower low --writable {layer} t$i 2>&1 & done; wait
             for i in 1 2 3 4 5; do $SHIM unmount t$i >/dev/null; done; rmdir t?"
        ))?;
        equal(
            (
                layer,
                text.matches("it is mounted at").count(),
                text.lines().filter(|line| *line == "mounted").count(),
            ),
            (layer, 4, 1),
        )?;
    }
    Ok(())
}

/// The second of two roots would hide the first, which nobody could take down then.
fn one_place(b: &Bench) -> Outcome {
    for _ in 0..5 {
        let said = b.sh("for i in 1 2 3; do truncate -s 64M p$i.img; done
            for i in 1 2 3; do $SHIM mount --lower low --writable p$i.img t 2>&1 & done; wait; $SHIM unmount t >/dev/null")?;
        let refused = said.matches("is mounted there already").count();
        equal((refused, said.lines().filter(|line| *line == "mounted").count()), (2, 1))?;
        equal(b.mounts()?, "")?;
    }
    Ok(())
}

fn full(b: &Bench) -> Outcome {
    let mount = "$SHIM mount --lower low --writable w.img --passthrough /srv --install --provide-missing t";
    b.sh(&format!(
        "{mount}; for size in 1M 4k 1k; do dd if=/dev/zero bs=$size of=t/srv/$size 2>/dev/null || true; done
        i=0; while echo > t/srv/f$i; do i=$((i+1)); done 2>/dev/null || true"
    ))?;
    equal(b.sh("df --output=avail t | tail -1")?.trim(), "0")?;
    b.sh(&format!("$SHIM unmount t; {mount}; rm t/srv/1M; echo x > t/etc/new; $SHIM unmount t"))?;
    // What overlayfs itself makes needs a place too, and files of which there are no more.
    b.sh("truncate -s 320M x.img; mkfs.xfs -q x.img; truncate -s 16M i.img; mkfs.ext4 -q -N 400 i.img")?;
    for layer in ["x.img", "i.img"] {
        let mount = format!("$SHIM mount --lower low --writable {layer} t");
        b.sh(&format!("{mount}; i=0; while [ $i -lt 500 ] && echo > t/f$i; do i=$((i+1)); done 2>/dev/null || true
            for size in 1M 4k; do dd if=/dev/zero bs=$size of=t/f1 oflag=append conv=notrunc 2>/dev/null || true; done
            for i in a b c d e f g h i j k l; do echo > t/$i; done 2>/dev/null || true
            $SHIM unmount t; {mount}; rm t/f[1-9]; echo x > t/etc/name; $SHIM unmount t"))?;
    }
    Ok(())
}

/// Nothing in the tree leads to the file that is swap, and still everybody who could lose it is told.
fn swapping(b: &Bench) -> Outcome {
    b.take_swap()?;
    b.sh("mkdir -p low/bin low/sbin low/proc; cp \"$(command -v busybox)\" low/bin/busybox
          for n in swapon swapoff mkswap; do ln -s /bin/busybox low/sbin/$n; done
          $SHIM mount --install --lower low --writable w.img t; fallocate -l 16M t/rev; chmod 600 t/rev; mkswap -q t/rev
          mount -t proc proc t/proc; chroot t /sbin/swapon /rev; umount t/proc; grep -q ^/rev /proc/swaps")?;
    let device = b.sh("findmnt -no SOURCE t")?;
    let refused = ["unmount t", "unmount --dry-run t", "uninstall --chroot t"]
        .map(|command| (command, b.fails(1, &format!("$SHIM {command}"))));
    let json = b.sh("$SHIM status --chroot t --json");
    // The remedy as it is told.
    let told = refused[0].1.as_ref().map(|said| said.split('`').nth(1).unwrap_or_default().to_owned());
    let off = b.sh(&told.unwrap_or_default());
    for (command, said) in refused {
        let root = if command.starts_with("unmount") { b.sh("echo $D/t")? } else { "t".to_owned() };
        contains(&said?, &format!("swap is on in /rev; run `chroot {root} swapoff /rev` first"))?;
    }
    off?;
    let json: serde_json::Value = serde_json::from_str(&json?)?;
    let areas = json.get("swaps").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    let field = |name: &str| areas.iter().find(|area| area["path"] == "/rev").map(|area| area[name].clone());
    equal(field("of_this_root"), Some(true.into()))?;
    equal(field("backing"), Some(format!("{device}[/upper]/rev").into()))?;
    equal(b.sh("grep -c ^/rev /proc/swaps || true")?, "0")?;
    b.sh("$SHIM unmount t").map(drop)
}

fn busy(b: &Bench) -> Outcome {
    b.sh("$SHIM mount --lower low --writable w.img --passthrough /srv t")?;
    let before = b.sh("findmnt -Rrno TARGET,SOURCE t | sort")?;
    contains(&b.fails(1, "cd t/etc; $SHIM unmount $D/t")?, "busy")?;
    equal(b.sh("findmnt -Rrno TARGET,SOURCE t | sort")?, before)?;
    b.sh("echo works > t/srv/x; $SHIM unmount t")?;
    equal(b.mounts()?, "")?;
    equal(b.stray_loops()?, [""; 0])
}

fn unmount(b: &Bench) -> Outcome {
    equal(b.sh("$SHIM unmount t")?, "nothing to do")?;
    b.sh("$SHIM mount --lower low --writable w.img t; mount -t tmpfs x t/etc")?;
    contains(&b.fails(1, "$SHIM unmount t")?, "/t/etc is mounted inside; unmount that first")?;
    b.sh("umount t/etc; $SHIM unmount t")?;
    // Of the filesystem that the layer is on, but not of the layer.
    b.sh(
        "mkdir wd home; $SHIM mount --lower low --writable wd --passthrough /srv t; mount --bind home t/etc",
    )?;
    contains(&b.fails(1, "$SHIM unmount t")?, "/t/etc is mounted inside; unmount that first")?;
    b.sh("umount t/etc; $SHIM unmount t; mount -t tmpfs x t")?;
    contains(&b.fails(1, "$SHIM unmount t")?, "no overlay root")
}
