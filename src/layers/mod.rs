//! The root itself as a library: mount, unmount, reset and swap, for an init that is written in Rust.
//!
//! Each looks once, plans and carries out. What takes long and is no part of the result, giving old blocks back
//! and deleting old files, is handed to the caller as [`Pending`] work: an init runs it in a thread, the
//! command line leaves it to a process of its own. Dropping it is safe.
//!
//! ```no_run
//! # fn main() -> rootfs_shim::error::Result<()> {
//! use rootfs_shim::{MountOptions, mount};
//! let options = MountOptions {
//!     target: "/newroot".into(),
//!     lower: vec!["/dev/vda".into()],
//!     writable: "/dev/vdb".into(),
//!     reset: true,
//!     ..Default::default()
//! };
//! let mut report = mount(&options)?;
//! let pending = std::mem::take(&mut report.pending);
//! std::thread::spawn(move || pending.into_iter().try_for_each(|work| work.run()));
//! # Ok(())
//! # }
//! ```
#![expect(clippy::disallowed_methods, reason = "the init's own devices and layers")]

pub(crate) mod content;
pub(crate) mod device;
pub(crate) mod facts;
pub(crate) mod lock;
pub(crate) mod mount;
pub(crate) mod options;
pub(crate) mod reset;
pub(crate) mod swap_device;
pub(crate) mod writable;

use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::error::{Attempt, Error, Kind, Result};
use crate::installer;
use crate::installer::image::guest::Guest;
use crate::installer::options::InstallOptions;
use crate::installer::plan::uninstall;
use crate::kernel::mounts::{self, Mounts, NO_PROC};
use crate::layers::facts::Layer;
use crate::layers::mount::build::{self, Progress};
use crate::layers::mount::plan as mount_plan;
use crate::layers::mount::plan::MountFacts;
use crate::layers::options::{LayersReport, MountOptions, ResetOptions, SwapOptions};
use crate::layers::reset::plan::ResetOrders;
use crate::layers::reset::{plan as reset_plan, renew};
use crate::layers::swap_device::{enable, plan as swap_device_plan};
use crate::swap::active::{self, ActiveSwap};
use crate::text;

pub(crate) use crate::layers::reset::pending::Pending;
pub(crate) use crate::layers::reset::plan::Discard;
pub(crate) use crate::layers::swap_device::plan::PRIORITY;

/// Puts an overlay root together at a directory, all or nothing.
///
/// # Errors
/// [`Kind::Usage`] and [`Kind::State`] for what can be seen beforehand; else the step that failed and why,
/// with nothing mounted.
pub fn mount(options: &MountOptions) -> Result<LayersReport> {
    mount_watched(options, &mut |_, _, _| {})
}

/// [`mount`], telling how far the copying of `passthrough` directories is: which, bytes done, bytes in all.
///
/// # Errors
/// As [`mount`].
pub fn mount_watched(options: &MountOptions, progress: &mut Progress<'_>) -> Result<LayersReport> {
    root_only("mount")?;
    let layer_lock = lock::lock(&options.writable)?;
    // Of two that mount at one place, the second has to find the first there. A layer may be mounted over itself.
    let is_over_itself = facts::key(&options.target) == facts::key(&options.writable);
    let target_lock = (!is_over_itself).then(|| lock::lock(&options.target)).transpose()?;
    let (mounts, swaps) = tables()?;
    let target = std::fs::canonicalize(&options.target).attempt("find the target", &options.target);
    let target = target.map_err(|error| error.remedy("make that directory first"))?;
    let facts = mount_facts(options, &target, &mounts, &swaps)?;
    let plan = mount_plan::plan(&MountOptions { target, ..options.clone() }, &facts)?;
    let mut report = LayersReport { version: 1, steps: plan.steps(), ..LayersReport::default() };
    if options.dry_run {
        return Ok(report);
    }
    let mut warnings = Vec::new();
    let install = options.install.as_ref().map(from_anywhere).transpose()?;
    let mut finish = |root: &Path| match &install {
        None => Ok(()),
        Some(install) => {
            let here = InstallOptions { chroot: root.to_owned(), dry_run: false, ..install.clone() };
            installer::install(&here).map(|report| warnings.extend(report.warnings))
        }
    };
    let mounted = build::mount(&plan, progress, &mut finish)?;
    report.changed = true;
    report.warnings = warnings;
    report.source = Some(text::path(&mounted.source));
    drop((layer_lock, target_lock));
    settle(report, mounted.pending, options.discard)
}

fn mount_facts(
    options: &MountOptions,
    target: &Path,
    mounts: &Mounts,
    swaps: &[ActiveSwap],
) -> Result<MountFacts> {
    let lower = options.lower.iter().map(|path| Layer::look(path, mounts, swaps));
    let lower = lower.collect::<Result<Vec<_>>>()?;
    let writable = Layer::look(&options.writable, mounts, swaps)?;
    let overlay = mounts.at(target).filter(|mount| mount.fstype == "overlay");
    let occupied = overlay.map(|mount| format!("an overlay of {}", text::path(&mount.source)));
    Ok(MountFacts { lower, mkfs: mkfs(&writable), writable, occupied })
}

/// The same files from whatever directory: the root is finished on a scaffold, which is another one.
fn from_anywhere(install: &InstallOptions) -> Result<InstallOptions> {
    crate::invocation::may_be_shim(&install.binary)?;
    let absolute = |path: &PathBuf| std::path::absolute(path).attempt("find", path);
    let config = install.config.as_ref().map(absolute).transpose()?;
    Ok(InstallOptions { config, binary: absolute(&install.binary)?, ..install.clone() })
}

/// Takes the root at `target` down; nothing mounted there is no error.
///
/// # Errors
/// [`Kind::State`] if it is no overlay root or something else is mounted inside; EBUSY, with all put back.
pub fn unmount(target: &Path, dry_run: bool) -> Result<LayersReport> {
    root_only("unmount")?;
    let target = std::fs::canonicalize(target).attempt("find the target", target)?;
    let mounts = tables()?.0;
    let guest = mounts.at(&target).and_then(|_| Guest::gather(&target).ok());
    let upper = guest.as_ref().and_then(|guest| guest.backing.as_ref());
    let points = mount_plan::unmount(&mounts, &target, upper)?;
    let steps = points.iter().map(|point| format!("unmount {}", text::path(point))).collect();
    let mut report = LayersReport { version: 1, steps, ..LayersReport::default() };
    // No mount is busy for a swapfile that a shim enabled, and without its path nobody can swap it off.
    if let Some(guest) = guest.filter(|_| !points.is_empty()) {
        uninstall::refuse_while_swap_is_on(&guest, "unmount")?;
    }
    if !dry_run && !points.is_empty() {
        build::unmount(&points)?;
        report.changed = true;
    }
    Ok(report)
}

/// Makes a writable layer as new.
///
/// # Errors
/// [`Kind::State`] if it is in use or carries something that is not ours; else the step that failed. A reset
/// that was cut short is finished by the next [`mount`] or reset.
pub fn reset(options: &ResetOptions) -> Result<LayersReport> {
    root_only("reset")?;
    let lock = lock::lock(&options.writable)?;
    let (mounts, swaps) = tables()?;
    let layer = Layer::look(&options.writable, &mounts, &swaps)?;
    let orders = ResetOrders { force: options.force, discard: options.discard };
    let plan = reset_plan::plan(&layer, mkfs(&layer), orders)?;
    let mut report = LayersReport { version: 1, steps: plan.steps(), ..LayersReport::default() };
    if options.dry_run {
        return Ok(report);
    }
    let pending = renew::reset(&plan)?;
    drop(lock);
    report.changed = true;
    settle(report, pending.into_iter().collect(), options.discard)
}

/// Formats and enables the platform's own swap device; nothing to do if it is active.
///
/// # Errors
/// [`Kind::State`] for what is no block device, is in use or carries another signature.
pub fn swap(options: &SwapOptions) -> Result<LayersReport> {
    root_only("enable swap")?;
    // The second of two that are called at once finds the area active, and not half a header.
    let _lock = lock::lock(&options.device)?;
    let (mounts, swaps) = tables()?;
    let layer = Layer::look(&options.device, &mounts, &swaps)?;
    let plan = swap_device_plan::plan(&layer, options.priority)?;
    let mut report = LayersReport { version: 1, steps: plan.steps(), ..LayersReport::default() };
    if !options.dry_run && !report.steps.is_empty() {
        enable::enable(&plan)?;
        report.changed = true;
    }
    Ok(report)
}

/// Old blocks and files go now if that was asked for; that some did not is a warning, for the layer is new.
fn settle(mut report: LayersReport, pending: Vec<Pending>, discard: Discard) -> Result<LayersReport> {
    if discard != Discard::Now {
        report.pending = pending;
        return Ok(report);
    }
    for work in pending {
        if let Err(error) = work.run() {
            report.warnings.push(error.to_string());
        }
    }
    Ok(report)
}

/// What is mounted and what is swapped on. Without /proc every layer would look free.
fn tables() -> Result<(Mounts, Vec<ActiveSwap>)> {
    let mounts = mounts::all_mounts();
    if mounts.iter().next().is_none() {
        let error = Error::new(Kind::State, "read", "no mount is to be seen there");
        return Err(error.at("/proc/thread-self/mountinfo").remedy(NO_PROC));
    }
    Ok((mounts, active::active_swaps()))
}

fn mkfs(layer: &Layer) -> Option<PathBuf> {
    facts::program(&format!("mkfs.{}", reset_plan::filesystem(layer)))
}

fn root_only(attempt: &str) -> Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    Err(Error::new(Kind::State, attempt, "only root can do this").remedy("use sudo"))
}
