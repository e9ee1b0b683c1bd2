//! What is mounted inside an image is not the image: it is neither read nor written, whatever links to it. And
//! where the kernel does not tell one mount from another, nobody guesses.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Test, link, run, text, tools, tree};
use crate::image_table::{Watch, limited};

pub const TESTS: &[Test] = &[
    ("dpkg_in_another_mount_is_not_written", dpkg_elsewhere),
    ("a_tool_in_another_mount_is_not_read", tool_elsewhere),
    ("a_mount_over_our_directory_is_refused", home_elsewhere),
    ("mounts_are_told_apart_without_statx", without_statx),
    ("a_mount_that_nobody_tells_is_refused", without_statx_and_proc),
    ("a_hundred_thousand_lists_are_one_file", many_lists),
];

const LIST: &str = "var/lib/dpkg/diversions";

fn bind(from: &Path, onto: &Path) {
    run("mount", &["--bind", from.to_str().unwrap(), onto.to_str().unwrap()]);
}

/// dpkg's directory, a directory in it, or a file in it is the host's.
fn dpkg_elsewhere() {
    for what in ["", "info", "diversions", "lock"] {
        let bench = Bench::new();
        tools(&bench.guest, "sbin");
        let host = bench.top.join("host/dpkg");
        let dpkg = bench.guest.join("var/lib/dpkg");
        fs::create_dir_all(dpkg.join("info")).unwrap();
        for name in ["diversions", "lock"] {
            fs::write(dpkg.join(name), "").unwrap();
        }
        let from = if what == "lock" { host.join("diversions") } else { host.join(what) };
        let watch = Watch::new(&host);
        bind(&from, &dpkg.join(what));
        let said = bench.shim_ok("install", &[]);
        assert!(said.contains("var/lib/dpkg") && said.contains("so dpkg is not told"), "{what}: {said}");
        assert!(bench.is_shim("sbin/swapon"), "{what}");
        let files: Vec<_> = watch.events().into_iter().filter(|event| !event.contains("IN_ISDIR")).collect();
        assert!(files.is_empty(), "{what}: {files:?}");
        assert!(fs::read(bench.guest.join(LIST)).unwrap().is_empty(), "{what}");
        bench.host_is_untouched();
        bench.shim_ok("uninstall", &[]);
        bench.host_is_untouched();
        run("umount", &["-l", bench.top.to_str().unwrap()]);
    }
}

fn tool_elsewhere() {
    let bench = Bench::new();
    let host = bench.top.join("host");
    tools(&bench.guest, "sbin");
    tools(&bench.guest, "usr/sbin");
    for name in ["proc", "mnt"] {
        fs::create_dir(bench.guest.join(name)).unwrap();
    }
    run("mount", &["-t", "proc", "proc", bench.guest.join("proc").to_str().unwrap()]);
    let watch = Watch::new(&host);
    bind(&host, &bench.guest.join("mnt"));
    // A file that can be run is kept under `.real`, one that cannot (and would block) is none of ours.
    for (name, target) in [("swapon", "/mnt/sbin/swapon"), ("swapoff", "../proc/kmsg")] {
        fs::remove_file(bench.guest.join("sbin").join(name)).unwrap();
        link(target, &bench.guest.join("sbin").join(name));
    }
    bind(&host.join("sbin/mkswap"), &bench.guest.join("sbin/mkswap"));
    let said = text(&limited(&bench, &bench.guest, "install"));
    assert!(said.contains("sbin/mkswap is left as it is: it is in another mount than the root"), "{said}");
    assert!(
        said.contains("sbin/swapoff is left as it is: it is a symbolic link to a file that is"),
        "{said}"
    );
    assert!(bench.is_shim("sbin/swapon") && bench.is_shim("usr/sbin/mkswap"), "{said}");
    limited(&bench, &bench.guest, "status");
    bench.shim_ok("uninstall", &[]);
    assert!(watch.events().is_empty(), "the host was opened");
    bench.host_is_untouched();
}

fn home_elsewhere() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let (home, other) = (bench.guest.join(".rootfs-shim"), bench.top.join("other"));
    for path in [&home, &other] {
        fs::create_dir(path).unwrap();
        run("chmod", &["700", path.to_str().unwrap()]);
    }
    bind(&other, &home);
    let before = tree(&bench.guest);
    for command in ["install", "uninstall", "status"] {
        let said = bench.shim_fails(command, &[], 1);
        assert!(said.contains("another mount than the root; unmount"), "{said}");
    }
    assert_eq!(before, tree(&bench.guest));
}

/// The program with a system call that the kernel does not know, as before Linux 5.8.
fn without(bench: &Bench, call: &str, command: &str) -> Output {
    let log = bench.top.join("strace.log");
    let mut strace = Command::new("strace");
    strace.arg("-fo").arg(&log).args(["-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:error=ENOSYS")]);
    strace.arg(&bench.program).args([command, "--chroot"]).arg(&bench.guest);
    let output = strace.output().unwrap();
    assert!(fs::read_to_string(log).unwrap().contains("INJECTED"), "nothing was injected");
    output
}

fn without_statx() {
    let bench = Bench::new();
    let lower = bench.top.join("lower");
    tools(&lower, "sbin");
    fs::create_dir_all(lower.join("usr/bin")).unwrap();
    bench.overlay(&lower);
    // A place in another mount, into which nothing can be linked.
    tools(&bench.top.join("volume"), "bin");
    bind(&bench.top.join("volume/bin"), &bench.guest.join("usr/bin"));
    let before = tree(&bench.top.join("volume"));
    let output = without(&bench, "statx", "install");
    let said = text(&output);
    assert!(output.status.success() && bench.is_shim("sbin/swapon"), "{said}");
    assert!(said.contains("usr/bin is in another mount than the root"), "{said}");
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts().contains("/.rootfs-shim"), "{said}");
    let said = text(&without(&bench, "statx", "install"));
    assert!(said.contains("nothing to do"), "{said}");
    let output = without(&bench, "statx", "uninstall");
    assert!(output.status.success() && !mounts().contains("/.rootfs-shim"), "{}", text(&output));
    assert_eq!(before, tree(&bench.top.join("volume")));
    bench.host_is_untouched();
}

fn without_statx_and_proc() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let before = tree(&bench.guest);
    run("umount", &["-l", "/proc"]);
    let strace = ["-fo", "/dev/null", "-e", "trace=statx", "-e", "inject=statx:error=ENOSYS"];
    let mut call = Command::new("strace");
    call.args(strace).arg(&bench.program).args(["status", "--chroot"]).arg(&bench.guest);
    let said = text(&call.output().unwrap());
    assert!(said.contains("tell the mount of") && said.contains("mount /proc"), "{said}");
    assert_eq!(before, tree(&bench.guest));
}

fn many_lists() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let info = bench.guest.join("var/lib/dpkg/info");
    fs::create_dir_all(&info).unwrap();
    let first = info.join("0.list");
    fs::write(&first, "/sbin/swapon\n".repeat((4 << 20) / 13)).unwrap();
    let more = |range: std::ops::Range<u32>| {
        range.for_each(|n| fs::hard_link(&first, info.join(format!("{n}.list"))).unwrap());
    };
    more(1..100_000);
    let start = Instant::now();
    let output = limited(&bench, &bench.guest, "install");
    assert!(output.status.success() && start.elapsed() < Duration::from_secs(8), "{}", text(&output));
    let list = fs::read_to_string(bench.guest.join(LIST)).unwrap();
    assert!(list.contains("/sbin/swapon\n") && list.lines().count() == 9, "{list}");
    more(100_000..132_000);
    let said = text(&limited(&bench, &bench.guest, "status"));
    assert!(said.contains("more than 131072 names") && said.contains("dpkg is not told"), "{said}");
    fs::rename(&info, bench.top.join("old")).unwrap();
    fs::create_dir(&info).unwrap();
    for n in 0..40 {
        fs::File::create(info.join(format!("{n}.list"))).unwrap().set_len(4 << 20).unwrap();
    }
    let said = text(&limited(&bench, &bench.guest, "status"));
    assert!(said.contains("more than 134217728 bytes") && said.contains("dpkg is not told"), "{said}");
}
