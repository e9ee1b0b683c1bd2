//! install and uninstall on a guest's root that is mounted but not booted, as an init does it.

use std::ffi::OsStr;
use std::path::Path;

use crate::support::guest::{Guest, KINDS, Kind, Spec, kind_name, needs, shim_install};
use crate::support::{Ran, Test, host, host_sh};

/// On a Debian-like and on an Alpine-like root.
pub fn tests() -> Vec<Test> {
    type Body = fn(&Path, &Path);
    let bodies: [(&str, Body); 7] = [
        ("a_second_time_changes_nothing", |_, root| {
            install(root, &[]).ok("install");
            let before = everything(root);
            install(root, &[]).ok("install again");
            assert_eq!(everything(root), before);
        }),
        ("uninstall_gives_the_image_back", |_, root| {
            let before = (everything(root), mounts());
            install(root, &[]).ok("install");
            assert_ne!(everything(root), before.0);
            uninstall(root, &[]).ok("uninstall");
            assert_eq!((everything(root), mounts()), before);
            assert!(!root.join(".rootfs-shim").exists());
            uninstall(root, &[]).ok("uninstall again");
        }),
        ("dry_run_changes_nothing", |_, root| {
            let before = (everything(root), mounts());
            let plan = install(root, &["--dry-run"]).ok("install --dry-run");
            assert!(plan.contains("swapon.real"), "{plan}");
            assert_eq!((everything(root), mounts()), before);
            install(root, &[]).ok("install");
            let before = (everything(root), mounts());
            uninstall(root, &["--dry-run"]).ok("uninstall --dry-run");
            assert_eq!((everything(root), mounts()), before);
        }),
        ("json_is_json", |_, root| {
            for flags in [["--dry-run", "--json"].as_slice(), &["--json"], &["--json"]] {
                parse(&install(root, flags).ok("install"));
            }
            for flags in [["--dry-run", "--json"].as_slice(), &["--json"], &["--json"]] {
                parse(&uninstall(root, flags).ok("uninstall"));
            }
        }),
        ("the_real_tools_keep_their_inodes", |_, root| {
            let tools = |suffix: &str| {
                let script = r#"cd "$1"; for t in swapon swapoff mkswap; do stat -c '%i %a %u %g %s %Y %F' "sbin/$t$2"; done"#;
                host_sh(script, &[root.as_os_str(), OsStr::new(suffix)])
            };
            let before = tools("");
            install(root, &[]).ok("install");
            assert_eq!(tools(".real"), before);
            let links = r#"cd "$1"; stat -c %i sbin/swapon sbin/swapoff sbin/mkswap .rootfs-shim/bin/rootfs-shim | sort -u | wc -l; stat -c %a .rootfs-shim"#;
            assert_eq!(host_sh(links, &[root.as_os_str()]), "1\n700\n");
        }),
        ("the_tools_that_links_lead_to_are_not_written", |_, root| {
            let sums = r#"sha256sum /bin/busybox "$1/bin/busybox" /usr/sbin/swapon | cut -c1-64; stat -c '%i %Z' /bin/busybox /usr/sbin/swapon"#;
            let before = host_sh(sums, &[root.as_os_str()]);
            install(root, &[]).ok("install");
            uninstall(root, &[]).ok("uninstall");
            assert_eq!(host_sh(sums, &[root.as_os_str()]), before);
        }),
        ("a_config_with_a_mistake_changes_nothing", |scratch, root| {
            let before = (everything(root), mounts());
            let config = scratch.join("bad.toml");
            std::fs::write(&config, "[swap]\nhintt = 1\n").expect("scratch is writable");
            let ran = shim_install(root, &["--config".as_ref(), config.as_os_str()]);
            assert!(matches!(ran.status, 1 | 2) && ran.err().lines().count() == 1, "{ran:?}");
            assert!(ran.err().contains("hintt"), "{ran:?}");
            assert_eq!((everything(root), mounts()), before);
        }),
    ];
    let mut tests = vec![nowhere()];
    for kind in [KINDS[0], KINDS[3]] {
        for (name, body) in bodies {
            let name = format!("install::{}::{name}", kind_name(kind));
            tests.push(Test::new(name, &[needs(KINDS[3]), needs(kind)].concat(), move |scratch| {
                // Overlayfs keeps a file's number when it is copied up only with xino.
                let spec = Spec { options: "xino=on,", ..Spec::overlay(kind) };
                body(scratch, &Guest::build(scratch, spec).root);
            }));
        }
        let name = format!("install::{}::the_guest_is_as_before_after_uninstall", kind_name(kind));
        tests.push(Test::new(name, &needs(kind), move |scratch| swap_is_refused_again(scratch, kind)));
    }
    tests
}

fn nowhere() -> Test {
    Test::new("install::where_there_is_no_guest", &needs(KINDS[0]), |scratch| {
        for directory in ["nope", "file", "loop"] {
            host_sh("cd \"$1\"; : >file; ln -sf loop loop", &[scratch.as_os_str()]);
            let ran = install(&scratch.join(directory), &[]);
            assert!(matches!(ran.status, 1 | 2) && ran.err().lines().count() == 1, "{directory}: {ran:?}");
        }
    })
}

fn swap_is_refused_again(scratch: &Path, kind: Kind) {
    let guest = Guest::boot(scratch, Spec::overlay(kind));
    guest.sh("mk /s; swapon /s && swapoff /s").ok("with the shim");
    guest.sh("/.rootfs-shim/bin/rootfs-shim uninstall").ok("uninstall in the guest");
    let ran = guest.sh("swapon /s");
    assert!(ran.status != 0 && ran.err().contains("Invalid argument"), "{ran:?}");
}

fn install(root: &Path, flags: &[&str]) -> Ran {
    shim_install(root, &flags.iter().map(OsStr::new).collect::<Vec<_>>())
}

fn uninstall(root: &Path, flags: &[&str]) -> Ran {
    let mut argv: Vec<&OsStr> = vec![crate::support::guest::SHIM.as_ref(), "uninstall".as_ref()];
    argv.extend([OsStr::new("--chroot"), root.as_os_str()]);
    argv.extend(flags.iter().map(OsStr::new));
    host(&argv)
}

/// Names, inodes, times and all of what install may touch. Directories' own times and sizes are left out:
/// they tell that a name came and went.
fn everything(root: &Path) -> String {
    let script = r#"cd "$1"
        for dir in usr/sbin usr/bin sbin bin usr/local/sbin usr/local/bin; do [ ! -d $dir ] || echo $dir/; done |
            xargs -I{} find {} -maxdepth 1 \( -name '*swap*' -o -name busybox \) -printf '%p %i %M %n %U %G %s %T@ %l\n' | sort
        ls -A
        [ ! -d .rootfs-shim ] || find .rootfs-shim -printf '%p %i %M %n %U %G %s %T@\n' | sort"#;
    host_sh(script, &[root.as_os_str()])
}

fn mounts() -> String {
    host(&["cat", "/proc/self/mountinfo"]).ok("mountinfo")
}

fn parse(json: &str) {
    let value: Result<serde_json::Value, _> = serde_json::from_str(json);
    assert!(value.is_ok_and(|value| value.is_object()), "not a JSON object: {json}");
}
