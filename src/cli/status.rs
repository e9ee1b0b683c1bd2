//! `rootfs-shim status`: the World, printed, and what is off in it.

use std::path::PathBuf;

use crate::cli::output::{print, print_json, tell_failure};
use crate::error::Result;
use crate::status;
use crate::status::{
    BackingStatus, CommandState, CommandStatus, PassthroughStatus, Status, SwapDeviceStatus, SwapStatus,
};
use crate::text::size_words;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
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
pub(crate) fn run(args: &Args) -> Result<i32> {
    let status = status(&args.chroot).inspect_err(|error| tell_failure(error, args.json))?;
    if args.json {
        print_json(&status)?;
    } else {
        print(&text(&status))?;
    }
    Ok(i32::from(!status.healthy))
}

type Rows = Vec<(&'static str, String)>;

fn text(status: &Status) -> String {
    let mut rows = root(status);
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
    let others = status.swaps.iter().filter(|swap| Some(&swap.path) != status.swap_device.as_ref());
    rows.extend(others.map(|swap| ("swap", area(swap))));
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

/// What the root is made of.
fn root(status: &Status) -> Rows {
    let mut rows = Rows::new();
    let source = status.source.as_deref().unwrap_or("unknown");
    let kind = if status.overlay { "overlay" } else { "no overlay" };
    rows.push(("root", format!("{} ({kind}, {source})", status.root)));
    rows.extend(status.lower.iter().map(|layer| ("lower", layer.clone())));
    rows.push(("writable", status.backing.as_ref().map_or_else(|| "not found".to_owned(), writable)));
    rows.extend(status.backing.iter().map(|backing| ("upper", backing.upper.clone())));
    for kept in &status.kept {
        let state = match kept {
            PassthroughStatus { bound: false, .. } => "not bound",
            PassthroughStatus { seeded: true, .. } => "bound, seeded",
            PassthroughStatus { .. } => "bound from outside of the layer's passthrough directories",
        };
        rows.push(("passthrough", format!("{} ({state})", kept.path)));
    }
    rows.extend(status.swap_device_state.iter().map(|device| {
        let state = match device {
            SwapDeviceStatus { active: false, .. } => "not active".to_owned(),
            SwapDeviceStatus { size, used, priority, .. } => {
                format!("{}, {} used, priority {priority}", size_words(*size), size_words(*used))
            }
        };
        ("swap device", format!("{} ({state})", device.path))
    }));
    rows
}

fn writable(backing: &BackingStatus) -> String {
    let BackingStatus { fstype, source, size, used, free, .. } = backing;
    let (size, used, free) = (size_words(*size), size_words(*used), size_words(*free));
    let read_only = if backing.read_only { ", read-only" } else { "" };
    format!("{source} ({fstype}{read_only}), {used} of {size} used, {free} free")
}

fn area(swap: &SwapStatus) -> String {
    let place = swap.backing.as_ref().or(swap.stands_in.as_ref());
    let backing = place.map_or(String::new(), |path| format!(", in {path}"));
    let whose = if swap.of_this_root { "" } else { ", of this machine, not of this root" };
    let (size, used) = (size_words(swap.size), size_words(swap.used));
    format!("{} ({size}, {used} used, priority {}{backing}{whose})", swap.path, swap.priority)
}

fn words(command: &CommandStatus) -> String {
    let real = command.real.as_deref().unwrap_or("none");
    match command.state {
        CommandState::Shim => format!("the shim; the real tool is {real}"),
        CommandState::OlderShim => format!("an older shim; the real tool is {real}"),
        CommandState::ChangedShim => format!("a changed shim; the real tool is {real}"),
        CommandState::Replaced => "replaced by something else".to_owned(),
        CommandState::Tool => "a tool without a shim".to_owned(),
        CommandState::Link => "a link to where the shim is".to_owned(),
        CommandState::Gone => "gone".to_owned(),
    }
}
