//! `rootfs-shim unmount TARGET`.

use std::path::PathBuf;

use crate::cli::output::{Telling, tell};
use crate::error::Result;
use crate::layers;

/// Arguments of `unmount`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the steps and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON (version 1)
    #[arg(long)]
    json: bool,
    /// Where the root stands
    target: PathBuf,
}

/// Takes the root down.
///
/// # Errors
/// As [`layers::unmount`].
pub(crate) fn run(args: &Args) -> Result<i32> {
    let outcome = layers::unmount(&args.target, args.dry_run);
    tell(outcome, Telling { dry_run: args.dry_run, json: args.json, done: "unmounted" })
}
