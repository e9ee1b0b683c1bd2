//! The installer as a library: what an init calls instead of running the binary.
//!
//! Facts, plan, execution, once; under a lock, so that two of them take turns. The trick: the plan is made
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
pub(crate) mod lock;
pub(crate) mod manifest;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod payload;
pub(crate) mod plan;

use std::path::Path;

use nix::unistd::geteuid;

use crate::config::Config;
use crate::error::{Error, Kind, Result, advise};
use crate::installer::image::guest::Guest;
use crate::installer::image::tree::Tree;
use crate::installer::image::{Image, upper};
use crate::installer::lock::{IfMissing, Locked};
use crate::installer::options::{InstallOptions, InstallReport, UninstallOptions};
use crate::installer::payload::Payload;
use crate::installer::plan::orders::Orders;
use crate::installer::plan::step::{InstallerPlan, Step};
use crate::installer::plan::{install, uninstall};
use crate::sys;

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
    let payload = Payload::read(options)?;
    let orders = Orders::of(options, &payload);
    let change = Change {
        chroot: &options.chroot,
        upper: options.upper.as_deref(),
        dry_run: options.dry_run,
        config: payload.effective_config()?,
        planner: &|image| install::plan(image, &orders),
        if_missing: IfMissing::Make,
    };
    change.run(&payload, progress).map_err(advise)
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
    uninstall::refuse_while_swap_is_on(&Guest::gather(&options.chroot).map_err(advise)?, "uninstall from")?;
    let payload = Payload::nothing()?;
    let change = Change {
        chroot: &options.chroot,
        upper: None,
        dry_run: options.dry_run,
        config: payload.effective_config()?,
        planner: &|image| uninstall::plan(image, &payload.token),
        if_missing: IfMissing::Leave,
    };
    change.run(&payload, progress).map_err(advise)
}

/// A change of one guest's root, in either direction.
struct Change<'a> {
    chroot: &'a Path,
    /// Where the caller says that the overlay's upper directory is.
    upper: Option<&'a Path>,
    dry_run: bool,
    config: Config,
    planner: &'a dyn Fn(&Image) -> Result<InstallerPlan>,
    /// Whether `/.rootfs-shim` is made if it is not there.
    if_missing: IfMissing,
}

impl Change<'_> {
    fn run(&self, payload: &Payload, progress: &mut dyn FnMut(&Step)) -> Result<InstallReport> {
        let (tree, image) = self.gather()?;
        let plan = (self.planner)(&image)?;
        if self.dry_run || plan.steps.is_empty() {
            return Ok(InstallReport::unchanged(plan));
        }
        sys::undisturbed(|| self.under_lock(tree, plan, payload, progress))
    }

    /// Plans anew, because somebody else may have been at work until the lock was ours, and does it.
    fn under_lock(
        &self,
        tree: Tree,
        plan: InstallerPlan,
        payload: &Payload,
        progress: &mut dyn FnMut(&Step),
    ) -> Result<InstallReport> {
        let Some(locked) = Locked::take(self.chroot, &tree.root, self.if_missing)? else {
            // Somebody else has just taken everything away.
            return Ok(InstallReport::unchanged(InstallerPlan { steps: Vec::new(), ..plan }));
        };
        drop(tree);
        let planned = self.gather().and_then(|(tree, mut image)| {
            image.our_directory.iter_mut().for_each(|ours| ours.is_new = locked.is_new);
            (self.planner)(&image).map(|plan| (tree, image, plan))
        });
        let done = match planned {
            Err(error) => Err(error),
            Ok((_, _, plan)) if plan.steps.is_empty() => return Ok(InstallReport::unchanged(plan)),
            Ok((tree, image, mut plan)) => {
                execute::run(tree, &image, &plan, payload, progress).map(|warnings| {
                    plan.warnings.extend(warnings);
                    plan
                })
            }
        };
        match &done {
            Ok(_) => locked.release(),
            Err(_) => locked.give_up(),
        }
        done.map(InstallReport::changed)
    }

    fn gather(&self) -> Result<(Tree, Image)> {
        upper::gather(self.chroot, self.upper, |_| self.config.clone())
            .map(|looked| (looked.tree, looked.image))
    }
}

fn root_only(dry_run: bool) -> Result<()> {
    if geteuid().is_root() || dry_run {
        return Ok(());
    }
    let error = Error::new(Kind::State, "change a guest's root", "this needs root");
    Err(error.remedy("run it with sudo; --dry-run shows what would be done"))
}
