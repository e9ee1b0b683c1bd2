//! The demo's guest: a throwaway overlay root, and how it is taken away again.
//!
//! The trick: nothing has to be remembered. The guest lies below one directory with a name that nobody can
//! have guessed, in a mount namespace that the demo's processes share; so each of them can clear it, half
//! built or whole, from what the mount table says, and can do so twice.

use std::ffi::CString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::error::{Attempt, Error, Kind, Result};
use crate::kernel::mounts;
use crate::kernel::namespace::unshare_mounts;
use crate::kernel::program;
use crate::sys;
use crate::text;

/// How long each program may take: the slowest of them makes a filesystem.
const LIMIT: Duration = Duration::from_secs(600);
/// Everything that is ever made directly in the guest's directory.
const FILES: [&str; 2] = ["disk.img", "config.toml"];
const DIRECTORIES: [&str; 2] = ["guest", "disk"];

/// A throwaway overlay root below a directory of its own.
pub(crate) struct DemoGuest {
    dir: PathBuf,
}

impl DemoGuest {
    /// Finds the place and unshares the mounts of this process; nothing is made yet.
    ///
    /// # Errors
    /// If `scratch` is no directory, or there can be no mount namespace.
    pub(crate) fn find(scratch: &Path) -> Result<Self> {
        // The mount table has absolute paths without symlinks.
        let scratch = fs::canonicalize(scratch).attempt("resolve", scratch)?;
        let token = text::hex(&sys::random_bytes::<8>().attempt("get random bytes from", "the kernel")?);
        unshare_mounts()?;
        Ok(Self { dir: scratch.join(format!("rootfs-shim-demo.{token}")) })
    }

    /// A path in the directory of the demo.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Builds the overlay root: an ext4 image as the writable layer, this machine's `/` as the lower one.
    ///
    /// # Errors
    /// The first step that failed.
    pub(crate) fn build(&self) -> Result<()> {
        fs::DirBuilder::new().mode(0o700).create(&self.dir).attempt("create", &self.dir)?;
        let [image, disk, guest] = ["disk.img", "disk", "guest"].map(|name| self.path(name));
        for dir in [&disk, &guest] {
            fs::create_dir(dir).attempt("create", dir)?;
        }
        let file = fs::File::create_new(&image).attempt("create", &image)?;
        file.set_len(256 << 20).attempt("resize", &image)?;
        run_to_end(Command::new("mkfs.ext4").arg("-q").arg(&image))?;
        run_to_end(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&disk))?;
        fs::remove_file(&image).attempt("remove", &image)?;
        for dir in ["upper", "work"] {
            fs::create_dir(disk.join(dir)).attempt("create", disk.join(dir))?;
        }
        self.mount_overlay(&disk, &guest)
    }

    fn mount_overlay(&self, disk: &Path, guest: &Path) -> Result<()> {
        let mut options = b"lowerdir=/,upperdir=".to_vec();
        options.extend_from_slice(disk.join("upper").as_os_str().as_bytes());
        options.extend_from_slice(b",workdir=");
        options.extend_from_slice(disk.join("work").as_os_str().as_bytes());
        let none = MsFlags::empty();
        mount(Some("overlay"), guest, Some("overlay"), none, Some(options.as_slice()))
            .attempt("mount the overlay", guest)?;
        for (name, fstype) in [("proc", "proc"), ("sys", "sysfs")] {
            let at = guest.join(name);
            mount(Some(fstype), &at, Some(fstype), none, None::<&str>).attempt("mount", &at)?;
        }
        let dev = guest.join("dev");
        mount(Some("/dev"), &dev, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
            .attempt("bind", &dev)?;
        let console = guest.join("console");
        fs::File::create_new(&console).map(drop).attempt("create", &console)
    }

    /// Runs a script with `sh` in the guest; what it printed, and its exit status.
    pub(crate) fn run(&self, script: &str) -> Result<(String, i32)> {
        let mut command = Command::new("chroot");
        command.arg(self.path("guest")).args(["/bin/sh", "-c"]).arg(format!("exec 2>&1\ncd /\n{script}"));
        command
            .env("LC_ALL", "C")
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let outcome = program::run(&mut command, LIMIT)?;
        let status = outcome.status.code().unwrap_or(255);
        Ok((String::from_utf8_lossy(&outcome.stdout).into_owned(), status))
    }

    /// `rootfs-shim install` into the guest, by the program that we are.
    pub(crate) fn install(&self, config: &Path) -> Result<String> {
        run_to_end(self.own("install").arg("--config").arg(config))
    }

    /// `rootfs-shim uninstall` from the guest, by the program that we are.
    pub(crate) fn uninstall(&self) -> Result<String> {
        run_to_end(&mut self.own("uninstall"))
    }

    fn own(&self, subcommand: &str) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.arg(subcommand).arg("--chroot").arg(self.path("guest"));
        command
    }

    /// Ends swap, mounts and files, whichever of them are there.
    ///
    /// # Errors
    /// The first thing that could not be cleared; the others are cleared all the same.
    pub(crate) fn clear(&self) -> Result<()> {
        let mut first: Result<()> = Ok(());
        let mut note = |done: Result<()>| {
            if first.is_ok() {
                first = done;
            }
        };
        note(self.swap_off());
        // The latest mount first; each one is tried once, so that a stubborn one cannot keep us here.
        for at in self.mounts().into_iter().rev() {
            match umount2(&at, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
                Ok(()) | Err(Errno::EINVAL) => {}
                Err(errno) => note(Err(Error::system("unmount", &at, errno))),
            }
        }
        note(self.wait_for_loop());
        // One by one and by name: a mount that could not be undone is this machine's own files.
        let gone = |done: std::io::Result<()>, path: &Path| match done {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, &error)),
            _ => Ok(()),
        };
        for path in FILES.map(|name| self.path(name)) {
            note(gone(fs::remove_file(&path), &path));
        }
        for path in DIRECTORIES.map(|name| self.path(name)).iter().chain([&self.dir]) {
            note(gone(fs::remove_dir(path), path));
        }
        first
    }

    /// The mounts of the guest, in the order in which they were made.
    fn mounts(&self) -> Vec<PathBuf> {
        let mounts = mounts::all_mounts();
        mounts
            .iter()
            .filter(|mount| mount.point.starts_with(&self.dir))
            .map(|mount| mount.point.clone())
            .collect()
    }

    /// What is left of the guest, in words; nothing, after [`DemoGuest::clear`]. An area that is still active pins
    /// its filesystem, and that its loop device, so no loop device means no swap.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut left = self.loops();
        left.extend(self.mounts());
        left.extend(Some(self.dir.clone()).filter(|dir| fs::symlink_metadata(dir).is_ok()));
        left.iter().map(text::path).collect()
    }

    /// The loop devices over an image of the guest, as their directories in /sys.
    fn loops(&self) -> Vec<PathBuf> {
        let ours = self.dir.as_os_str().as_bytes();
        let blocks = fs::read_dir("/sys/block").into_iter().flatten().flatten().map(|entry| entry.path());
        blocks
            .filter(|block| {
                fs::read(block.join("loop/backing_file")).is_ok_and(|file| file.starts_with(ours))
            })
            .collect()
    }

    /// A lazily unmounted loop device goes away when the kernel gets round to it: at once, or nearly.
    fn wait_for_loop(&self) -> Result<()> {
        const PATIENCE: Duration = Duration::from_secs(5);
        sys::wait_for(PATIENCE, || self.loops().is_empty().then_some(())).ok_or_else(|| {
            Error::new(Kind::State, "clear the stage", "a loop device is still in use").at(&self.dir)
        })
    }

    /// The swapfile by its path on the writable layer, which works whatever became of the shims.
    fn swap_off(&self) -> Result<()> {
        let file = self.path("disk/upper/swapfile");
        if !file.exists() {
            return Ok(());
        }
        let path = CString::new(file.as_os_str().as_bytes())
            .map_err(|_| Error::system("swapoff", &file, Errno::EINVAL))?;
        match sys::swapoff(&path) {
            // EINVAL: it is not active.
            Ok(()) | Err(Errno::EINVAL) => Ok(()),
            Err(errno) => Err(Error::system("swapoff", &file, errno)),
        }
    }
}

/// Runs a program and gives what it printed; what it wrote to stderr becomes the error.
fn run_to_end(command: &mut Command) -> Result<String> {
    let name = PathBuf::from(command.get_program());
    let outcome = program::run(command.stdout(Stdio::piped()).stderr(Stdio::piped()), LIMIT)?;
    if outcome.status.success() {
        return Ok(String::from_utf8_lossy(&outcome.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&outcome.stderr).trim().replace('\n', "; ");
    let reason = if words.is_empty() { outcome.status.to_string() } else { words };
    Err(Error::new(Kind::State, "run", reason).at(name))
}
