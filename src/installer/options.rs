//! What a caller may ask of the installer, and what it gets back.

use std::path::PathBuf;

use serde::Serialize;

use crate::installer::plan::step::{InstallerPlan, Step};

/// What [`crate::install`] shall do.
#[derive(Debug, Clone)]
pub struct InstallOptions {
    /// Where the guest's root is mounted; `/` by default.
    pub chroot: PathBuf,
    /// The overlay's upper directory, where it cannot be found by itself. It is proved in any case.
    pub upper: Option<PathBuf>,
    /// A configuration file that becomes the guest's.
    pub config: Option<PathBuf>,
    /// Whether to stand in for tools that the image does not have.
    pub provide_missing: bool,
    /// Whether to make the plan only.
    pub dry_run: bool,
    /// The rootfs-shim to install; by default the program that is running, if that is one. Who calls this from a
    /// program of another kind has to name the file: it becomes the guest's swapon.
    pub binary: PathBuf,
}

impl Default for InstallOptions {
    fn default() -> Self {
        Self {
            chroot: "/".into(),
            upper: None,
            config: None,
            provide_missing: false,
            dry_run: false,
            binary: "/proc/self/exe".into(),
        }
    }
}

/// What [`crate::uninstall`] shall do.
#[derive(Debug, Clone)]
pub struct UninstallOptions {
    /// Where the guest's root is mounted; `/` by default.
    pub chroot: PathBuf,
    /// Whether to make the plan only.
    pub dry_run: bool,
}

impl Default for UninstallOptions {
    fn default() -> Self {
        Self { chroot: "/".into(), dry_run: false }
    }
}

/// What was done. As JSON: `{"version":1,"changed":false,"steps":[{"action":"keep-real","path":"…"},…],
/// "warnings":["…"],"notes":["…"]}`; the steps' forms are those of [`Step`]. Fields may be added to version 1, none goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstallReport {
    /// The version of the form: 1.
    pub version: u32,
    /// Whether anything was changed; `false` for a dry run.
    pub changed: bool,
    /// The steps that were done, or in a dry run would be.
    pub steps: Vec<Step>,
    /// What the caller should know; one escaped line each.
    pub warnings: Vec<String>,
    /// What is in order and good to know; likewise.
    pub notes: Vec<String>,
}

impl InstallReport {
    /// Of a plan of which nothing was done.
    pub(crate) fn unchanged(plan: InstallerPlan) -> Self {
        Self { version: 1, changed: false, steps: plan.steps, warnings: plan.warnings, notes: plan.notes }
    }

    /// Of a plan that was carried out.
    pub(crate) fn changed(plan: InstallerPlan) -> Self {
        Self { changed: true, ..Self::unchanged(plan) }
    }
}
