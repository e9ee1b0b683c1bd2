//! What is not to be seen at the moment is not forgotten: names in merged directories, names that are gone, hidden or
//! unreadable, and what somebody put under the mount.

use std::fs;
use std::process::Command;

use crate::bench::{Bench, Test, as_the_last_release, link, run, text, tool, tools, tree};
use crate::ownership::{NAMES, again, problems, status, str};

pub const TESTS: &[Test] = &[
    ("directories_merged_since_the_install_are_the_same_names", merged_since),
    ("a_name_that_is_gone_stays_in_the_record", gone),
    ("a_name_below_a_mount_stays_in_the_record", mounted_over),
    ("a_tool_that_may_not_be_read_stays_in_the_record", unreadable),
    ("what_lies_below_the_mount_of_upper_is_left_and_named", below_upper),
];

/// As usrmerge does it: what was in `sbin` moves to `usr/sbin`, which may have had the same.
fn merged_since() {
    for both in [false, true] {
        let bench = Bench::new();
        tools(&bench.guest, "sbin");
        fs::create_dir_all(bench.guest.join("var/lib/dpkg/info")).unwrap();
        if both {
            tools(&bench.guest, "usr/sbin");
        } else {
            fs::create_dir_all(bench.guest.join("usr/sbin")).unwrap();
        }
        bench.shim_ok("install", &[]);
        for name in fs::read_dir(bench.guest.join("sbin")).unwrap() {
            let old = name.unwrap().path();
            fs::rename(&old, bench.guest.join("usr/sbin").join(old.file_name().unwrap())).unwrap();
            // Both may be links of one file, which is no rename.
            let _ = fs::remove_file(old);
        }
        fs::remove_dir(bench.guest.join("sbin")).unwrap();
        link("usr/sbin", &bench.guest.join("sbin"));
        let said = status(&bench);
        for command in said["commands"].as_array().unwrap() {
            assert_eq!(command["state"], "shim", "{said}");
        }
        if both {
            bench.shim_ok("install", &[]);
            assert!(bench.shim_ok("install", &[]).contains("nothing to do"));
        } else {
            assert_eq!(said["healthy"], true, "{said}");
        }
        let said = bench.shim_ok("uninstall", &[]);
        for name in NAMES {
            let content = fs::read_to_string(bench.guest.join("usr/sbin").join(name)).unwrap();
            assert!(content.contains(&format!("the real {name}")), "{said}");
            assert!(!bench.guest.join(format!("usr/sbin/{name}.real")).exists(), "{said}");
        }
        assert!(!bench.guest.join(".rootfs-shim").exists(), "{said}");
        again(bench);
    }
}

/// A package manager without diversions takes the name away and puts it there again, and install is run in between.
fn gone() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    fs::create_dir_all(bench.guest.join("var/lib/dpkg/info")).unwrap();
    let list = bench.guest.join("var/lib/dpkg/diversions");
    bench.shim_ok("install", &[]);
    fs::remove_file(bench.guest.join("sbin/swapon")).unwrap();
    let said = bench.shim_ok("install", &[]);
    assert!(said.contains("sbin/swapon is gone and sbin/swapon.real is left"), "{said}");
    assert!(problems(&bench).contains("sbin/swapon is gone"));
    // What dpkg unpacks now has to arrive at the name, where nothing answers.
    let diverted = fs::read_to_string(&list).unwrap();
    assert!(!diverted.contains("swapon") && diverted.contains("/sbin/swapoff"), "{diverted}");
    assert!(bench.shim_ok("install", &[]).contains("nothing to do"));
    tool(&bench.guest.join("sbin/swapon"), "#!/bin/sh\necho the new swapon\n");
    bench.shim_ok("install", &[]);
    assert!(bench.is_shim("sbin/swapon"));
    assert!(fs::read_to_string(bench.guest.join("sbin/swapon.real")).unwrap().contains("the new swapon"));
    assert_eq!(status(&bench)["healthy"], true);
    bench.shim_ok("uninstall", &[]);
    assert!(fs::read_to_string(bench.guest.join("sbin/swapon")).unwrap().contains("the new swapon"));
    assert!(!bench.guest.join("sbin/swapon.real").exists() && !list.exists());
}

fn mounted_over() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let before = tree(&bench.guest);
    bench.shim_ok("install", &[]);
    let place = bench.guest.join("sbin");
    run("mount", &["-t", "tmpfs", "over", str(&place)]);
    let said = problems(&bench);
    assert!(said.contains("nobody can tell whether") && said.contains("another mount"), "{said}");
    assert!(bench.shim_ok("install", &[]).contains("nothing to do"));
    let said = bench.shim_ok("uninstall", &[]);
    assert!(
        said.contains("sbin/swapon: it is in another mount than the root, so the shim is left"),
        "{said}"
    );
    run("umount", &[str(&place)]);
    assert_eq!(status(&bench)["healthy"], true);
    // And nothing is put into a mount on our own directory.
    let (bin, canary) = (bench.guest.join(".rootfs-shim/bin"), bench.top.join("host"));
    let canaries = tree(&canary);
    run("mount", &["--bind", str(&canary), str(&bin)]);
    for command in ["install", "uninstall"] {
        let said = bench.shim_fails(command, &[], 1);
        assert!(
            said.contains("it is in another mount than the root; unmount what is mounted there"),
            "{said}"
        );
    }
    run("umount", &[str(&bin)]);
    assert_eq!(canaries, tree(&canary));
    bench.shim_ok("uninstall", &[]);
    assert_eq!(before, tree(&bench.guest));
}

/// Root without the capability to read everything, as a service manager may run it.
fn unreadable() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    run("chmod", &["0111", str(&bench.guest.join("sbin/mkswap"))]);
    let before = tree(&bench.guest);
    bench.shim_ok("install", &[]);
    let installed = tree(&bench.guest);
    let poor = |command: &str| {
        let mut call = Command::new("setpriv");
        call.args(["--bounding-set=-dac_override,-dac_read_search"]);
        call.args(["--inh-caps=-dac_override,-dac_read_search"]).arg(&bench.program);
        let output = call.args([command, "--chroot"]).arg(&bench.guest).output().unwrap();
        (output.status.code(), text(&output))
    };
    let (code, said) = poor("install");
    assert!(code == Some(0) && said.contains("mkswap.real: Permission denied"), "{said}");
    assert!(!said.contains("no mkswap"), "{said}");
    assert_eq!(installed, tree(&bench.guest), "{said}");
    let (code, said) = poor("uninstall");
    assert!(
        code == Some(0) && said.contains("sbin/mkswap: it cannot be looked at, so the shim is left"),
        "{said}"
    );
    assert!(bench.is_shim("sbin/mkswap") && !bench.is_shim("sbin/swapon"), "{said}");
    bench.shim_ok("uninstall", &[]);
    assert_eq!(before, tree(&bench.guest));
}

fn below_upper() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    bench.shim_ok("install", &[]);
    as_the_last_release(&bench.guest, &bench.top);
    run("umount", &[bench.guest.join(".rootfs-shim/upper").to_str().unwrap()]);
    let file = bench.guest.join(".rootfs-shim/upper/bin");
    fs::write(&file, "somebody's").unwrap();
    let said = bench.shim_ok("uninstall", &[]);
    assert!(said.contains(".rootfs-shim/upper/bin is not what install wrote: left"), "{said}");
    assert!(bench.shim_ok("uninstall", &[]).contains("nothing to do"));
    assert!(!problems(&bench).contains("did not end"), "{}", problems(&bench));
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's");
    // A few are named, and the rest is counted.
    bench.shim_ok("install", &[]);
    (0..99).for_each(|n| fs::write(file.with_extension(n.to_string()), "").unwrap());
    let said = bench.shim_ok("uninstall", &[]);
    assert_eq!(said.matches("is not what install wrote: left").count(), 16, "{said}");
    assert!(said.contains("84 more in .rootfs-shim are left as well"), "{said}");
}
