//! `rootfs-shim status`: the World, printed, and what is off in it.

use std::path::PathBuf;

use super::{print, print_json};
use crate::api;
use crate::error::Result;
use crate::plan::health::{Standing, Status};
use crate::plan::report::size_words;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the guest's root is mounted
    #[arg(long, value_name = "DIR", default_value = "/")]
    chroot: PathBuf,
    /// Print JSON (version 1)
    #[arg(long)]
    json: bool,
}

/// Prints the status; 0 if all is well, 1 if something is off.
///
/// # Errors
/// If the root cannot be looked at.
pub fn run(args: &Args) -> Result<i32> {
    let status = api::status(&args.chroot)?;
    if args.json {
        print_json(&status);
    } else {
        print(&text(&status));
    }
    Ok(i32::from(!status.healthy))
}

fn text(status: &Status) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    let source = status.source.as_deref().unwrap_or("unknown");
    let kind = if status.overlay { "overlay" } else { "no overlay" };
    rows.push(("root", format!("{} ({kind}, {source})", status.root)));
    match &status.backing {
        Some(backing) => rows.push((
            "writable",
            format!(
                "{} on {}, {} of {} used; upper is {}",
                backing.fstype,
                backing.source,
                size_words(backing.used),
                size_words(backing.size),
                backing.upper
            ),
        )),
        None => rows.push(("writable", "not visible".to_owned())),
    }
    rows.extend(status.passthrough.iter().map(|path| ("passthrough", path.clone())));
    rows.push((
        "installed",
        status.installed.clone().map_or_else(|| "no".to_owned(), |v| format!("rootfs-shim {v}")),
    ));
    rows.extend(
        status
            .commands
            .iter()
            .map(|command| (command.command, format!("{}: {}", command.path, words(command)))),
    );
    for swap in &status.swaps {
        let backing = swap.backing.as_ref().map_or(String::new(), |path| format!(", in {path}"));
        let whose = if swap.of_this_root { "" } else { ", of this machine, not of this root" };
        let (size, used) = (size_words(swap.size), size_words(swap.used));
        rows.push((
            "swap",
            format!("{} ({size}, {used} used, priority {}{backing}{whose})", swap.path, swap.priority),
        ));
    }
    rows.extend(status.swap_device.iter().map(|path| ("swap device", path.clone())));
    rows.extend(status.volumes.iter().map(|volume| {
        (
            "volume",
            format!("{} ({} on {}); swapfiles are refused there", volume.path, volume.fstype, volume.source),
        )
    }));
    rows.extend(status.notes.iter().map(|note| ("note", note.clone())));
    rows.extend(status.problems.iter().map(|problem| ("problem", problem.clone())));
    if status.healthy {
        rows.push(("healthy", "nothing is off".to_owned()));
    }
    rows.iter().map(|(word, rest)| format!("{word:<12} {rest}\n")).collect()
}

fn words(command: &crate::plan::health::CommandStatus) -> String {
    let real = command.real.as_deref().unwrap_or("none");
    match command.state {
        Standing::Shim => format!("the shim; the real tool is {real}"),
        Standing::OlderShim => format!("an older shim; the real tool is {real}"),
        Standing::ChangedShim => format!("a changed shim; the real tool is {real}"),
        Standing::Replaced => "replaced by something else".to_owned(),
        Standing::Tool => "a tool without a shim".to_owned(),
        Standing::Link => "a link to where the shim is".to_owned(),
        Standing::Gone => "gone".to_owned(),
    }
}
