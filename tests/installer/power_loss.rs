//! The power fails at a system call of install, upgrade or uninstall: what is on the disk then has names that answer,
//! and the next run finishes the job.
//!
//! A kill stands for the moment, and a copy of the device that nobody has synced for the disk: ext4 writes its journal
//! only when asked (`commit=600`), and the data of a new file later still.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::{Bench, Test, run, text, tools};
use crate::disk::{Disk, Fs};
use crate::ownership::{NAMES, str};

pub const TESTS: &[Test] = &[
    ("a_power_cut_in_an_install", || cut("install")),
    ("a_power_cut_in_an_upgrade", || cut("upgrade")),
    ("a_power_cut_in_an_uninstall", || cut("uninstall")),
];

const CALLS: &str = "fsync,renameat,renameat2,linkat,unlinkat,fchmod,exit_group";
/// One in so many calls is tried.
const STRIDE: usize = 3;
const REAL: &[u8] = b"#!/bin/sh\necho the real";

fn mounted(disk: Disk, point: &Path) -> (Disk, PathBuf) {
    (disk.mounted(point, "commit=600"), point.join("guest"))
}

/// Every name is the real tool or a whole shim that has it behind it.
fn answers(guest: &Path, shims: &[Vec<u8>], when: &str) {
    for name in NAMES {
        let path = guest.join("sbin").join(name);
        let content = fs::read(&path).unwrap_or_else(|error| panic!("{when}: {name}: {error}"));
        if !content.starts_with(REAL) {
            assert!(shims.contains(&content), "{when}: {name} is {} bytes of neither", content.len());
            let real = fs::read(path.with_extension("real")).unwrap_or_default();
            assert!(real.starts_with(REAL), "{when}: {name} is a shim without .real");
        }
    }
}

fn cut(what: &str) {
    let bench = Bench::new();
    let newer = bench.top.join("newer");
    fs::copy(&bench.program, &newer).unwrap();
    fs::OpenOptions::new().append(true).open(&newer).unwrap().write_all(b"2").unwrap();
    let shims: Vec<_> = [&bench.program, &newer].map(|path| fs::read(path).unwrap()).into();
    let program = if what == "upgrade" { &newer } else { &bench.program };
    let command = if what == "uninstall" { what } else { "install" };
    let [whole, disk, copy, point, other] =
        ["whole", "disk", "copy", "point", "other"].map(|name| bench.top.join(name));
    let (mut mount, guest) = mounted(Disk::new(&whole, "48M").formatted(Fs::Ext4), &point);
    tools(&guest, "sbin");
    if what != "install" {
        run(str(&bench.program), &["install", "--chroot", str(&guest)]);
    }
    mount.unmount();
    let mut cases = Vec::new();
    let mut number = 0;
    loop {
        fs::copy(&whole, &disk).unwrap();
        let (mut mount, guest) = mounted(Disk::of(&disk), &point);
        let log = bench.top.join("log");
        let mut strace = Command::new("strace");
        strace.args(["-o", str(&log), "-e", &format!("trace={CALLS}")]);
        if let Some((call, nth)) = cases.get(number) {
            strace.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
        }
        let output = strace.arg(program).args([command, "--chroot"]).arg(&guest).output().unwrap();
        fs::copy(&disk, &copy).unwrap();
        mount.unmount();
        let when = format!("{what}, {:?}: {}", cases.get(number), text(&output));
        let (mut mount, guest) = mounted(Disk::of(&copy), &other);
        answers(&guest, &shims, &when);
        run(str(program), &[command, "--chroot", str(&guest)]);
        answers(&guest, &shims, &when);
        let is_installed = guest.join("sbin/swapon.real").exists();
        let has_home = guest.join(".rootfs-shim").exists();
        assert_eq!((is_installed, has_home), (what != "uninstall", what != "uninstall"), "{when}");
        mount.unmount();
        if cases.is_empty() {
            assert!(output.status.success(), "{when}");
            cases = calls(&fs::read_to_string(&log).unwrap());
        } else {
            assert_eq!(output.status.code(), None, "{when}");
            number += 1;
        }
        if number == cases.len() {
            break;
        }
    }
    assert!(number > 8, "only {number} calls were tried");
}

/// Of the calls of a run, those that are tried: each with which one of its kind it is.
fn calls(log: &str) -> Vec<(String, usize)> {
    let names: Vec<_> = log.lines().filter_map(|line| Some(line.split_once('(')?.0)).collect();
    let nth = |at: usize| names[..=at].iter().filter(|name| **name == names[at]).count();
    (0..names.len()).step_by(STRIDE).map(|at| (names[at].to_owned(), nth(at))).collect()
}
