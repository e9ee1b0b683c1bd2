//! A guest that runs already: its root was switched, so nothing that mountinfo says of upper leads anywhere.
//!
//! Swap is the machine's, so whoever enables some holds the lock that every such test holds.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::bench::{Bench, Test, link, run, text};
use crate::swap_lock;

pub const TESTS: &[Test] = &[
    ("in_a_switched_root_the_device_leads_to_upper", || switched(Visible::Device)),
    ("in_a_switched_root_another_mount_leads_to_upper", || switched(Visible::Mount)),
    ("in_a_switched_root_without_a_lead_the_kernel's_devices_are_asked", || switched(Visible::Nothing)),
    ("in_a_switched_root_a_false_lead_is_not_followed", || switched(Visible::Wrong)),
    ("in_a_switched_root_on_memory_calls_are_passed_through", || switched(Visible::Never)),
];

/// What of the backing filesystem the guest can see.
#[derive(Clone, Copy, PartialEq)]
enum Visible {
    /// The overlay's source is its device.
    Device,
    /// It is mounted somewhere.
    Mount,
    Nothing,
    /// Another filesystem is, with directories of the same names.
    Wrong,
    /// It is on no device.
    Never,
}

/// What the guest does; it leaves no swap behind, whatever happens.
const SCRIPT: &str = r#"
set -eu
cd "$1"
pivot_root . mnt
cd /
umount -l /mnt
trap 'swapoff.real /guest-swap 2>/dev/null || swapoff /guest-swap 2>/dev/null || :' EXIT
if [ "$2" != none ]; then install -d /srv/backing; mount -t ext4 "$2" /srv/backing; fi
/tmp/rootfs-shim install
grep rootfs-shim /proc/self/mountinfo || echo NOT MOUNTED
ls -A /.rootfs-shim
fallocate -l 16M /guest-swap
chmod 600 /guest-swap
mkswap /guest-swap
swapon /guest-swap
grep guest-swap /proc/swaps || echo NOT ENABLED
swapoff /guest-swap || :
/tmp/rootfs-shim status || :
/tmp/rootfs-shim uninstall
grep rootfs-shim /proc/self/mountinfo || echo NOTHING LEFT
"#;

fn switched(visible: Visible) {
    let bench = Bench::new();
    let backing = bench.top.join("backing");
    let device = bench.disk("256M", &backing);
    if visible == Visible::Never {
        run("mount", &["-t", "tmpfs", "memory", backing.to_str().unwrap()]);
    }
    let source = if visible == Visible::Device { &device } else { "root" };
    let upper = bench.overlay_as(source, Path::new("/"), &backing);
    let guest = bench.guest.to_str().unwrap();
    for (what, kind) in [("proc", "proc"), ("dev", "devtmpfs"), ("tmp", "tmpfs"), ("srv", "tmpfs")] {
        run("mount", &["-t", kind, kind, &format!("{guest}/{what}")]);
    }
    fs::copy(&bench.program, bench.guest.join("tmp/rootfs-shim")).unwrap();
    fs::create_dir_all(bench.guest.join("run/lock")).unwrap();
    let mount = match visible {
        Visible::Mount => device.clone(),
        Visible::Wrong => {
            let point = bench.top.join("other");
            let other = bench.disk("64M", &point);
            fs::create_dir_all(point.join("upper/.rootfs-shim")).unwrap();
            link("upper", &point.join("backing"));
            other
        }
        _ => "none".to_owned(),
    };
    let _lock = swap_lock::take().unwrap();
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", SCRIPT, "sh", guest, &mount])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = text(&output);
    assert!(output.status.success() && said.contains("NOTHING LEFT"), "{said}");
    assert!(said.contains("NOT MOUNTED"), "{said}");
    if visible == Visible::Never {
        assert!(said.contains("is not to be found here"), "{said}");
        assert!(said.contains("NOT ENABLED"), "{said}");
    } else {
        assert!(!said.contains("warning"), "{said}");
        assert!(
            said.lines().any(|line| line.starts_with("/guest-swap ")),
            "not enabled as the user's: {said}"
        );
        assert!(said.lines().any(|line| line == format!("upper        {device}[/upper]")), "{said}");
    }
    assert!(!upper.join(".rootfs-shim").exists());
    bench.host_is_untouched();
}
