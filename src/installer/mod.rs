//! The installer as a library: what an init calls instead of running the binary.
//!
//! World, plan, execute, once; under a lock, so that two of them take turns. The trick: the plan is made
//! without the lock first, and if it is empty or only wanted for printing, nothing was touched, not even to
//! take the lock.
//!
//! ```no_run
//! # fn main() -> rootfs_shim::error::Result<()> {
//! let options = rootfs_shim::InstallOptions {
//!     chroot: "/mnt/guest".into(),
//!     binary: "/sbin/rootfs-shim".into(),
//!     ..Default::default()
//! };
//! let report = rootfs_shim::install(&options)?;
//! assert!(report.changed || report.steps.is_empty());
//! # Ok(())
//! # }
//! ```

pub(crate) mod execute;
pub(crate) mod image;
pub(crate) mod manifest;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod plan;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

use crate::backing::candidates::Candidates;
use crate::backing::reveal;
use crate::config::{self, Config};
use crate::error::{Attempt, Error, Kind, Result, advise};
use crate::installer::execute::transaction::Material;
use crate::installer::image::guest::Machine;
use crate::installer::image::our_directory::MARK;
use crate::installer::image::root_mount::{Hint, NO_PROC, Upper};
use crate::installer::image::tree::Tree;
use crate::installer::image::{Image, elf, file};
use crate::installer::options::{InstallOptions, InstallReport, UninstallOptions};
use crate::installer::plan::request::Request;
use crate::installer::plan::step::{Plan, Step};
use crate::installer::plan::{install, uninstall};
use crate::kernel::mounts;
use crate::untrusted::entry::Entry;
use crate::untrusted::{Dir, Root};
use crate::{invocation, paths, sys, text};

/// How long one install waits for another.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the lock is taken anew because an uninstall removed the directory meanwhile.
const LOCK_ATTEMPTS: usize = 8;

/// Puts the shim into a guest's root. Idempotent; on failure everything is put back.
///
/// # Errors
/// [`Kind::Usage`] and [`Kind::State`] for what can be seen beforehand, with nothing touched; else the step
/// that failed and why. [`Kind::Attack`] if the image tried to lead us astray.
pub fn install(options: &InstallOptions) -> Result<InstallReport> {
    install_watched(options, &mut |_| {})
}

/// [`install`], telling each step before it is done.
///
/// # Errors
/// As [`install`].
pub fn install_watched(options: &InstallOptions, progress: &mut dyn FnMut(&Step)) -> Result<InstallReport> {
    root_only(options.dry_run)?;
    let config = options.config.as_deref().map(read_config).transpose()?;
    let is_own = options.binary.starts_with("/proc");
    invocation::may_be_shim(&options.binary)?;
    let advise_proc = |error: Error| if is_own { error.or_remedy(NO_PROC) } else { error };
    let binary = read_file(&options.binary, file::CAP).map_err(advise_proc)?;
    let request = Request {
        token: token()?,
        binary: file::sha256(&binary),
        machine: elf::machine(&binary),
        config: config.as_deref().map(file::sha256),
        upper_given: options.upper.is_some(),
        provide_missing: options.provide_missing,
        running: false,
        home_made: false,
    };
    let material = Material { binary, config, token: request.token.clone(), home_made: false };
    let config = match &material.config {
        Some(bytes) => Config::parse(bytes)?,
        None => installed_config(),
    };
    let (chroot, upper) = (options.chroot.as_path(), options.upper.as_deref());
    let (planner, makes_home) = (install::plan, true);
    let job = Job { chroot, upper, dry_run: options.dry_run, config, planner, makes_home };
    job.run(request, material, progress).map_err(advise)
}

/// Takes the shim out of a guest's root: the tools' own inodes go back to their names.
///
/// # Errors
/// As [`install`]; [`Kind::State`] as well while a swapfile of that root is on.
pub fn uninstall(options: &UninstallOptions) -> Result<InstallReport> {
    uninstall_watched(options, &mut |_| {})
}

/// [`uninstall`], telling each step before it is done.
///
/// # Errors
/// As [`install`].
pub fn uninstall_watched(
    options: &UninstallOptions,
    progress: &mut dyn FnMut(&Step),
) -> Result<InstallReport> {
    root_only(options.dry_run)?;
    uninstall::may_go(&Machine::look(&options.chroot).map_err(advise)?, "uninstall from")?;
    let request = Request {
        token: token()?,
        binary: String::new(),
        machine: None,
        config: None,
        upper_given: false,
        provide_missing: false,
        running: false,
        home_made: false,
    };
    let material = Material { token: request.token.clone(), ..Material::default() };
    let config = installed_config();
    let (planner, makes_home) = (uninstall::plan, false);
    let job =
        Job { chroot: &options.chroot, upper: None, dry_run: options.dry_run, config, planner, makes_home };
    job.run(request, material, progress).map_err(advise)
}

/// Where a job is done, and whether it is done.
struct Job<'a> {
    chroot: &'a Path,
    upper: Option<&'a Path>,
    dry_run: bool,
    config: Config,
    planner: Planner,
    /// Whether `/.rootfs-shim` is made if it is not there.
    makes_home: bool,
}

type Planner = fn(&Image, &Request) -> Result<Plan>;

impl Job<'_> {
    fn run(
        &self,
        mut request: Request,
        material: Material,
        progress: &mut dyn FnMut(&Step),
    ) -> Result<InstallReport> {
        let (tree, image) = self.look(&mut request)?;
        let plan = (self.planner)(&image, &request)?;
        if self.dry_run || plan.steps.is_empty() {
            return Ok(report(plan, false));
        }
        sys::undisturbed(|| self.change(tree, plan, request, material, progress))
    }

    /// Plans anew, under the lock, and does it.
    fn change(
        &self,
        tree: Tree,
        plan: Plan,
        mut request: Request,
        mut material: Material,
        progress: &mut dyn FnMut(&Step),
    ) -> Result<InstallReport> {
        let before = tree.root.top().stat()?;
        let locked = lock(&tree.root, self.makes_home).inspect_err(|_| self.restore_times(&before))?;
        let Some((lock, made)) = locked else {
            // Somebody else has just taken everything away.
            return Ok(report(Plan { steps: Vec::new(), ..plan }, false));
        };
        (request.home_made, material.home_made) = (made, made);
        drop(tree);
        let planned = self
            .look(&mut request)
            .and_then(|(tree, image)| (self.planner)(&image, &request).map(|plan| (tree, image, plan)));
        let (tree, image, mut plan) = match planned {
            Ok(planned) => planned,
            Err(error) => {
                self.forget(made);
                self.restore_times(&before);
                return Err(error);
            }
        };
        if plan.steps.is_empty() {
            return Ok(report(plan, false));
        }
        let done = execute::run(tree, &image, &plan, &material, progress);
        if done.is_err() {
            self.forget(made);
        }
        self.restore_times(&before);
        drop(lock);
        done.map(|warnings| {
            plan.warnings.extend(warnings);
            report(plan, true)
        })
    }

    fn look(&self, request: &mut Request) -> Result<(Tree, Image)> {
        let root = Root::open(self.chroot)?;
        let own = Root::open(Path::new("/"))?.top().stat()?.id;
        request.running = root.top().stat()?.id == own;
        let hint = self.upper.map_or(Hint::Nothing, Hint::Given);
        let (tree, image) = image::look(root, hint)?;
        let lost = matches!(image.layer.upper, Upper::Unproved(_));
        if !(request.running && lost && self.upper.is_none() && image.layer.is_overlay() && image.layer.whole)
        {
            return Ok((tree, image));
        }
        // In a guest that has switched its root, what mountinfo says of upper leads nowhere.
        let mounts = mounts::all_mounts();
        let mount = sys::mount_id(tree.root.top().as_fd()).ok().and_then(|id| mounts.get(id));
        let candidates = mount.map(|mount| Candidates::gather(mount, &mounts, &self.config));
        let found = candidates
            .filter(|candidates| !candidates.is_empty())
            .map(|candidates| reveal::detached(&candidates));
        match found.transpose().ok().flatten().flatten() {
            None => Ok((tree, image)),
            Some(upper) => {
                let source = mount.map(|mount| PathBuf::from(&mount.source)).unwrap_or_default();
                image::look(Root::open(self.chroot)?, Hint::Detached(upper, source))
            }
        }
    }

    /// Best effort: that our own directory came or went is no change of the image's root.
    fn restore_times(&self, before: &Entry) {
        if let Ok(root) = Root::open(self.chroot) {
            let _ = root.top().restore_times(before);
        }
    }

    /// Removes the directory that was made only to be locked.
    fn forget(&self, made: bool) {
        if let (true, Ok(root)) = (made, Root::open(self.chroot)) {
            let _ = root.top().remove_directory(paths::HOME);
        }
    }
}

/// The running root's own configuration, as far as it makes sense: it may name the writable device.
fn installed_config() -> Config {
    Config::load(Path::new(paths::CONFIG)).ok().flatten().unwrap_or_default()
}

fn report(plan: Plan, changed: bool) -> InstallReport {
    InstallReport { version: 1, changed, steps: plan.steps, warnings: plan.warnings }
}

/// Locks `/.rootfs-shim`, which nobody but root can open, and makes it for that if need be; `None` if it is
/// not there and shall not be made. The second part says whether it was made.
fn lock(root: &Root, make: bool) -> Result<Option<(Dir, bool)>> {
    for _ in 0..LOCK_ATTEMPTS {
        let (home, made) = if make {
            root.top().make_directory(paths::HOME, 0o700 | MARK)?
        } else {
            match root.top().subdirectory(paths::HOME)? {
                Some(home) => (home, false),
                None => return Ok(None),
            }
        };
        // An uninstall that ended while we waited has removed the directory that we hold.
        let is_there = || {
            home.lock(PATIENCE)?;
            let there = root.top().entry(paths::HOME)?;
            Ok(there.map(|entry| entry.id) == Some(home.stat()?.id))
        };
        match is_there() {
            Ok(true) => return Ok(Some((home, made))),
            Ok(false) => {}
            Err(error) => {
                if made {
                    let _ = root.top().remove_directory(paths::HOME);
                }
                return Err(error);
            }
        }
    }
    Err(Error::new(Kind::State, "lock", "it is removed again and again").at(root.top().shown(paths::HOME)))
}

fn root_only(dry_run: bool) -> Result<()> {
    if geteuid().is_root() || dry_run {
        return Ok(());
    }
    let error = Error::new(Kind::State, "change a guest's root", "this needs root");
    Err(error.remedy("run it with sudo; --dry-run shows what would be done"))
}

fn token() -> Result<String> {
    Ok(text::hex(&sys::random().attempt("get random bytes from", "the kernel")?))
}

/// A configuration, validated: what is wrong with it shall show now, and not at boot.
fn read_config(path: &Path) -> Result<Vec<u8>> {
    let bytes = read_file(path, config::SIZE_CAP)
        .map_err(|error| error.or_remedy("--config takes a regular file of at most 64 KiB"))?;
    Config::parse(&bytes).map_err(|error| error.at(path).or_remedy("correct it; nothing was changed"))?;
    Ok(bytes)
}

/// A regular file of the host's, opened so that nothing can block.
#[expect(clippy::disallowed_methods, reason = "the caller's own files")]
fn read_file(path: &Path, cap: u64) -> Result<Vec<u8>> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fd: OwnedFd = open(path, flags, Mode::empty()).attempt("open", path)?;
    let file = File::from(fd);
    let meta = file.metadata().attempt("stat", path)?;
    let refuse = |reason: String| Err(Error::new(Kind::State, "read", reason).at(path));
    if !meta.is_file() {
        return refuse("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(cap + 1).read_to_end(&mut bytes).attempt("read", path)?;
    if bytes.len() as u64 > cap {
        return refuse(format!("it is larger than {cap} bytes"));
    }
    Ok(bytes)
}
