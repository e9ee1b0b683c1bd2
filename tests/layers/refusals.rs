//! What is said when it cannot be done: the step, the thing by the name that the reader gave it, the remedy.

use serde_json::Value;

use crate::bench::{Bench, Outcome, Test, contains, equal};

pub const TESTS: &[(&str, Test)] = &[
    ("refused_the_running_root_as_a_target", running_root),
    ("refused_without_proc_and_says_so", no_proc),
    ("refused_layers_are_named_as_they_were_given", names),
    ("refused_in_json_as_well", json),
    ("refused_source_names_that_the_mount_table_cannot_hold", source_names),
    ("refused_without_a_thread_and_without_a_panic", no_thread),
    ("refused_before_the_reset_if_an_image_cannot_be_mounted", before_reset),
    ("refused_in_whole_lines_also_many_at_once", whole_lines),
    ("refused_what_only_blkid_knows", at_the_end),
    ("refused_swap_names_the_mount_before_the_contents", mounted_swap),
];

/// What only blkid knows is not lost on a caller that ignores SIGCHLD, as an init may, nor when blkid is unsure.
fn at_the_end(b: &Bench) -> Outcome {
    let device = b.device("64M")?;
    // The superblock of a RAID (0.90), 64 KiB before the end: nothing else is there.
    b.sh(&format!(
        "printf '\\374\\116\\053\\251\\0\\0\\0\\0\\132\\0\\0\\0' |
        dd of={device} bs=64K seek=1023 conv=notrunc status=none; mkdir bin; printf '#!/bin/sh\\nexit 8\\n' > bin/8
        printf '#!/bin/sh\\nkill -9 $$\\n' > bin/9; chmod +x bin/?"
    ))?;
    let mount = format!("$SHIM mount --dry-run --lower low --writable {device} t");
    for before in ["", "env --ignore-signal=CHLD"] {
        contains(&b.fails(1, &format!("{before} {mount}"))?, "linux_raid_member")?;
        contains(&b.fails(1, &format!("{before} $SHIM swap --dry-run {device}"))?, "linux_raid_member")?;
    }
    for blkid in ["8", "9"] {
        let unsure = format!("cp bin/{blkid} bin/blkid; export PATH=$D/bin:$PATH; {mount}");
        contains(&b.fails(1, &unsure)?, "that blkid is not sure of")?;
    }
    Ok(())
}

const MOUNT: &str = "$SHIM mount --lower low --writable w.img";

fn running_root(b: &Bench) -> Outcome {
    // The dry run is enough to see, and what mounting there would do to this machine is not to be seen.
    contains(&b.fails(2, &format!("{MOUNT} --dry-run /"))?, "switch_root")
}

fn no_proc(b: &Bench) -> Outcome {
    b.sh("mkdir wd")?;
    let without = |call: &str| b.fails(1, &format!("unshare -m sh -c 'umount -l /proc; {call}'"));
    for call in [
        &format!("{MOUNT} t"),
        "$SHIM mount --lower low --writable wd t",
        "$SHIM unmount t",
        "$SHIM reset wd",
        "$SHIM swap /dev/loop0",
    ] {
        contains(&without(call)?, "mount /proc first")?;
    }
    Ok(())
}

fn names(b: &Bench) -> Outcome {
    b.sh("mksquashfs low a.sq -quiet >/dev/null 2>&1; head -c 100 a.sq > short.sq; mkdir wd; touch wd/work")?;
    let said = b.fails(1, "$SHIM mount --lower short.sq --writable w.img t")?;
    contains(&said, "mount (squashfs) the layer short.sq: ")?;
    contains(&said, "the kernel's log")?;
    contains(&b.fails(1, "$SHIM mount --lower low --writable wd t")?, "use wd/work: it is no directory")?;
    contains(&b.fails(1, "$SHIM mount --lower low --lower low --writable w.img t")?, "inside each other")?;
    let device = b.device("64M")?;
    b.sh(&format!("mkfs.ext4 -q {device}; blockdev --setro {device}"))?;
    let said = b.fails(1, &format!("$SHIM mount --lower low --writable {device} t"));
    // The flag would outlive the file that the loop device shows, and this test.
    b.sh(&format!("blockdev --setrw {device}"))?;
    let said = said?;
    contains(&said, &format!("the layer {device}: "))?;
    contains(&said, "it is read-only")?;
    b.sh("rm wd/work; mkdir -p wd/work/work; chattr +i wd/work/work")?;
    let said = b.fails(1, "$SHIM mount --lower low --writable wd t");
    b.sh("chattr -i wd/work/work")?;
    contains(&said?, "came up read-only")?;
    // The stage is nowhere; install's own words are about the target.
    let cut = "strace -f -o /dev/null -e inject=flock:error=EIO";
    contains(&b.fails(1, &format!("{cut} {MOUNT} --install t"))?, "/t/.rootfs-shim: I")?;
    equal(b.mounts()?, "")?;
    equal(b.stray_loops()?, [""; 0])
}

fn json(b: &Bench) -> Outcome {
    b.sh("mount -t tmpfs x t")?;
    for call in [
        "mount --lower missing --writable w.img t",
        "mount --config missing t",
        "unmount t",
        "reset missing",
        "swap w.img",
        "swap --config missing",
    ] {
        let (verb, rest) = call.split_once(' ').unwrap_or((call, ""));
        let text = b.sh(&format!("! $SHIM {verb} --json {rest} 2> said; test $(wc -l < said) = 1"))?;
        let told: Value =
            serde_json::from_str(&text).map_err(|error| format!("{call}: {error} in {text:?}"))?;
        let field = |name: &str| told.get(name).unwrap_or(&Value::Null);
        equal((field("version").as_u64(), field("changed").as_bool()), (Some(1), Some(false)))?;
        let error = field("error").as_str().unwrap_or_default();
        equal(b.sh("cat said")?, format!("rootfs-shim: {error}"))?;
    }
    Ok(())
}

/// Whoever logs several of them reads each line, and not two in one.
fn whole_lines(b: &Bench) -> Outcome {
    let all = "for i in $(seq 60); do for j in 1 2 3 4; do $SHIM reset fifo & done; wait; done 2>&1 || true";
    let said = b.sh(&format!("mkfifo fifo; {all}"))?;
    let line = "rootfs-shim: use the layer fifo: is no device, image file or directory";
    equal(said.lines().find(|said| *said != line), None::<&str>)?;
    equal(said.lines().count(), 240)
}

fn source_names(b: &Bench) -> Outcome {
    contains(&b.fails(2, &format!("{MOUNT} --source-name= t"))?, "source name")?;
    contains(&b.fails(2, &format!("{MOUNT} --source-name=$(head -c 4096 /dev/zero | tr '\\0' x) t"))?, "long")
}

fn no_thread(b: &Bench) -> Outcome {
    let said =
        b.fails(1, &format!("strace -f -o /dev/null -e inject=clone3,clone:error=EAGAIN {MOUNT} t"))?;
    equal(said.lines().count(), 1)?;
    contains(&said, "start a thread")
}

fn before_reset(b: &Bench) -> Outcome {
    b.sh(&format!("{MOUNT} t; echo kept > t/new; $SHIM unmount t; printf hsqs > bad.sq"))?;
    contains(&b.fails(1, "$SHIM mount --reset --lower bad.sq --writable w.img t")?, "the layer bad.sq")?;
    equal(b.sh(&format!("{MOUNT} t; cat t/new"))?, "mounted\nkept")
}

fn mounted_swap(b: &Bench) -> Outcome {
    let device = b.device("32M")?;
    b.sh(&format!("mkfs.ext4 -q {device}; mkdir m; mount {device} m"))?;
    contains(&b.fails(1, &format!("$SHIM swap {device}"))?, "it is mounted at")
}
