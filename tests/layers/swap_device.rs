//! The platform's swap device, and swapfiles in kept directories.

use crate::bench::{Bench, Outcome, Test, contains, equal};

pub const TESTS: &[(&str, Test)] = &[
    ("swap_device_is_formatted_and_enabled_above_swapfiles", device),
    ("swap_device_enabled_by_many_at_once", many),
    ("swap_device_with_another_signature_is_refused", refused),
    ("swapfile_in_a_kept_directory_needs_no_shim", kept),
];

fn device(b: &Bench) -> Outcome {
    b.take_swap()?;
    let device = b.device("32M")?;
    contains(&b.sh(&format!("$SHIM swap --dry-run {device}"))?, "would write a new swap header")?;
    b.sh(&format!("dd if=/dev/urandom of={device} bs=1M count=32 status=none; $SHIM swap {device}"))?;
    let line = format!("grep '^{device} ' /proc/swaps | awk '{{print $2, $3, $5}}'");
    equal(b.sh(&line)?, "partition 32764 32767")?;
    // discard=once has given the old blocks back.
    equal(b.sh("stat -c %b disk0")?.parse::<u64>()? < 1000, true)?;
    equal(b.sh(&format!("$SHIM swap {device}"))?, "nothing to do")?;
    let uuid = format!("swapoff {device}; blkid -p -s UUID -o value {device}");
    let first = b.sh(&uuid)?;
    b.sh(&format!(
        "printf '[swap_device]\\ndevice=\"{device}\"\\n' > c.toml; $SHIM swap -p 5 --config c.toml"
    ))?;
    equal(b.sh(&line)?, "partition 32764 5")?;
    equal(b.sh(&uuid)? == first, false)
}

fn many(b: &Bench) -> Outcome {
    b.take_swap()?;
    let device = b.device("32M")?;
    let call = format!("for i in 1 2 3 4 5; do $SHIM swap {device} 2>&1 & done; wait");
    let said = b.sh(&format!("{call}; swapoff {device}"))?;
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    equal(lines, ["enabled", "nothing to do", "nothing to do", "nothing to do", "nothing to do"])
}

fn refused(b: &Bench) -> Outcome {
    let device = b.device("32M")?;
    b.sh(&format!("mkfs.ext4 -q {device}"))?;
    contains(&b.fails(1, &format!("$SHIM swap {device}"))?, "it carries an ext4 filesystem")?;
    contains(&b.fails(1, "$SHIM swap w.img")?, "it is no block device")?;
    b.fails(2, "$SHIM swap")?;
    b.fails(2, "$SHIM swap --config missing.toml")?;
    equal(b.sh(": > none.toml; $SHIM swap --config none.toml")?, "nothing to do")?;
    let small = b.device("16K")?;
    contains(&b.fails(1, &format!("$SHIM swap {small}"))?, "smaller than ten pages")
}

fn kept(b: &Bench) -> Outcome {
    b.take_swap()?;
    b.sh("$SHIM mount --lower low --writable w.img --passthrough /srv t
          fallocate -l 16M t/srv/s; chmod 600 t/srv/s; mkswap -q t/srv/s; swapon t/srv/s
          grep -q '/t/srv/s ' /proc/swaps; swapoff t/srv/s")
        .map(drop)
}
