//! A place to test in: a directory, mounts that nobody else sees, and a shell.
//!
//! Each test runs in a process with a mount namespace of its own, so what it mounts goes with it, also when it
//! panics; loop devices and swap, which belong to the machine, go when the bench is dropped.

use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::Failed;
use nix::fcntl::Flock;

use crate::disk::Disk;
use crate::host::{self, Ran};
use crate::{namespace, swap_lock};

/// No script takes longer.
const SCRIPT_LIMIT: Duration = Duration::from_secs(600);
/// No test does, with its wait for the swap lock.
const LIMIT: Duration = Duration::from_secs(1800);

pub type Outcome = Result<(), Failed>;
pub type Test = fn(&Bench) -> Outcome;

/// Runs a test in a process and a mount namespace of its own.
pub fn in_namespace(name: &str) -> Outcome {
    let dir = tempfile::Builder::new().prefix("rootfs-shim-layers.").tempdir_in("/var/tmp")?;
    namespace::run(name, dir.path(), LIMIT).map_err(Failed::from)
}

pub struct Bench {
    dir: PathBuf,
    disks: RefCell<Vec<Disk>>,
    swap: RefCell<Option<Flock<File>>>,
}

impl Bench {
    /// In the scratch directory of this process.
    pub fn new(dir: PathBuf) -> Result<Self, Failed> {
        let bench = Self { dir, disks: RefCell::default(), swap: RefCell::default() };
        bench.sh("mkdir low t; mkdir low/etc; echo image > low/etc/name; truncate -s 256M w.img")?;
        Ok(bench)
    }

    fn run(&self, script: &str) -> Ran {
        let mut command = host::bounded(SCRIPT_LIMIT, &["sh", "-euc", script]);
        command.current_dir(&self.dir).env("SHIM", env!("CARGO_BIN_EXE_rootfs-shim")).env("D", &self.dir);
        host::run(&mut command)
    }

    /// Runs a script that must succeed; what it printed.
    pub fn sh(&self, script: &str) -> Result<String, Failed> {
        let ran = self.run(script);
        let text = String::from_utf8(ran.stdout)?;
        if ran.status == 0 {
            return Ok(text.trim_end().to_owned());
        }
        let errors = String::from_utf8(ran.stderr)?;
        Err(format!("`{script}` failed: {text}{errors}").into())
    }

    /// Runs a script that must fail with that status; what it complained.
    pub fn fails(&self, status: i32, script: &str) -> Result<String, Failed> {
        let ran = self.run(script);
        let errors = String::from_utf8(ran.stderr)?;
        match ran.status {
            code if code == status => Ok(errors.trim_end().to_owned()),
            code => Err(format!("`{script}` gave {code}, not {status}: {errors}").into()),
        }
    }

    /// A loop device over a new file of that size.
    pub fn device(&self, size: &str) -> Result<String, Failed> {
        let mut disks = self.disks.borrow_mut();
        let disk = Disk::new(&self.dir.join(format!("disk{}", disks.len())), size).attached();
        let device = disk.device().to_str().ok_or("a device's name is text")?.to_owned();
        disks.push(disk);
        Ok(device)
    }

    /// Swap belongs to the whole machine: one test at a time, of all that run on it.
    pub fn take_swap(&self) -> Outcome {
        *self.swap.borrow_mut() = Some(swap_lock::take()?);
        Ok(())
    }

    /// The mounts below this bench.
    pub fn mounts(&self) -> Result<String, Failed> {
        self.sh("grep -F \" $D\" /proc/self/mountinfo | cut -d' ' -f4- || true")
    }

    /// Loop devices over files of this bench that it did not make itself.
    pub fn stray_loops(&self) -> Result<Vec<String>, Failed> {
        let listed = self.sh("losetup -n -l -O NAME,BACK-FILE | grep -F \"$D\" || true")?;
        let own = self.disks.borrow();
        let is_own = |line: &&str| {
            own.iter()
                .any(|own| line.split(' ').next().is_some_and(|device| own.device() == Path::new(device)))
        };
        Ok(listed.lines().filter(|line| !is_own(line)).map(String::from).collect())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let quiet = "exec 2>/dev/null; for d; do swapoff $d; done
            for s in $(grep -F \"$D/\" /proc/swaps | cut -d' ' -f1); do swapoff $s; done
            for m in $(grep -F \" $D/\" /proc/self/mountinfo | cut -d' ' -f5 | tac); do umount -l $m; done";
        let disks = self.disks.borrow();
        let mut command = host::bounded(SCRIPT_LIMIT, &["sh", "-c", quiet, "sh"]);
        host::run(command.args(disks.iter().map(Disk::device)).env("D", &self.dir));
    }
}

/// Waits until `done`, at most ten seconds.
pub fn eventually(mut done: impl FnMut() -> Result<bool, Failed>) -> Outcome {
    for _ in 0..200 {
        if done()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("it did not happen in ten seconds".into())
}

pub fn equal<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(got: T, wanted: U) -> Outcome {
    if got == wanted { Ok(()) } else { Err(format!("got {got:?}, wanted {wanted:?}").into()) }
}

pub fn contains(text: &str, part: &str) -> Outcome {
    if text.contains(part) { Ok(()) } else { Err(format!("{part:?} is not in {text:?}").into()) }
}

/// Those of these programs that are not there, each with the package that brings it.
pub fn lacking(tools: &[(&str, &str)]) -> Vec<String> {
    let there = |tool: &str| -> bool {
        let places = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
        places.iter().any(|dir| dir.join(tool).exists())
    };
    let lacking = tools.iter().filter(|(tool, _)| !there(tool));
    lacking.map(|(tool, package)| format!("{tool} (apt-get install {package})")).collect()
}

/// What this machine lacks to run these tests.
pub fn missing() -> Vec<String> {
    if !nix::unistd::geteuid().is_root() {
        return vec!["root".into()];
    }
    let tools = [
        ("mkfs.ext4", "e2fsprogs"),
        ("mkfs.xfs", "xfsprogs"),
        ("mkfs.btrfs", "btrfs-progs"),
        ("losetup", "mount"),
        ("setfattr", "attr"),
        ("setfacl", "acl"),
        ("setcap", "libcap2-bin"),
        ("mksquashfs", "squashfs-tools"),
        ("mkfs.erofs", "erofs-utils"),
        ("strace", "strace"),
        ("busybox", "busybox-static"),
    ];
    let mut missing = lacking(&tools);
    if !std::fs::read_to_string("/proc/filesystems").is_ok_and(|text| text.contains("overlay")) {
        missing.push("overlayfs in the kernel (modprobe overlay)".into());
    }
    if !Path::new("/dev/loop-control").exists() {
        missing.push("loop devices (modprobe loop)".into());
    }
    missing
}
