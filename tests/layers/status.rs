//! `status` of a whole root, and of one in which something is off.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::bench::{Bench, Outcome, Test, contains, equal};

pub const TESTS: &[(&str, Test)] =
    &[("status_shows_the_whole_root", whole), ("status_says_what_of_the_root_is_off", off)];

/// A root with everything: the devices of its writable layer and its swap.
fn everything(b: &Bench) -> Result<(String, String), Failed> {
    let (writable, swap) = (b.device("256M")?, b.device("32M")?);
    // The kept directory is reached through the image's own link, which leads somewhere else outside.
    b.sh(&format!(
        "mkdir -p low/bin low/sbin low/srv/db; cp \"$(command -v busybox)\" low/bin/busybox
        for n in swapon swapoff mkswap; do ln -s /bin/busybox low/sbin/$n; done; ln -s /srv low/data
        cat > c.toml <<EOF
[layers]
lower = [\"$D/low\"]
writable = \"{writable}\"
passthrough = [\"/data/db\", \"/var/lib/docker\"]
[swap_device]
device = \"{swap}\"
EOF
        $SHIM mount --config c.toml --install t; $SHIM swap --config c.toml"
    ))?;
    Ok((writable, swap))
}

fn whole(b: &Bench) -> Outcome {
    b.take_swap()?;
    let (writable, swap) = everything(b)?;
    let text = b.sh("$SHIM status --chroot t")?;
    let root = b.sh("echo $D/t")?;
    for line in [
        format!("root         t (overlay, {writable})"),
        "lower        0-low".to_owned(),
        format!("writable     {writable} (ext4), "),
        format!("upper        {writable}[/upper]"),
        format!("passthrough  {root}/srv/db (bound, seeded)"),
        format!("passthrough  {root}/var/lib/docker (bound, seeded)"),
        format!("swap device  {swap} (31.9 MiB, 0 bytes used, priority 32767)"),
        "healthy      nothing is off".to_owned(),
    ] {
        if !text.lines().any(|shown| shown.starts_with(&line)) {
            return Err(format!("no line {line:?} in {text}").into());
        }
    }
    let json: Value = serde_json::from_str(&b.sh("$SHIM status --chroot t --json")?)?;
    let field = |pointer: &str| json.pointer(pointer).unwrap_or(&Value::Null);
    equal(field("/version").as_u64(), Some(1))?;
    equal(field("/kept/0/path").as_str(), Some(format!("{root}/srv/db").as_str()))?;
    equal((field("/kept/0/configured").as_bool(), field("/kept/2").is_null()), (Some(true), true))?;
    equal(field("/swap_device_state/size").as_u64(), Some(32764 << 10))?;
    // As df says.
    let free = b.sh("df -B1 --output=avail t | tail -1")?;
    equal(field("/backing/free").as_u64(), free.trim().parse().ok())
}

/// Each thing is broken once, and mended before the next.
fn off(b: &Bench) -> Outcome {
    b.take_swap()?;
    let (writable, swap) = everything(b)?;
    let says = |broken: &str, mended: &str, says: &str| {
        let script = format!("{broken}; ! $SHIM status --chroot t > said; cat said; {mended}");
        contains(&b.sh(&script)?, says)?;
        contains(&b.sh("$SHIM status --chroot t")?, "healthy ")
    };
    says(
        "fallocate -l $(($(df -B1 --output=avail t | tail -1) - 5000000)) t/big",
        "rm t/big",
        &format!("the writable layer {writable} is nearly full, "),
    )?;
    says(
        &format!("swapoff {swap}"),
        "$SHIM swap --config c.toml >/dev/null",
        &format!("the swap device {swap} is not active; `rootfs-shim swap {swap}` enables it"),
    )?;
    says(
        &format!("mkdir seen; mount {writable} seen; mount -o remount,ro seen; umount seen"),
        &format!("mount -o ro {writable} seen; mount -o remount,rw seen; umount seen"),
        &format!("the writable layer {writable} is mounted read-only"),
    )?;
    says(
        "mkdir -p hold; mount --bind t/var/lib/docker hold; umount t/var/lib/docker",
        "mount --move hold t/var/lib/docker",
        "/t/var/lib/docker is to be kept on the backing filesystem, but is not bound there",
    )?;
    // Something else is bound there, and what the layer keeps for it was passed by.
    b.sh(&format!("umount t/srv/db; mkdir t/other; mount {writable} seen; mount --bind seen/upper/other t/srv/db; umount seen"))?;
    contains(&b.sh("$SHIM status --chroot t")?, "/t/srv/db (bound from outside of")
}
