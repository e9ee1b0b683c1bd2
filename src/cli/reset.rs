//! `rootfs-shim reset WRITABLE`.

use std::path::PathBuf;

use crate::cli::output::{Telling, tell};
use crate::error::Result;
use crate::layers::options::ResetOptions;
use crate::layers::{self, Discard};

/// Arguments of `reset`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Reset it even if it carries something that is not ours
    #[arg(long)]
    force: bool,
    /// When the old blocks are given back: now, later (in the background) or never
    #[arg(long, value_name = "WHEN", default_value = "later", value_parser = crate::layers::reset::plan::discard)]
    discard: Discard,
    /// Print the steps and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON (version 1)
    #[arg(long)]
    json: bool,
    /// The writable layer: a block device, an image file or a directory
    writable: PathBuf,
}

/// Makes the layer new.
///
/// # Errors
/// As [`layers::reset`].
pub(crate) fn run(args: &Args) -> Result<i32> {
    let options = ResetOptions {
        writable: args.writable.clone(),
        force: args.force,
        discard: args.discard,
        dry_run: args.dry_run,
    };
    tell(layers::reset(&options), Telling { dry_run: args.dry_run, json: args.json, done: "reset" })
}
