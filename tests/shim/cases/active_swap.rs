//! `status` and `uninstall` while swap is on, from within the guest and from outside.

use std::ffi::OsStr;
use std::path::Path;

use crate::support::guest::{Fs, Guest, KINDS, SHIM, Spec, Tools, kind_name, needs};
use crate::support::{Ran, Test, host};

/// On each filesystem.
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for kind in KINDS {
        let name = &kind_name(kind);
        tests.push(Test::new(format!("active::{name}::uninstall_inside_waits_for_swapoff"), &needs(kind), {
            move |scratch| {
                let guest = Guest::boot(scratch, Spec::overlay(kind));
                let uninstall = "/.rootfs-shim/bin/rootfs-shim uninstall";
                guest.sh("mk /a; mk /b; swapon /a /b").ok("swapon");
                for how in [uninstall.to_owned(), format!("{uninstall} --dry-run")] {
                    let ran = guest.sh(&how);
                    assert!(ran.status == 1 && ran.err().lines().count() == 1, "{ran:?}");
                    assert!(ran.err().contains("/a, /b; run `swapoff /a`"), "{ran:?}");
                }
                guest.sh("swapoff /a /b && rm /a /b").ok("the shims are still there");
                guest.sh(uninstall).ok("uninstall");
            }
        }));
        tests.push(Test::new(format!("active::{name}::seen_from_outside"), &needs(kind), move |scratch| {
            seen_from_outside(scratch, &mut Guest::boot(scratch, Spec::overlay(kind)));
        }));
    }
    let kind = (Fs::Btrfs, Tools::Debian);
    for (fallback, config) in [("loop", LOOP), ("zram", ZRAM)] {
        tests.push(Test::new(
            format!("active::{fallback}::a_fallback_counts"),
            &needs(kind),
            move |scratch| {
                a_fallback_counts(scratch, &Guest::boot(scratch, Spec { config, ..Spec::overlay(kind) }));
            },
        ));
    }
    tests
}

const LOOP: &str = "[swap]\nfallback = [\"loop\"]\n[console]\npath = \"/console\"\n";
const ZRAM: &str = "[swap]\nfallback = [\"zram\"]\n[console]\npath = \"/console\"\n";

/// Without the shim nobody could disable the device by the name under which it is listed.
fn a_fallback_counts(scratch: &Path, guest: &Guest) {
    let root = scratch.join("overlay/root");
    guest.sh("NOCOW= mk /s; swapon /s").ok("swapon");
    assert!(guest.swaps().starts_with("/s partition 16380 "), "{}", guest.swaps());
    let inside = guest.sh("/.rootfs-shim/bin/rootfs-shim uninstall");
    assert!(inside.status == 1 && inside.err().contains("/s; run `swapoff /s`"), "{inside:?}");
    for words in [&["uninstall"][..], &["uninstall", "--dry-run"]] {
        let outside = manage(words, &root);
        assert!(outside.status == 1 && outside.err().contains("run `swapoff /dev/"), "{outside:?}");
    }
    let status = manage(&["status", "--json"], &root);
    let json: serde_json::Value = serde_json::from_str(&status.out()).expect("JSON");
    let areas = json["swaps"].as_array().expect("an array");
    let area = areas.iter().find(|area| area["path"] == "/s").expect("it is listed");
    assert_eq!(area["of_this_root"], true);
    let device = area["stands_in"].as_str().expect("a device");
    assert!(manage(&["status"], &root).out().contains(&format!(", in {device}")), "{area}");
    guest.sh("swapoff /s && rm /s").ok("swapoff");
    guest.sh("/.rootfs-shim/bin/rootfs-shim uninstall").ok("uninstall");
}

/// A swapfile of this root, and one of a volume that is listed by the name of an inactive file of this root.
fn seen_from_outside(scratch: &Path, guest: &mut Guest) {
    let root = scratch.join("overlay/root");
    guest.sh("mk /s 32; mkdir /vol; mk /vol/s").ok("the files");
    guest.volume("/vol");
    let script = "fallocate -l 16M /vol/s; chmod 600 /vol/s; busybox mkswap /vol/s >/dev/null
        PATH=$PATH:/sbin; swapon /s";
    guest.sh(script).ok("swapon");
    enable_natively(guest);
    let status = manage(&["status", "--json"], &root);
    let json: serde_json::Value = serde_json::from_str(&status.out()).expect("JSON");
    let of = |path: &str| {
        let swaps = json["swaps"].as_array().expect("an array");
        swaps.iter().find(|swap| swap["path"] == path).cloned().unwrap_or_else(|| panic!("no {path}: {json}"))
    };
    let backing = scratch.join("overlay/backing/upper/s").into_os_string().into_string().expect("plain");
    assert_eq!((&of("/s")["backing"], &of("/s")["of_this_root"]), (&backing.clone().into(), &true.into()));
    assert_eq!(of("/vol/s")["backing"], serde_json::Value::Null);
    assert_eq!(of("/vol/s")["of_this_root"], false);
    let text = manage(&["status"], &root).out();
    assert_eq!(
        text.matches("of this machine, not of this root").count(),
        json["swaps"].as_array().unwrap().len() - 1
    );
    let inside = guest.sh("/.rootfs-shim/bin/rootfs-shim status");
    assert!(inside.out().contains("[/upper]/s") && !inside.out().contains("not of this root"), "{inside:?}");

    let refused = manage(&["uninstall"], &root);
    let remedy = ["chroot", root.to_str().expect("plain"), "swapoff", "/s"];
    assert!(refused.status == 1 && refused.err().contains(&remedy.join(" ")), "{refused:?}");
    host(&remedy).ok("what the message says");
    manage(&["uninstall"], &root).ok("uninstall");
}

/// Around the shim, as `swapon.real` or `busybox swapon` do.
fn enable_natively(guest: &Guest) {
    guest.sh("if [ -e /usr/sbin/swapon.real ]; then /usr/sbin/swapon.real /vol/s; else busybox swapon /vol/s; fi").ok("swapon.real");
}

fn manage(words: &[&str], root: &Path) -> Ran {
    let mut argv: Vec<&OsStr> = vec![SHIM.as_ref()];
    argv.extend(words.iter().map(OsStr::new));
    argv.extend([OsStr::new("--chroot"), root.as_os_str()]);
    host(&argv)
}
