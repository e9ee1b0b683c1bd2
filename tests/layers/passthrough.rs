//! Directories kept on the backing filesystem.

use crate::bench::{Bench, Outcome, Test, contains, equal};

pub const TESTS: &[(&str, Test)] = &[
    ("seed_keeps_everything", everything),
    ("seed_keeps_the_flags_of_chattr", flags),
    ("seed_happens_once_and_whole", once),
    ("seed_takes_no_way_for_a_copy", ways),
    ("seed_that_fails_leaves_nothing", failed),
    ("seed_of_one_directory_by_two_names_is_refused", aliases),
    ("seed_is_not_led_out_of_the_layer", led_out),
    ("seed_passes_by_what_an_image_lists_and_does_not_have", listed_only),
    ("seed_says_before_it_begins_that_it_does_not_fit", too_big),
    ("seed_says_before_it_begins_that_it_is_too_deep", too_deep),
];

/// Everything that a file has: first what stat knows (a directory's size and links are the filesystem's own
/// business), then attributes, then device numbers.
const LISTING: &str = r#"list() { (cd "$1"
    find . ! -type d -printf '%p %y %m %U:%G %n %s %T@ %l\n' | LC_ALL=C sort
    find . -type d -printf '%p %y %m %U:%G %T@\n' | LC_ALL=C sort
    find . -print0 | LC_ALL=C sort -z | xargs -0 getfattr -hdm - -e hex
    find . '(' -type b -o -type c ')' -exec stat -c '%n %t:%T' {} + | LC_ALL=C sort); }
"#;

fn everything(b: &Bench) -> Outcome {
    b.sh(r"mkdir -p low/srv/deep/er; cd low/srv
        echo a > file; chown 7:8 file; chmod 4751 file; ln file hard; ln file deep/hard; ln -s /etc/passwd link
        chown -h 9:9 link; touch -hd 2001-02-03 link; mkfifo fifo; mknod null c 1 3; mknod disk b 7 200
        truncate -s 20M hole; printf x | dd of=hole bs=1 seek=9000000 conv=notrunc status=none
        cp /bin/true cap; setcap cap_net_raw+ep cap; setfattr -n user.note -v hi file
        setfattr -n trusted.note -v ho deep; setfattr -hn trusted.note -v hu link
        setfacl -m u:55:rwx,g:66:r deep file; setfacl -dm u:77:rx deep
        touch .hidden './-odd  name\'; chmod 1777 deep/er
        touch -d '1999-12-31 23:59:59.123456789' file deep/er deep")?;
    b.sh("$SHIM mount --lower low --writable w.img --passthrough /srv t")?;
    let image = b.sh(&format!("{LISTING} list low/srv | tee image; list t/srv > copy; diff image copy"))?;
    for part in ["trusted.note", "security.capability", "posix_acl_default", " 4771 ", "c 644", ".123456789"]
    {
        contains(&image, part)?;
    }
    equal(b.sh("stat -c %i t/srv/file t/srv/hard t/srv/deep/hard | sort -u | wc -l")?, "1")?;
    equal(b.sh("stat -c %b t/srv/hole")?.parse::<u64>()? < 512, true)
}

/// Each on its own kind of filesystem, since none knows all of them; `i` and `a` stay in the image.
fn flags(b: &Bench) -> Outcome {
    b.sh("mkdir low/srv; cd low/srv; mkdir D S; echo x | tee A d Sf i a plain; chattr +A A; chattr +d d
          chattr +S Sf S; chattr +D D; chattr +i i; chattr +a a")?;
    let copied = b.sh("list() { (cd $1; lsattr -d * | tr -d e-); }
        $SHIM mount --lower low --writable w.img --passthrough /srv t; list low/srv; echo; list t/srv; rm -r t/srv/*
        chattr -ia low/srv/i low/srv/a; $SHIM unmount t")?;
    equal(
        copied,
        "mounted\nA A\nD D\nS S\nS Sf\na a\nd d\ni i\n plain\n\nA A\nD D\nS S\nS Sf\n a\nd d\n i\n plain\nunmounted",
    )?;
    b.sh("mkdir m; truncate -s 128M b.img; mkfs.btrfs -q b.img; mount b.img m; mkdir -p m/srv/db m/srv/c; chattr +C m/srv/db
          echo x > m/srv/db/with; chattr +c m/srv/c; echo x > m/srv/c/c; chattr -c m/srv/c/c; mv m/srv/c/c m/srv/plain
          echo x > m/srv/cow; mv m/srv/cow m/srv/db; umount m; truncate -s 128M wb.img; mkfs.btrfs -q -L rootfs-shim wb.img
          $SHIM mount --lower b.img --writable wb.img --passthrough /srv t")?;
    equal(b.sh("cd t/srv; lsattr -d db db/* c plain | tr -d -")?, "C db\n db/cow\nC db/with\nc c\n plain")?;
    // A filesystem that knows none of it, btrfs's own attribute included, holds the files all the same.
    b.sh("getfattr -d -m btrfs t/srv/c | grep -q compression; $SHIM unmount t
          $SHIM mount --lower b.img --writable w.img --reset --passthrough /srv t; grep -q x t/srv/db/cow")
        .map(drop)
}

fn once(b: &Bench) -> Outcome {
    let mount = "$SHIM mount --lower low --writable w.img --passthrough /srv t";
    b.sh("mkdir low/srv; echo 1 > low/srv/a; echo 2 > low/srv/b")?;
    b.fails(137, &format!("strace -f -o /dev/null -e inject=utimensat:signal=KILL:when=1 {mount}"))?;
    b.sh(&format!("test ! -e t/srv; {mount}; cat t/srv/a t/srv/b >/dev/null; test ! -e t/.seed"))?;
    b.sh(&format!("rm t/srv/a; echo own > t/srv/b; $SHIM unmount t; {mount}"))?;
    equal(
        b.sh("ls t/srv; cat t/srv/b; $SHIM unmount t; mkdir m; mount w.img m; ls -A m/upper")?,
        "b\nown\nunmounted",
    )
}

/// A directory that a layer only has because one below it is kept is no copy of the image's.
fn ways(b: &Bench) -> Outcome {
    let mount = "$SHIM mount --lower low --writable w.img --passthrough";
    b.sh(&format!(
        "mkdir -p low/var/lib/docker low/.seed; echo dpkg > low/var/lib/dpkg; echo a > low/.seed/a
        umask 0; {mount} /var/lib/docker t; $SHIM unmount t"
    ))?;
    contains(&b.fails(1, &format!("{mount} /var/lib t"))?, "keeps only directories below it")?;
    b.sh(&format!("{mount} /var/lib t --reset; grep -q dpkg t/var/lib/dpkg; $SHIM unmount t"))?;
    b.sh(&format!("{mount} /var/lib/docker t; $SHIM unmount t; {mount} /.seed t; $SHIM unmount t"))?;
    b.sh(&format!("umask 077; {mount} /.seed --passthrough /new/dir t; test -e t/.seed/a"))?;
    // And one that the image does not have is the guest's, whatever the caller's umask.
    equal(b.sh("stat -c %a t/new t/new/dir")?, "755\n755")
}

fn failed(b: &Bench) -> Outcome {
    b.sh(
        "mkdir low/srv; dd if=/dev/urandom of=low/srv/big bs=1M count=12 status=none
          for i in 1 2 3; do ln low/srv/big low/srv/$i; done; truncate -s 32M s.img; ln -s /nowhere low/odd",
    )?;
    let mount = "$SHIM mount --lower low --writable s.img";
    // Four names are one file, which fits.
    b.sh(&format!(
        "{mount} --passthrough /srv t; $SHIM unmount t; $SHIM reset s.img; {mount} t; $SHIM unmount t"
    ))?;
    let cut = "strace -f -o /dev/null -e inject=pwrite64:error=ENOSPC:when=20+";
    contains(&b.fails(1, &format!("{cut} {mount} --passthrough /srv t"))?, ": write /srv/")?;
    b.sh("mkdir m; mount s.img m; test ! -e m/work/rootfs-shim-seed; umount m")?;
    b.fails(
        137,
        &format!(
            "strace -f -o /dev/null -e inject=utimensat:signal=KILL:when=1 {mount} --passthrough /srv t"
        ),
    )?;
    b.sh(&format!("{mount} t; $SHIM unmount t; mount s.img m; test ! -e m/work/rootfs-shim-seed; umount m"))?;
    contains(&b.fails(1, &format!("{mount} --passthrough /odd t"))?, "leads nowhere")
}

/// Two copies of one directory would hide each other, and so would one of a directory inside another.
fn aliases(b: &Bench) -> Outcome {
    b.sh("mkdir -p low/srv/in; ln -s /srv low/data")?;
    for inner in ["/srv", "/srv/in", "/srv/new"] {
        let mount =
            format!("$SHIM mount --lower low --writable w.img --passthrough /data --passthrough {inner} t");
        contains(&b.fails(1, &mount)?, &format!("{inner}: it leads into another directory that is kept"))?;
    }
    b.sh("$SHIM mount --lower low --writable w.img --passthrough /data t; test ! -e t/srv/new").map(drop)
}

/// Whoever could write the layer's own top does not get the caller's directories.
fn led_out(b: &Bench) -> Outcome {
    let mount = "$SHIM mount --lower low --writable w.img --passthrough /p/in t";
    b.sh("mkdir -p out/in m; echo secret > out/in/secret; $SHIM mount --lower low --writable w.img t; $SHIM unmount t
          mount w.img m; ln -s $D/out m/passthrough/p; umount m")?;
    contains(&b.fails(1, mount)?, "/p/in: the layer has a symlink on the way")?;
    equal(b.mounts()?, "")
}

/// overlayfs lists a whiteout in an opaque directory, and says that it is not there.
fn listed_only(b: &Bench) -> Outcome {
    b.sh(
        "mkdir -p up/srv/deep; mknod up/srv/gone c 0 0; mknod up/srv/deep/gone c 0 0; echo x > up/srv/deep/x
          setfattr -n trusted.overlay.opaque -v y up/srv; setfattr -n trusted.overlay.opaque -v y up/srv/deep
          $SHIM mount --lower up --lower low --writable w.img --passthrough /srv t",
    )?;
    equal(b.sh("ls t/srv t/srv/deep")?, "t/srv:\ndeep\n\nt/srv/deep:\nx")
}

fn too_big(b: &Bench) -> Outcome {
    b.sh("mkdir low/srv; dd if=/dev/zero of=low/srv/big bs=1M count=20 status=none; truncate -s 16M s.img")?;
    let error = b.fails(1, "$SHIM mount --lower low --writable s.img --passthrough /srv t")?;
    contains(&error, "to /srv: No space left on device")?;
    equal(b.mounts()?, "")?;
    equal(b.stray_loops()?, [""; 0])
}

/// As deep as a path can be, whatever the limit of open files.
fn too_deep(b: &Bench) -> Outcome {
    let dig = |depth: u32| {
        format!("(cd low/srv; n=0; while [ $n -lt {depth} ]; do mkdir a; cd a; n=$((n+1)); done; echo x > x)")
    };
    let mount = "$SHIM mount --lower low --writable w.img --passthrough /srv t";
    b.sh(&format!(
        "mkdir low/srv; {}; {mount}; grep -rq x t/srv; $SHIM unmount t; $SHIM reset w.img",
        dig(256)
    ))?;
    b.sh(&format!("rm -r low/srv; mkdir low/srv; {}", dig(1950)))?;
    contains(&b.fails(1, &format!("ulimit -n $(ulimit -H -n); {mount}"))?, "more than 256 directories deep")?;
    equal(b.mounts()?, "")
}
