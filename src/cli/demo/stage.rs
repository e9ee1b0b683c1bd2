//! The demo's stage: a throwaway overlay root, and how it is cleared.
//!
//! The disk image is unlinked as soon as it is mounted, and the mounts are in a namespace of our own, so even
//! SIGKILL leaves no file, mount or loop device; only an active swap area would outlive us, and an interrupt
//! never ends the process before that is off.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::{Attempt, Error, Kind, Result};
use crate::sys;
use crate::world;

/// SIGINT, SIGTERM and SIGHUP, blocked and looked at between two steps; the children get them as ever.
pub struct Interrupts(SignalFd);

impl Interrupts {
    /// From now on an interrupt waits for [`Interrupts::check`].
    pub fn watch() -> Result<Self> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
            signals.add(signal);
        }
        signals.thread_block().attempt("block signals for", "demo")?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self(SignalFd::with_flags(&signals, flags).attempt("watch signals for", "demo")?))
    }

    /// # Errors
    /// If an interrupt has come since the last look.
    pub fn check(&self) -> Result<()> {
        match self.0.read_signal() {
            Ok(Some(_)) => {
                Err(Error::new(Kind::State, "play the demo", "interrupted; everything was undone"))
            }
            _ => Ok(()),
        }
    }
}

/// What a demo could leave behind on a machine.
pub struct Traces {
    swaps: Vec<PathBuf>,
    loops: Vec<PathBuf>,
    mounts: usize,
}

impl Traces {
    /// What is there now.
    pub fn of_this_machine() -> Self {
        let loops = fs::read_dir("/sys/block").into_iter().flatten().flatten().map(|entry| entry.path());
        Self {
            swaps: world::active_swaps().into_iter().map(|swap| swap.path).collect(),
            loops: loops.filter(|path| path.join("loop/backing_file").exists()).collect(),
            mounts: world::all_mounts().iter().count(),
        }
    }

    /// What is there in `after` that was not there before.
    pub fn compare(&self, after: &Self) -> Vec<String> {
        let fresh = |before: &[PathBuf], after: &[PathBuf]| -> Vec<String> {
            after.iter().filter(|path| !before.contains(path)).map(crate::escape::path).collect()
        };
        let mut left = fresh(&self.swaps, &after.swaps);
        left.extend(fresh(&self.loops, &after.loops).into_iter().filter(|name| is_ours(name)));
        if after.mounts > self.mounts {
            left.push(format!("{} mounts", after.mounts - self.mounts));
        }
        left
    }
}

/// Other programs use loop devices at the same time; ours is over an image below our own directory.
fn is_ours(block: &str) -> bool {
    let ours = format!("{}/", dir_name());
    let file = Path::new(block).join("loop/backing_file");
    fs::read(file).is_ok_and(|name| name.windows(ours.len()).any(|at| at == ours.as_bytes()))
}

fn dir_name() -> String {
    format!("rootfs-shim-demo.{}", std::process::id())
}

/// A throwaway overlay root below a directory of its own.
pub struct Stage {
    dir: PathBuf,
    mounted: Vec<PathBuf>,
}

impl Stage {
    /// Makes the directory.
    pub fn new(scratch: &Path) -> Result<Self> {
        let dir = scratch.join(dir_name());
        fs::DirBuilder::new().mode(0o700).create(&dir).attempt("create", &dir)?;
        Ok(Self { dir, mounted: Vec::new() })
    }

    /// A path on the stage.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Builds the overlay root: an ext4 image as the writable layer, this machine's `/` as the lower one.
    pub fn build(&mut self) -> Result<()> {
        unshare(CloneFlags::CLONE_NEWNS).attempt("unshare the mounts of", "/")?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
            .attempt("make the mounts private of", "/")?;
        let [image, disk, guest] = ["disk.img", "disk", "guest"].map(|name| self.path(name));
        for dir in [&disk, &guest] {
            fs::create_dir(dir).attempt("create", dir)?;
        }
        let file = fs::File::create_new(&image).attempt("create", &image)?;
        file.set_len(256 << 20).attempt("resize", &image)?;
        run_to_end(Command::new("mkfs.ext4").arg("-q").arg(&image))?;
        self.mounted.push(disk.clone());
        let mounted = run_to_end(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&disk));
        fs::remove_file(&image).attempt("remove", &image)?;
        mounted?;
        for dir in ["upper", "work"] {
            fs::create_dir(disk.join(dir)).attempt("create", disk.join(dir))?;
        }
        self.mount_overlay(&disk, &guest)
    }

    fn mount_overlay(&mut self, disk: &Path, guest: &Path) -> Result<()> {
        let mut options = b"lowerdir=/,upperdir=".to_vec();
        options.extend_from_slice(disk.join("upper").as_os_str().as_bytes());
        options.extend_from_slice(b",workdir=");
        options.extend_from_slice(disk.join("work").as_os_str().as_bytes());
        let none = MsFlags::empty();
        mount(Some("overlay"), guest, Some("overlay"), none, Some(options.as_slice()))
            .attempt("mount the overlay", guest)?;
        self.mounted.push(guest.to_owned());
        for (name, fstype) in [("proc", "proc"), ("sys", "sysfs")] {
            let at = guest.join(name);
            mount(Some(fstype), &at, Some(fstype), none, None::<&str>).attempt("mount", &at)?;
            self.mounted.push(at);
        }
        let dev = guest.join("dev");
        mount(Some("/dev"), &dev, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
            .attempt("bind", &dev)?;
        self.mounted.push(dev);
        let console = guest.join("console");
        fs::File::create_new(&console).map(drop).attempt("create", &console)
    }

    /// Runs a script with `sh` in the guest; what it printed, and its exit status.
    pub fn run(&self, script: &str) -> Result<(String, i32)> {
        let mut command = Command::new("chroot");
        command.arg(self.path("guest")).args(["/bin/sh", "-c"]).arg(format!("exec 2>&1\ncd /\n{script}"));
        command
            .env("LC_ALL", "C")
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let output = command.stdin(Stdio::null()).output().attempt("run a script in", self.path("guest"))?;
        let status = output.status.code().unwrap_or(255);
        Ok((String::from_utf8_lossy(&output.stdout).into_owned(), status))
    }

    /// `rootfs-shim install` into the guest, by the program that we are.
    pub fn install(&self, config: &Path) -> Result<String> {
        run_to_end(self.own("install").arg("--config").arg(config))
    }

    /// `rootfs-shim uninstall`.
    pub fn uninstall(&self) -> Result<String> {
        run_to_end(&mut self.own("uninstall"))
    }

    fn own(&self, subcommand: &str) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.arg(subcommand).arg("--chroot").arg(self.path("guest"));
        command
    }

    /// Ends swap, mounts and files, also when only half of them are there.
    ///
    /// # Errors
    /// The first thing that could not be cleared; the others are cleared all the same.
    pub fn clear(&mut self) -> Result<()> {
        let mut first: Result<()> = Ok(());
        let mut note = |done: Result<()>| {
            if first.is_ok() {
                first = done;
            }
        };
        note(self.swap_off());
        while let Some(at) = self.mounted.pop() {
            let flags = MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
            match umount2(&at, flags) {
                // The loop mount is noted before it is tried, so that an interrupted mount(8) is cleared too.
                Ok(()) | Err(nix::errno::Errno::EINVAL) => {}
                Err(errno) => note(Err(Error::system("unmount", &at, errno))),
            }
        }
        wait_for_loop();
        note(fs::remove_dir_all(&self.dir).attempt("remove", &self.dir));
        first
    }

    /// The swapfile by its path on the writable layer, which works whatever became of the shims.
    fn swap_off(&self) -> Result<()> {
        let file = self.path("disk/upper/swapfile");
        if !file.exists() {
            return Ok(());
        }
        let path = CString::new(file.as_os_str().as_bytes())
            .map_err(|_| Error::system("swapoff", &file, nix::errno::Errno::EINVAL))?;
        match sys::swapoff(&path) {
            // EINVAL: it is not active.
            Ok(()) | Err(nix::errno::Errno::EINVAL) => Ok(()),
            Err(errno) => Err(Error::system("swapoff", &file, errno)),
        }
    }
}

/// A lazily unmounted loop device goes away when the kernel gets round to it: at once, or nearly.
fn wait_for_loop() {
    for _ in 0..100 {
        let ours = Traces::of_this_machine().loops.iter().any(|path| is_ours(&crate::escape::path(path)));
        if !ours {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Runs a program and gives what it printed; what it wrote to stderr becomes the error.
fn run_to_end(command: &mut Command) -> Result<String> {
    let name = PathBuf::from(command.get_program());
    let output = command.stdin(Stdio::null()).output().attempt("run", &name)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(Error::new(Kind::State, "run", if words.is_empty() { output.status.to_string() } else { words })
        .at(name))
}
