//! `rootfs-shim install`: the arguments. The work is [`crate::installer`]'s.

use std::path::PathBuf;

use crate::cli::install_outcome::InstallTelling;
use crate::installer;
use crate::installer::options::InstallOptions;

/// The arguments of `install`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the guest's root is mounted
    #[arg(long, value_name = "DIR", default_value = "/")]
    chroot: PathBuf,
    /// The overlay's upper directory, if it cannot be found by itself
    #[arg(long, value_name = "DIR")]
    upper: Option<PathBuf>,
    /// A configuration that becomes the guest's (/.rootfs-shim/config.toml)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stand in for tools that the image does not have
    #[arg(long)]
    provide_missing: bool,
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

/// Runs `install`; the exit status.
pub(crate) fn run(args: &Args) -> i32 {
    let options = InstallOptions {
        chroot: args.chroot.clone(),
        upper: args.upper.clone(),
        config: args.config.clone(),
        provide_missing: args.provide_missing,
        dry_run: args.dry_run,
        ..InstallOptions::default()
    };
    let telling =
        InstallTelling { dry_run: args.dry_run, json: args.json, quiet: args.quiet, done: "installed" };
    let outcome = installer::install_watched(&options, &mut |step| telling.progress(step));
    telling.outcome(outcome)
}
