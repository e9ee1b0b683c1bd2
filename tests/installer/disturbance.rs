//! An install that is disturbed: by a package manager at work, by a dpkg-divert that hangs and floods, by signals,
//! and by a limit on the size of files. It is finished or put back, in time, and says so.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Test, text, tool, tools, tree};
use crate::package_managers::Debian;

pub const TESTS: &[Test] = &[
    ("dpkg_at_work_is_waited_for_and_named", dpkg_at_work),
    ("a_packages_own_script_may_install", own_script),
    ("a_dpkg_divert_that_hangs_is_a_warning", divert_hangs),
    ("a_dpkg_divert_that_hangs_keeps_the_shims", divert_hangs_at_the_end),
    ("a_list_that_changed_meanwhile_is_kept", list_changed),
    ("a_signal_waits_for_the_end", signals),
    ("a_limit_on_file_sizes_is_an_error", file_size_limit),
];

const LIST: &str = "var/lib/dpkg/diversions";

fn wait_for(path: &Path) {
    let end = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < end, "{path:?} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// dpkg in the guest, in the middle of a package's script until `tmp/go` is there.
fn busy_dpkg(debian: &Debian) -> Child {
    let script = "#!/bin/sh\n: >/tmp/begun\nwhile ! [ -e /tmp/go ]; do sleep 0.05; done\n";
    let package = debian.package_with("waits", "1", "/opt", &[], Some(script));
    let mut dpkg = Command::new("chroot");
    dpkg.arg(&debian.bench.guest).args(["dpkg", "--force-unsafe-io", "--no-triggers", "-i", &package]);
    let dpkg = dpkg.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&debian.bench.guest.join("tmp/begun"));
    dpkg
}

fn dpkg_at_work() {
    let debian = Debian::new();
    let bench = &debian.bench;
    let list = fs::read(bench.guest.join(LIST)).ok();
    let mut dpkg = busy_dpkg(&debian);
    let said = bench.shim_fails("install", &[], 1);
    assert!(said.contains("a package manager is at work (process ") && said.contains("put back"), "{said}");
    assert!(said.contains("run it again when that has ended"), "{said}");
    assert!(!bench.is_shim("usr/sbin/swapon") && !bench.guest.join(".rootfs-shim").exists());
    assert_eq!(list, fs::read(bench.guest.join(LIST)).ok());
    // Who loses patience first gets an end as well.
    let mut impatient = Command::new(&bench.program);
    impatient.args(["install", "--chroot"]).arg(&bench.guest).stderr(Stdio::null());
    let (mut impatient, start) = (impatient.spawn().unwrap(), Instant::now());
    wait_for(&bench.guest.join(".rootfs-shim/bin/rootfs-shim"));
    std::thread::sleep(Duration::from_millis(300));
    let pid = i32::try_from(impatient.id()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(impatient.wait().unwrap().signal(), Some(15));
    assert!(start.elapsed() < Duration::from_secs(8), "it waits on");
    assert!(!bench.is_shim("usr/sbin/swapon") && !bench.guest.join(".rootfs-shim").exists());
    let go = bench.guest.join("tmp/go");
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        fs::write(go, "").unwrap();
    });
    bench.shim_ok("install", &[]);
    later.join().unwrap();
    assert!(dpkg.wait().unwrap().success(), "dpkg was disturbed");
    assert!(bench.is_shim("usr/sbin/swapon"));
    debian.inside_ok(&["dpkg", "--audit"]);
}

fn own_script() {
    let debian = Debian::new();
    let bench = &debian.bench;
    fs::copy(&bench.program, bench.guest.join("tmp/rootfs-shim")).unwrap();
    let script = "#!/bin/sh\nexec /tmp/rootfs-shim install\n";
    let package = debian.package_with("installs", "1", "/opt", &[], Some(script));
    debian.inside_ok(&["dpkg", "--force-unsafe-io", "--no-triggers", "-i", &package]);
    assert!(bench.is_shim("usr/sbin/swapon"));
    assert!(fs::read_to_string(bench.guest.join(LIST)).unwrap().contains("sbin/swapon.real\n:\n"));
}

/// In the place of dpkg-divert: talks without end, starts others, and notes its process group.
fn hang(debian: &Debian) {
    let path = debian.bench.guest.join("usr/bin/dpkg-divert");
    fs::remove_file(&path).unwrap();
    tool(&path, "#!/bin/sh\necho $$ >>/tmp/groups\nsleep 999 &\nexec yes it will not end >&2\n");
}

fn nobody_is_left(debian: &Debian) {
    for group in fs::read_to_string(debian.packages.join("groups")).unwrap().lines() {
        let group = nix::unistd::Pid::from_raw(group.parse().unwrap());
        let end = Instant::now() + Duration::from_secs(5);
        while nix::sys::signal::killpg(group, None).is_ok() {
            assert!(Instant::now() < end, "{group} is still there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn divert_hangs() {
    let debian = Debian::new();
    let bench = &debian.bench;
    fs::copy(&bench.program, bench.guest.join("tmp/rootfs-shim")).unwrap();
    let list = fs::read(bench.guest.join(LIST)).ok();
    hang(&debian);
    let said = debian.inside_ok(&["/tmp/rootfs-shim", "install"]);
    assert!(said.contains("did not end within 10 seconds, and was killed; so an upgrade"), "{said}");
    assert!(bench.is_shim("usr/sbin/swapon"), "{said}");
    nobody_is_left(&debian);
    assert_eq!(list, fs::read(bench.guest.join(LIST)).ok());
    // Nothing was diverted, so nothing has to be ended.
    debian.inside_ok(&["/tmp/rootfs-shim", "uninstall"]);
    assert!(!bench.guest.join(".rootfs-shim").exists());
}

fn divert_hangs_at_the_end() {
    let debian = Debian::new();
    let bench = &debian.bench;
    fs::copy(&bench.program, bench.guest.join("tmp/rootfs-shim")).unwrap();
    debian.inside_ok(&["/tmp/rootfs-shim", "install"]);
    let list = fs::read(bench.guest.join(LIST)).unwrap();
    hang(&debian);
    let output = debian.inside(&["/tmp/rootfs-shim", "uninstall"]);
    let said = text(&output);
    assert!(output.status.code() == Some(1) && said.contains("did not end within 10 seconds"), "{said}");
    assert!(said.contains("everything was put back") && bench.is_shim("usr/sbin/swapon"), "{said}");
    nobody_is_left(&debian);
    assert_eq!(list, fs::read(bench.guest.join(LIST)).unwrap());
}

/// strace, which stops the program for two seconds at its first rename, while somebody writes.
fn list_changed() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    fs::create_dir_all(bench.guest.join("var/lib/dpkg/info")).unwrap();
    let (list, manifest) = (bench.guest.join(LIST), bench.guest.join(".rootfs-shim/manifest.toml"));
    let theirs = "/bin/sh\n/bin/sh.distrib\ndash\n";
    let writer = {
        let list = list.clone();
        std::thread::spawn(move || {
            wait_for(&manifest);
            fs::write(list, theirs).unwrap();
        })
    };
    let output = straced(&bench, "linkat", "delay_exit=1000000:when=1");
    writer.join().unwrap();
    let said = text(&output);
    assert!(output.status.code() == Some(1) && said.contains("it was changed meanwhile"), "{said}");
    assert!(said.contains("put back") && !bench.is_shim("sbin/swapon"), "{said}");
    assert_eq!(fs::read_to_string(&list).unwrap(), theirs);
    bench.shim_ok("install", &[]);
    assert!(fs::read_to_string(&list).unwrap().starts_with(theirs));
}

fn straced(bench: &Bench, call: &str, what: &str) -> Output {
    let mut strace = Command::new("strace");
    strace.args(["-fo", "/dev/null", "-e", &format!("trace={call}"), "-e", &format!("inject={call}:{what}")]);
    strace.arg(&bench.program).args(["install", "--chroot"]).arg(&bench.guest).output().unwrap()
}

fn signals() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let before = tree(&bench.guest);
    let mut ended = 0;
    for signal in ["TERM", "INT", "HUP", "QUIT", "PIPE", "XFSZ"] {
        for (call, nth) in [("mkdirat", 1), ("linkat", 1), ("linkat", 4), ("renameat2", 2), ("fsync", 3)] {
            let output = straced(&bench, call, &format!("signal={signal}:when={nth}"));
            let said = text(&output);
            // strace ends as its child did.
            ended += usize::from(output.status.signal().is_some());
            assert!(bench.is_shim("sbin/swapon") && bench.is_shim("sbin/mkswap"), "{signal} {call}: {said}");
            assert!(bench.shim_ok("install", &[]).contains("nothing to do"), "{signal} {call}: {said}");
            bench.shim_ok("uninstall", &[]);
            assert_eq!(before, tree(&bench.guest), "{signal} {call}");
        }
    }
    assert!(ended >= 15, "only {ended} of 30 ended by the signal");
}

fn file_size_limit() {
    let bench = Bench::new();
    tools(&bench.guest, "sbin");
    let before = tree(&bench.guest);
    for (blocks, code) in [("0", 1), ("100", 1), ("unlimited", 0)] {
        let mut call = Command::new("sh");
        call.args(["-c", "ulimit -f $0 && exec \"$@\"", blocks]).arg(&bench.program);
        let output = call.args(["install", "--chroot"]).arg(&bench.guest).output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{blocks}: {said}");
        if code == 1 {
            assert!(said.contains("File too large") && said.contains("put back"), "{blocks}: {said}");
            assert_eq!(before, tree(&bench.guest), "{blocks}");
        }
    }
}
