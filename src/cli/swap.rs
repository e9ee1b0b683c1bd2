//! `rootfs-shim swap DEVICE`.

use std::path::{Path, PathBuf};

use crate::cli::output::{Telling, tell};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::layers::options::{LayersReport, SwapOptions};
use crate::layers::{self, PRIORITY};

/// Arguments of `swap`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The area's priority: higher is used first; the default is above every swapfile
    #[arg(long, short, value_name = "N", default_value_t = PRIORITY,
          value_parser = clap::value_parser!(u16).range(0..=32767))]
    priority: u16,
    /// Take the device from [swap_device] of FILE; without one there is nothing to do
    #[arg(long, value_name = "FILE", conflicts_with = "device")]
    config: Option<PathBuf>,
    /// Print the steps and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON (version 1)
    #[arg(long)]
    json: bool,
    /// The block device: an old swap area on it is lost, anything else with a signature is refused
    #[arg(required_unless_present = "config")]
    device: Option<PathBuf>,
}

/// Formats the device and enables it.
///
/// # Errors
/// As [`layers::swap`].
pub(crate) fn run(args: &Args) -> Result<i32> {
    let device = match (&args.device, &args.config) {
        (Some(device), _) => Ok(Some(device.clone())),
        (None, Some(config)) => configured(config),
        (None, None) => Err(Error::new(Kind::Usage, "swap", "there is no device")),
    };
    let outcome = device.and_then(|device| match device {
        Some(device) => layers::swap(&SwapOptions { device, priority: args.priority, dry_run: args.dry_run }),
        None => Ok(LayersReport { version: 1, ..LayersReport::default() }),
    });
    tell(outcome, Telling { dry_run: args.dry_run, json: args.json, done: "enabled" })
}

fn configured(path: &Path) -> Result<Option<PathBuf>> {
    let missing = || Error::new(Kind::Usage, "read the config", "there is no such file").at(path);
    Ok(Config::load(path)?.ok_or_else(missing)?.swap_device.device)
}
