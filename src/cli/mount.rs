//! `rootfs-shim mount`: the arguments, completed from a config, and what is told.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::cli::output::{Telling, tell};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::installer::options::InstallOptions;
use crate::layers::options::MountOptions;
use crate::layers::reset::plan::discard;
use crate::layers::{self, Discard};
use crate::text::{self, size_words};

/// Arguments of `mount`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A lower layer: a block device, an image file or a directory; again for more, the topmost first
    #[arg(long, value_name = "LAYER")]
    lower: Vec<PathBuf>,
    /// The writable layer: a block device, an image file or a directory. An empty one is formatted
    #[arg(long, value_name = "LAYER")]
    writable: Option<PathBuf>,
    /// A directory of the guest to keep on the backing filesystem, as /var/lib/docker, or @containers for those of
    /// Docker, containerd, podman and k3s; again for more
    #[arg(long, value_name = "DIR")]
    passthrough: Vec<PathBuf>,
    /// What df and lsblk show as the root's device [default: the writable device]
    #[arg(long, value_name = "NAME")]
    source_name: Option<OsString>,
    /// fsync costs nothing, and a crash leaves torn files: only with --reset
    #[arg(long)]
    volatile: bool,
    /// Make the writable layer new first
    #[arg(long)]
    reset: bool,
    /// With --reset: even if the layer carries something that is not ours
    #[arg(long, requires = "reset")]
    force: bool,
    /// When a reset gives the old blocks back: now, later (in the background) or never
    #[arg(long, value_name = "WHEN", default_value = "later", value_parser = discard)]
    discard: Discard,
    /// Install the shims into the root as well
    #[arg(long)]
    install: bool,
    /// With --install: stand in for tools that the image does not have
    #[arg(long, requires = "install")]
    provide_missing: bool,
    /// Take what is not given from [layers] of FILE; with --install it becomes the guest's
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the steps and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON (version 1)
    #[arg(long)]
    json: bool,
    /// Where the root is to stand: an existing directory
    target: PathBuf,
}

/// Mounts, and draws how far the copying is.
///
/// # Errors
/// As [`layers::mount`].
pub(crate) fn run(args: &Args) -> Result<i32> {
    let watched = !args.json && std::io::stderr().is_terminal();
    let mut bar = Bar { shown: None };
    let mut progress = |path: &Path, done, total| {
        if watched {
            bar.show(path, done, total);
        }
    };
    let outcome = options(args).and_then(|options| layers::mount_watched(&options, &mut progress));
    bar.end();
    tell(outcome, Telling { dry_run: args.dry_run, json: args.json, done: "mounted" })
}

fn options(args: &Args) -> Result<MountOptions> {
    let config = match &args.config {
        None => Config::default(),
        Some(path) => Config::load(path)?
            .ok_or_else(|| Error::new(Kind::Usage, "read the config", "there is no such file").at(path))?,
    };
    let or =
        |given: &Vec<PathBuf>, config: Vec<PathBuf>| if given.is_empty() { config } else { given.clone() };
    let layers = config.layers;
    let writable = args.writable.clone().or(layers.writable).ok_or_else(|| {
        Error::new(Kind::Usage, "mount", "there is no writable layer")
            .remedy("give --writable, or --config with [layers]")
    })?;
    let install = InstallOptions {
        config: args.config.clone(),
        provide_missing: args.provide_missing,
        ..InstallOptions::default()
    };
    Ok(MountOptions {
        target: args.target.clone(),
        lower: or(&args.lower, layers.lower),
        writable,
        passthrough: or(&args.passthrough, layers.passthrough),
        source_name: args.source_name.clone().or(layers.source_name.map(OsString::from)),
        volatile: args.volatile || layers.volatile,
        reset: args.reset,
        force: args.force,
        discard: args.discard,
        install: args.install.then_some(install),
        dry_run: args.dry_run,
    })
}

/// One line that is drawn over itself, for a person.
struct Bar {
    shown: Option<(PathBuf, u64)>,
}

impl Bar {
    /// Draws the line anew at each percent.
    fn show(&mut self, path: &Path, done: u64, total: u64) {
        /// Smaller trees are copied before anybody wonders.
        const WORTH: u64 = 64 << 20;
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100).min(100);
        let now = Some((path.to_owned(), percent));
        if total < WORTH || self.shown == now {
            return;
        }
        let mut line =
            format!("\rcopying {} of {} from the image: {percent:3} %", size_words(total), text::path(path));
        if self.shown.as_ref().is_none_or(|(before, _)| before != path) {
            line = format!("\n{}", line.trim_start());
        }
        let _ = std::io::stderr().write_all(line.as_bytes());
        self.shown = now;
    }

    fn end(&self) {
        if self.shown.is_some() {
            let _ = std::io::stderr().write_all(b"\n");
        }
    }
}
