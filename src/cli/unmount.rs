//! `rootfs-shim unmount TARGET`.

use std::path::PathBuf;

use crate::api_layers;
use crate::error::Result;

/// Arguments of `unmount`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the steps and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON (version 1)
    #[arg(long)]
    json: bool,
    /// Where the root stands
    target: PathBuf,
}

/// Unmounts.
///
/// # Errors
/// As [`api_layers::unmount`].
pub fn run(args: &Args) -> Result<i32> {
    let outcome = api_layers::unmount(&args.target, args.dry_run);
    super::mount::tell(outcome, args.dry_run, args.json, "unmounted")
}
