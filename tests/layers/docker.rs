//! A real dockerd, with its data kept on the backing filesystem, on a bare ext4, and on plain overlay.

use libtest_mimic::Failed;

use crate::bench::{Bench, Outcome, Test, contains, equal};

pub const TESTS: &[(&str, Test)] = &[("docker_with_its_data_kept_is_as_on_a_bare_ext4", as_bare)];

/// What these tests need beside what the others do.
pub const TOOLS: &[(&str, &str)] =
    &[("dockerd", "docker.io"), ("containerd", "docker.io"), ("ctr", "docker.io")];

const KEPT: &str = "--passthrough /var/lib/docker --passthrough /var/lib/containerd";
const LIFE: &str = concat!("sh ", env!("CARGO_MANIFEST_DIR"), "/tests/layers/docker.sh outside $D/t");

/// Docker's life in a guest with this machine's programs, but not with its Docker's data and settings: how many
/// KiB it took, and what it told. `before` is run when the guest stands.
fn life(b: &Bench, passthrough: &str, before: &str) -> Result<(u64, String), Failed> {
    let told = b.sh(&format!(
        "mkdir -p own; mountpoint -q own || mount -t tmpfs own own
         for dir in var/lib/docker var/lib/containerd etc/docker etc/containerd; do
             mkdir -p own/$dir; setfattr -n trusted.overlay.opaque -v y own/$dir
         done
         truncate -s 1G guest.img; $SHIM mount --lower own --lower / --writable guest.img {passthrough} t >/dev/null
         {before}
         {LIFE}; umount -R t; rm guest.img"
    ))?;
    let grew = told.lines().find_map(|line| line.strip_prefix("grew "));
    let grew = grew.ok_or_else(|| format!("it does not say how much it grew: {told}"))?.parse()?;
    Ok((grew, told))
}

fn as_bare(b: &Bench) -> Outcome {
    let (kept, told) = life(b, KEPT, "")?;
    // overlay2, or overlayfs where Docker leaves its images to containerd.
    contains(&told, "driver overlay")?;
    contains(&told, "snapshotter works")?;
    let bare = "truncate -s 1G bare.img; mkfs.ext4 -q bare.img; mkdir bare; mount -o loop bare.img bare
        for name in docker containerd; do mkdir bare/$name; mount --bind bare/$name t/var/lib/$name; done";
    let (native, told) = life(b, "", bare)?;
    contains(&told, "snapshotter works")?;
    b.sh("umount bare")?;
    let (plain, told) = life(b, "", "")?;
    contains(&told, "snapshotter fails")?;
    if kept.abs_diff(native) * 20 > native || plain < 3 * kept {
        return Err(format!("KiB: {kept} kept, {native} on bare ext4, {plain} on plain overlay").into());
    }
    equal(b.stray_loops()?, [""; 0])
}
