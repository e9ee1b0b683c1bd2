//! SIGKILL and errors at every call that changes something, for install, upgrade and uninstall.
//!
//! strace does the injecting. After each kill the names answer, and the next run finishes the job; after
//! each error everything is as it was.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::bench::{Bench, Test, tools, tree};

pub const TESTS: &[Test] = &[
    ("killed_at_each_call_of_install", || killed("install")),
    ("killed_at_each_call_of_upgrade", || killed("upgrade")),
    ("killed_at_each_call_of_uninstall", || killed("uninstall")),
    ("an_error_at_each_call_of_install", || failing("install")),
    ("an_error_at_each_call_of_upgrade", || failing("upgrade")),
    ("an_error_at_each_call_of_uninstall", || failing("uninstall")),
];

/// The calls that change a file system or a mount.
const CALLS: [&str; 13] = [
    "mkdirat",
    "linkat",
    "renameat2",
    "unlinkat",
    "fsync",
    "write",
    "fchmod",
    "utimensat",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "umount2",
    "flock",
];

/// dpkg's list, which every crash has to leave whole and every uninstall as it was.
const LIST: &str = "var/lib/dpkg/diversions";
const DIVERSIONS: &str = "/bin/sh\n/bin/sh.distrib\ndash\n";

struct Scene {
    bench: Bench,
    command: &'static str,
}

impl Scene {
    fn new(what: &str) -> Self {
        let mut bench = Bench::new();
        let lower = bench.top.join("lower");
        tools(&lower, "usr/sbin");
        fs::create_dir_all(lower.join("var/lib/dpkg/info")).unwrap();
        fs::write(lower.join(LIST), DIVERSIONS).unwrap();
        bench.overlay(&lower);
        if what != "install" {
            bench.shim_ok("install", &[]);
        }
        if what == "upgrade" {
            let other = bench.top.join("rootfs-shim-2");
            fs::copy(&bench.program, &other).unwrap();
            fs::OpenOptions::new().append(true).open(&other).unwrap().write_all(b"2").unwrap();
            bench.program = other;
        }
        Self { bench, command: if what == "uninstall" { "uninstall" } else { "install" } }
    }

    /// Runs the command with that done to its nth such call; whether there was one.
    fn inject(&self, call: &str, what: &str, nth: usize) -> Option<i32> {
        let log = self.bench.top.join("strace.log");
        let status = Command::new("strace")
            .args(["-f", "-o"])
            .arg(&log)
            .args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:{what}:when={nth}")])
            .arg(&self.bench.program)
            .args([self.command, "--chroot"])
            .arg(&self.bench.guest)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let log = fs::read_to_string(log).unwrap();
        let happened = log.contains("INJECTED") || log.contains("killed by SIGKILL");
        happened.then(|| status.code().unwrap_or(137))
    }

    /// Every name has an answer that ends in the real tool.
    fn answers(&self, when: &str) {
        for name in ["swapon", "swapoff", "mkswap"] {
            let path = self.bench.guest.join("usr/sbin").join(name);
            let content = fs::read(&path).unwrap_or_else(|error| panic!("{when}: {name}: {error}"));
            if !content.starts_with(b"#!/bin/sh\necho the real") {
                let real = fs::read(path.with_extension("real")).unwrap_or_default();
                assert!(
                    real.starts_with(b"#!/bin/sh\necho the real"),
                    "{when}: {name} is a shim without .real"
                );
                assert!(content.len() > 100_000, "{when}: {name} is neither tool nor shim");
            }
        }
    }

    fn list(&self) -> String {
        let list = fs::read_to_string(self.bench.guest.join(LIST)).unwrap();
        assert!(list.starts_with(DIVERSIONS) && list.lines().count().is_multiple_of(3), "{list}");
        list
    }

    fn names(&self) -> BTreeSet<String> {
        let keep = |line: String| line.split(" ino ").next().unwrap_or_default().to_owned();
        tree(&self.bench.guest).into_iter().map(keep).filter(|path| !path.contains("/upper/")).collect()
    }

    fn end(self) {
        let top = self.bench.top.to_str().unwrap().to_owned();
        crate::bench::run("umount", &["-l", &top]);
    }
}

/// Every call of every kind, one scene each; `body` says whether it was made at all.
fn each_call(least: usize, mut body: impl FnMut(&str, usize) -> bool) {
    let mut count = 0;
    for call in CALLS {
        count += (1..).take_while(|nth| body(call, *nth)).count();
    }
    assert!(count >= least, "only {count} calls were tried");
}

fn killed(what: &str) {
    let fresh = Scene::new("install");
    let before = fresh.names();
    fresh.end();
    each_call(12, |call, nth| {
        let scene = Scene::new(what);
        let Some(status) = scene.inject(call, "signal=KILL", nth) else {
            scene.end();
            return false;
        };
        let when = format!("{what} killed at {call} {nth} (status {status})");
        scene.answers(&when);
        scene.list();
        if nth % 2 == 0 || scene.command == "uninstall" {
            scene.bench.shim_ok(scene.command, &[]);
            scene.answers(&when);
        }
        if nth % 2 == 0 && scene.command == "install" {
            let again = scene.bench.shim_ok("install", &[]);
            assert!(again.contains("nothing to do"), "{when}: {again}");
            assert!(scene.bench.is_shim("usr/sbin/swapon"), "{when}");
            assert!(scene.list().contains("/usr/sbin/swapon.real"), "{when}");
        }
        scene.bench.shim_ok("uninstall", &[]);
        assert_eq!(scene.names(), before, "{when}");
        assert_eq!(scene.list(), DIVERSIONS, "{when}");
        scene.end();
        true
    });
}

fn failing(what: &str) {
    let errors = ["ENOSPC", "EIO", "EROFS", "EDQUOT", "EPERM", "EMFILE"];
    each_call(12, |call, nth| {
        let scene = Scene::new(what);
        let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
        let before = (scene.names(), scene.list(), mounts());
        let error = errors[nth % errors.len()];
        let Some(status) = scene.inject(call, &format!("error={error}"), nth) else {
            scene.end();
            return false;
        };
        let when = format!("{what} with {error} at {call} {nth} (status {status})");
        scene.answers(&when);
        let after = (scene.names(), scene.list(), mounts());
        // An unlink that fails is either the last work of a job that is done, or leaves a temporary name.
        if status != 0 && call != "unlinkat" {
            assert_eq!(before, after, "{when}");
        }
        scene.bench.shim_ok(scene.command, &[]);
        scene.answers(&when);
        assert_eq!(scene.bench.is_shim("usr/sbin/swapon"), scene.command == "install", "{when}");
        scene.end();
        true
    });
}
