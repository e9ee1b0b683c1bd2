//! The root is a plain disk to ordinary programs: one device, renames, hard links, what `/` itself has.

use crate::bench::{Bench, Outcome, Test, contains, equal};

pub const TESTS: &[(&str, Test)] = &[
    ("disk_has_one_device_and_renames_and_keeps_links_together", features),
    ("disk_takes_over_a_layer_made_without_the_features", taken_over),
    ("disk_refuses_a_layer_of_another_image_with_the_remedy", another_image),
    ("disk_shows_at_its_root_all_that_the_image's_root_has", root_attributes),
    ("disk_follows_no_redirect_out_of_an_image", redirect),
    ("status_says_what_a_missing_feature_costs", cost),
    ("passthrough_knows_the_container_engines", containers),
    ("status_names_containers_on_the_overlay", on_the_overlay),
];

/// What an administrator does on the root at `t`; fails where the kernel's defaults differ from a disk.
const ACTIONS: &str = "
    test \"$(du -sx t/usr | cut -f1)\" -gt 900
    test \"$(find t -mount -type f | wc -l)\" -ge 4
    test \"$(stat -c %d t/usr/big)\" = \"$(stat -c %d t)\"
    echo more >> t/usr/one; grep -q more t/usr/two; test \"$(stat -c %h t/usr/two)\" = 2
    test \"$(stat -c %i t/usr/one)\" = \"$(stat -c %i t/usr/two)\"
    python3 -c 'import os; os.rename(\"t/usr/dir\", \"t/usr/moved\")'; grep -q inside t/usr/moved/file
    rm -r t/usr/moved; echo file > t/usr/moved";

const IMAGE: &str = "
    mkdir -p low/usr/dir; echo inside > low/usr/dir/file; head -c 1M /dev/urandom > low/usr/big
    echo one > low/usr/one; ln low/usr/one low/usr/two";

fn features(b: &Bench) -> Outcome {
    b.sh(IMAGE)?;
    b.sh("mkfs.erofs erofs.img low >/dev/null 2>&1; mksquashfs low squash.img -quiet >/dev/null 2>&1
          truncate -s 32M ext.img; mkfs.ext4 -q -d low ext.img")?;
    for (lower, mkfs) in [
        ("low", "mkfs.ext4 -q"),
        ("ext.img", "mkfs.ext4 -q"),
        ("erofs.img", "mkfs.xfs -q"),
        ("squash.img", "mkfs.ext4 -q"),
        ("ext.img", "mkfs.btrfs -q"),
    ] {
        b.sh(&format!("rm -f w.img; truncate -s 320M w.img; {mkfs} -L rootfs-shim w.img"))?;
        b.sh(&format!("$SHIM mount --reset --lower {lower} --writable w.img t"))?;
        let options = b.sh("findmnt -no OPTIONS t")?;
        for option in ["xino=on", "redirect_dir=on", "index=on"] {
            contains(&options, option)?;
        }
        equal(options.contains("metacopy=on") || options.contains("nfs_export=on"), false)?;
        b.sh(ACTIONS)?;
        // Names and links last: a mount later they are as they were.
        b.sh(&format!(
            "$SHIM unmount t; $SHIM mount --lower {lower} --writable w.img t
             grep -q file t/usr/moved; echo again >> t/usr/two; grep -q again t/usr/one; $SHIM unmount t"
        ))?;
    }
    Ok(())
}

fn taken_over(b: &Bench) -> Outcome {
    b.sh(IMAGE)?;
    b.sh("truncate -s 256M w.img; $SHIM mount --lower low --writable w.img t; $SHIM unmount t
          mkdir m; mount -o loop w.img m; rm -rf m/work/* m/upper/*
          setfattr -x trusted.overlay.origin m/upper 2>/dev/null || :
          mount -t overlay o t -o index=off,xino=off,redirect_dir=off,lowerdir=low,upperdir=m/upper,workdir=m/work
          echo kept > t/usr/own; echo changed > t/usr/big; rm t/usr/dir/file; umount t; umount m")?;
    b.sh("$SHIM mount --lower low --writable w.img t")?;
    contains(&b.sh("findmnt -no OPTIONS t")?, "index=on")?;
    equal(
        b.sh("cat t/usr/own t/usr/big; ls t/usr/dir; ls t/usr")?,
        "kept\nchanged\nbig\ndir\none\nown\ntwo",
    )?;
    b.sh("$SHIM unmount t")?;
    Ok(())
}

fn another_image(b: &Bench) -> Outcome {
    b.sh(IMAGE)?;
    b.sh("for n in a b; do truncate -s 32M $n.img; mkfs.ext4 -q -d low $n.img; done; truncate -s 256M w.img
          $SHIM mount --lower a.img --writable w.img t; echo own > t/usr/own; $SHIM unmount t")?;
    let refused = b.fails(1, "$SHIM mount --lower b.img --writable w.img t")?;
    contains(&refused, "used with another image")?;
    contains(&refused, "--reset")?;
    // Nothing was lost by the attempt, nor is the remedy a dead end.
    b.sh("$SHIM mount --lower a.img --writable w.img t; grep -q own t/usr/own; $SHIM unmount t")?;
    b.sh("$SHIM mount --reset --lower b.img --writable w.img t; ! test -e t/usr/own; $SHIM unmount t")?;
    Ok(())
}

fn root_attributes(b: &Bench) -> Outcome {
    b.sh("chown 12:34 low; chmod 1751 low; setfacl -m u:77:rx low
          setfattr -n security.selinux -v system_u:object_r:root_t:s0 low; setfattr -n user.note -v kept low
          setfattr -n trusted.note -v too low; setfattr -n trusted.overlay.opaque -v y low
          touch -d '2001-02-03 04:05:06' low")?;
    let look = "stat -c '%u %g %a %Y' DIR; getfacl -cpn DIR | sort; getfattr -d -m '^(user|security|trusted[.]note)' DIR | grep -v '^#' | sort";
    let image = b.sh(&look.replace("DIR", "low"))?;
    for mkfs in ["mkfs.ext4 -q", "mkfs.xfs -q", "mkfs.btrfs -q"] {
        b.sh(&format!("rm -f w.img; truncate -s 320M w.img; {mkfs} -L rootfs-shim w.img"))?;
        b.sh("$SHIM mount --reset --lower low --writable w.img t")?;
        equal(b.sh(&look.replace("DIR", "t"))?, image.as_str())?;
        // An image that was an upper directory once does not make the new one opaque.
        b.sh("grep -q image t/etc/name; $SHIM unmount t")?;
    }
    Ok(())
}

/// A redirect is an attribute that an image may bring: it names a directory in the layers below, and nothing else.
fn redirect(b: &Bench) -> Outcome {
    b.sh("mkdir secret; echo secret > secret/file; mkdir -p top/usr top/a top/b top/c low/usr
          setfattr -n trusted.overlay.redirect -v /../../../../../../../..$PWD/secret top/a
          setfattr -n trusted.overlay.redirect -v $PWD/secret top/b
          setfattr -n trusted.overlay.redirect -v ../secret top/c; truncate -s 256M w.img")?;
    let mounted = b.sh("$SHIM mount --lower top --lower low --writable w.img t && echo yes || echo no")?;
    if mounted == "yes" {
        equal(b.sh("cat t/a/file t/b/file t/c/file 2>/dev/null; :")?, "")?;
        equal(b.sh("find t -name file 2>/dev/null; :")?, "")?;
        b.sh("$SHIM unmount t")?;
    }
    Ok(())
}

fn cost(b: &Bench) -> Outcome {
    b.sh(IMAGE)?;
    b.sh(
        "mkdir w; mount -t tmpfs w w; mkdir w/u w/w
          mount -t overlay o t -o xino=off,redirect_dir=off,index=off,lowerdir=low,upperdir=w/u,workdir=w/w",
    )?;
    let told = b.sh("$SHIM status --chroot t || :")?;
    for words in ["backups that stay on one filesystem", "cannot be renamed", "hard links"] {
        contains(&told, words)?;
    }
    b.sh("umount t; truncate -s 256M w.img; $SHIM mount --lower low --writable w.img t")?;
    let told = b.sh("$SHIM status --chroot t || :")?;
    equal(told.contains("without"), false)?;
    b.sh("$SHIM unmount t")?;
    Ok(())
}

fn containers(b: &Bench) -> Outcome {
    b.sh("truncate -s 256M w.img; printf '[layers]\\npassthrough = [\"@containers\", \"/srv\"]\\n' > c.toml
          $SHIM mount --config c.toml --lower low --writable w.img t")?;
    let kept = b.sh("findmnt -rno TARGET | grep -o '/t/.*' | sort")?;
    equal(
        kept,
        "/t/srv\n/t/var/lib/containerd\n/t/var/lib/containers\n/t/var/lib/docker\n/t/var/lib/rancher",
    )?;
    b.sh("$SHIM unmount t; $SHIM mount --passthrough @containers --lower low --writable w.img t
          findmnt t/var/lib/containers; $SHIM unmount t")?;
    contains(
        &b.fails(2, "$SHIM mount --passthrough @container --lower low --writable w.img t")?,
        "@container",
    )
}

fn on_the_overlay(b: &Bench) -> Outcome {
    b.sh("truncate -s 256M w.img; $SHIM mount --lower low --writable w.img t; mkdir -p t/var/lib/containers/storage")?;
    contains(
        &b.sh("$SHIM status --chroot t || :")?,
        "/var/lib/containers is in use and lies on the overlay",
    )?;
    b.sh("$SHIM unmount t; $SHIM mount --reset --lower low --writable w.img --passthrough @containers t
          mkdir t/var/lib/containers/storage")?;
    equal(b.sh("$SHIM status --chroot t || :")?.contains("lies on the overlay"), false)?;
    b.sh("$SHIM unmount t")?;
    Ok(())
}
