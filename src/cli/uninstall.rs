//! `rootfs-shim uninstall`: the arguments. The work is [`crate::installer`]'s.

use std::path::PathBuf;

use crate::cli::install_outcome::InstallTelling;
use crate::installer;
use crate::installer::options::UninstallOptions;

/// The arguments of `uninstall`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the guest's root is mounted
    #[arg(long, value_name = "DIR", default_value = "/")]
    chroot: PathBuf,
    /// Print the steps and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

/// Runs `uninstall`; the exit status.
pub(crate) fn run(args: &Args) -> i32 {
    let options = UninstallOptions { chroot: args.chroot.clone(), dry_run: args.dry_run };
    let telling =
        InstallTelling { dry_run: args.dry_run, json: args.json, quiet: args.quiet, done: "uninstalled" };
    let outcome = installer::uninstall_watched(&options, &mut |step| telling.progress(step));
    telling.outcome(outcome)
}
