//! reset.

use libtest_mimic::Failed;

use crate::bench::{Bench, Outcome, Test, contains, equal, eventually};

pub const TESTS: &[(&str, Test)] = &[
    ("reset_makes_a_device_as_new", device),
    ("reset_makes_a_directory_as_new", directory),
    ("reset_keeps_the_filesystem's_type_also_when_cut", types),
    ("reset_of_a_directory_takes_any_depth", deep),
    ("reset_refuses_what_is_not_ours", foreign),
    ("reset_refuses_what_is_in_use", in_use),
    ("reset_cut_short_is_finished_by_the_next_mount", cut),
    ("reset_of_a_directory_cut_short_is_finished", cut_directory),
    ("reset_gives_the_old_blocks_back", discard),
    ("reset_while_the_last_one_is_still_trimming", twice),
    ("reset_holds_nothing_of_its_caller", inherited),
];

fn device(b: &Bench) -> Outcome {
    let device = b.device("256M")?;
    b.sh(&format!(
        "$SHIM mount --lower low --writable {device} --passthrough /srv t
         echo x > t/etc/new; echo x > t/srv/new; rm t/etc/name; $SHIM unmount t; $SHIM reset {device}
         $SHIM mount --lower low --writable {device} --passthrough /srv t"
    ))?;
    equal(b.sh("ls t/etc t/srv")?, "t/etc:\nname\n\nt/srv:")?;
    b.sh(&format!("rm t/etc/name; $SHIM unmount t; $SHIM mount --reset --lower low --writable {device} t"))?;
    equal(b.sh("ls t/etc")?, "name")
}

fn directory(b: &Bench) -> Outcome {
    b.sh("mkdir wd; $SHIM mount --lower low --writable wd --passthrough /srv t
          echo x > t/etc/new; echo x > t/srv/new; $SHIM unmount t; $SHIM reset wd")?;
    eventually(|| Ok(b.sh("ls -A wd")? == ".rootfs-shim-layer"))?;
    b.sh("$SHIM mount --lower low --writable wd --passthrough /srv t")?;
    equal(b.sh("ls t/etc t/srv")?, "t/etc:\nname\n\nt/srv:")?;
    b.sh("$SHIM unmount t; $SHIM reset --discard now wd")?;
    equal(b.sh("ls -A wd")?, ".rootfs-shim-layer")
}

/// With fewer open files than there are directories inside each other.
fn deep(b: &Bench) -> Outcome {
    let name = "d".repeat(30);
    b.sh(&format!(
        "mkdir wd; $SHIM mount --lower low --writable wd --passthrough /srv t; touch t/f; ln -s f t/srv/l
        (cd t; n=0; while [ $n -lt 100 ]; do mkdir {name} b; touch f; cd {name}; n=$((n+1)); done); $SHIM unmount t
        ulimit -n 40; $SHIM reset --discard now wd 2>&1"
    ))?;
    equal(b.sh("ls -A wd")?, ".rootfs-shim-layer")
}

fn foreign(b: &Bench) -> Outcome {
    b.sh("mkfs.ext4 -q w.img; mkdir wd; echo mine > wd/letters")?;
    contains(&b.fails(1, "$SHIM reset w.img")?, "it carries an ext4 filesystem; use --force")?;
    contains(&b.fails(1, "$SHIM reset wd")?, "letters is not a part")?;
    equal(b.sh("cat wd/letters")?, "mine")?;
    b.sh("$SHIM reset --force w.img; $SHIM reset w.img
          $SHIM reset --force --discard now wd; test ! -e wd/letters; truncate -s 1M small.img; mkdir -p by/work")?;
    contains(&b.fails(1, "$SHIM reset by")?, "by/work is not a part")?;
    b.sh("$SHIM mount --lower low --writable by t; $SHIM unmount t; $SHIM reset by")?;
    contains(&b.fails(1, "$SHIM reset small.img")?, "8 MiB")
}

fn in_use(b: &Bench) -> Outcome {
    let device = b.device("256M")?;
    b.sh(&format!("mkdir wd other; $SHIM mount --lower low --writable {device} t"))?;
    contains(&b.fails(1, &format!("$SHIM reset --force {device}"))?, "it is mounted at")?;
    // In a namespace that is not ours, the kernel still knows.
    let hidden = format!(
        "$SHIM unmount t; unshare -m sh -c 'mount {device} other; echo > ready; exec sleep 100' & P=$!
         until test -e ready; do sleep 0.05; done; $SHIM reset --force {device} || S=$?; kill $P; exit ${{S:-0}}"
    );
    contains(&b.fails(1, &hidden)?, "it is in use")?;
    b.sh("$SHIM mount --lower low --writable wd t")?;
    contains(&b.fails(1, "$SHIM reset --force wd")?, "it is mounted at")?;
    let bound = "mount --bind wd/passthrough other; $SHIM unmount t; $SHIM reset wd";
    contains(&b.fails(1, bound)?, "it is mounted at")
}

/// A mkfs that dies half way, with its caller: it clears what mkfs.ext4 clears first, and writes a little.
const DYING: &str = "mkdir -p bin; cat > bin/mkfs.ext4 <<'E'
#!/bin/sh
for last; do :; done
dd if=/dev/zero of=$last bs=4096 count=1 conv=notrunc status=none
dd if=/dev/urandom of=$last bs=4096 seek=1 count=3 conv=notrunc status=none
kill -9 $PPID
E
chmod +x bin/mkfs.ext4
";

fn cut(b: &Bench) -> Outcome {
    let device = b.device("256M")?;
    b.sh(&format!("$SHIM mount --lower low --writable {device} t; echo x > t/x; $SHIM unmount t"))?;
    b.fails(137, &format!("{DYING} PATH=$D/bin:$PATH; $SHIM reset {device}"))?;
    let plan = b.sh(&format!("$SHIM mount --dry-run --lower low --writable {device} t"))?;
    contains(&plan, "would format")?;
    b.sh(&format!("$SHIM mount --lower low --writable {device} t; test ! -e t/x; $SHIM unmount t"))?;
    // Without the mark, the same bytes are nobody's, and not formatted.
    b.sh(&format!(
        "dd if=/dev/urandom of={device} bs=4096 seek=1 count=3 conv=notrunc status=none
         dd if=/dev/zero of={device} bs=4096 count=1 conv=notrunc status=none"
    ))?;
    b.fails(1, &format!("$SHIM mount --lower low --writable {device} t")).map(drop)
}

/// The type is kept by a forced reset, by the next one of what is then ours, and by the mount after one that was
/// cut while mkfs wrote.
fn types(b: &Bench) -> Outcome {
    for kind in ["xfs", "btrfs"] {
        let device = b.device("400M")?;
        let mount = format!("$SHIM mount --lower low --writable {device} t");
        b.sh(&format!("mkfs.{kind} -q {device}"))?;
        contains(&b.fails(1, &format!("$SHIM reset {device}"))?, "use --force")?;
        b.sh(&format!("$SHIM reset --force {device}; {mount}; echo x > t/x; $SHIM unmount t"))?;
        cut_in_mkfs(b, kind, &device)?;
        b.sh(&format!("{mount}; test ! -e t/x"))?;
        let shown = b.sh("$SHIM status --chroot t | grep ^writable; $SHIM unmount t")?;
        contains(&shown, &format!(" ({kind}), "))?;
    }
    Ok(())
}

/// Resets, with mkfs killed as it enters its nth write, until it gets through.
fn cut_in_mkfs(b: &Bench, kind: &str, device: &str) -> Outcome {
    for at in 1..60 {
        // Each of the first writes, then fewer.
        let nth = at * (1 + at / 8);
        let reset = format!(
            "mkdir -p bin; cat > bin/mkfs.{kind} <<E
#!/bin/sh
exec strace -f -o /dev/null -e inject=pwrite64,pwritev,write:signal=KILL:when={nth} $(command -v mkfs.{kind}) \"\\$@\"
E
            chmod +x bin/mkfs.{kind}; PATH=$D/bin:$PATH; $SHIM reset {device}"
        );
        if b.sh(&reset).is_ok() {
            return equal(at > 8, true);
        }
        let next = b.sh(&format!("$SHIM mount --dry-run --lower low --writable {device} t"))?;
        contains(&next, &format!("would format {device} as {kind}"))?;
    }
    Err("it never got through".into())
}

fn cut_directory(b: &Bench) -> Outcome {
    b.sh("mkdir wd; $SHIM mount --lower low --writable wd t; echo x > t/x; $SHIM unmount t")?;
    let mut cut = 0;
    for at in 1..8 {
        let kill = "strace -f -o /dev/null -e inject=rename,renameat,renameat2:signal=KILL:when=";
        if b.sh(&format!("{kill}{at} $SHIM reset wd")).is_ok() {
            break;
        }
        cut += 1;
        // The signal comes before the call: at the first one nothing had happened yet.
        let gone = if at == 1 { "test -e t/x" } else { "test ! -e t/x" };
        b.sh(&format!("$SHIM mount --lower low --writable wd t; {gone}; echo x > t/x; $SHIM unmount t"))?;
    }
    if cut < 4 {
        return Err(format!("only {cut} cuts").into());
    }
    eventually(|| Ok(b.sh("ls -A wd | grep -c old- || true")? == "0"))
}

fn used(b: &Bench) -> Result<u64, Failed> {
    Ok(b.sh("du -m w.img | cut -f1")?.parse()?)
}

fn fill(b: &Bench) -> Outcome {
    b.sh("$SHIM mount --lower low --writable w.img t
          dd if=/dev/urandom of=t/big bs=1M count=60 status=none; sync -f t; $SHIM unmount t")?;
    if used(b)? < 50 { Err("nothing was written".into()) } else { Ok(()) }
}

fn discard(b: &Bench) -> Outcome {
    fill(b)?;
    b.sh("$SHIM reset --discard never w.img; sleep 0.3")?;
    if used(b)? < 50 {
        return Err("never gave blocks back".into());
    }
    b.sh("$SHIM reset --discard now w.img")?;
    equal(used(b)? < 20, true)?;
    fill(b)?;
    b.sh("$SHIM reset w.img")?;
    eventually(|| Ok(used(b)? < 20))?;
    fill(b)?;
    b.sh("$SHIM mount --reset --lower low --writable w.img t")?;
    eventually(|| Ok(used(b)? < 20))?;
    b.sh("$SHIM unmount t")?;
    eventually(|| Ok(b.stray_loops()?.is_empty()))
}

fn twice(b: &Bench) -> Outcome {
    fill(b)?;
    b.sh("for n in 1 2 3 4 5 6; do $SHIM reset w.img; done
          for n in 1 2 3 4 5 6; do
              $SHIM mount --reset --lower low --writable w.img t; $SHIM unmount t
          done; $SHIM mount --lower low --writable w.img t; $SHIM unmount t")?;
    eventually(|| Ok(b.stray_loops()?.is_empty()))
}

fn inherited(b: &Bench) -> Outcome {
    fill(b)?;
    // The lock on descriptor 9 and the pipe must be free as soon as the command is done.
    b.sh("exec 9> lock; flock 9; $SHIM reset w.img | cat; exec 9>&-; flock -n lock true")?;
    eventually(|| Ok(used(b)? < 20 && b.stray_loops()?.is_empty()))
}
