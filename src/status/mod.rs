//! What a machine's facts mean: what stands at each command's name, and what is off.

pub(crate) mod root;

use std::path::Path;

use serde::Serialize;

use crate::backing::swap_areas::ListedArea;
use crate::error::{Result, advise};
use crate::installer::image::file::FileAtName;
use crate::installer::image::guest::Guest;
use crate::installer::image::link::LinkTarget;
use crate::installer::image::root_mount::Upper;
use crate::installer::image::{Image, ToolName};
use crate::installer::manifest::{Manifest, Original, State};
use crate::installer::names::{BIN, BINARY, REAL};
use crate::installer::plan::{checks, diversions, ownership};
use crate::kernel::mounts::Mount;
use crate::untrusted::inode::FileKind;
use crate::{paths, text};

pub(crate) use crate::status::root::{BackingStatus, PassthroughStatus, SwapDeviceStatus};

/// `rootfs-shim status` as data; JSON of version 1. Fields may be added, none goes.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The version of the form: 1.
    pub version: u32,
    /// Whether nothing is off.
    pub healthy: bool,
    /// The path of the root that was looked at.
    pub root: String,
    /// Whether that root is an overlay.
    pub overlay: bool,
    /// What was mounted as the root; a device's path, or any word.
    pub source: Option<String>,
    /// The version of rootfs-shim that installed itself here.
    pub installed: Option<String>,
    /// How far it is: `installed`, or the job that did not end; `None` without a manifest that makes sense.
    pub state: Option<State>,
    /// Temporary names that a run left which did not end; relative to the root.
    pub leftovers: Vec<String>,
    /// The overlay's lower layers as its mount names them, the topmost first.
    pub lower: Vec<String>,
    /// The backing filesystem, if it was found.
    pub backing: Option<BackingStatus>,
    /// Directories kept on the backing filesystem.
    pub passthrough: Vec<String>,
    /// Those directories and the ones that should be kept there, in detail.
    pub kept: Vec<PassthroughStatus>,
    /// The platform's own swap device, if one is configured.
    pub swap_device: Option<String>,
    /// How much of that device is used, if it is active.
    pub swap_device_state: Option<SwapDeviceStatus>,
    /// What stands at each name of a command.
    pub commands: Vec<CommandStatus>,
    /// Active swap areas of the machine.
    pub swaps: Vec<SwapStatus>,
    /// The attached volumes, where swapfiles are refused.
    pub volumes: Vec<VolumeStatus>,
    /// What is off, and what mends it.
    pub problems: Vec<String>,
    /// What one should know, though nothing is off.
    pub notes: Vec<String>,
}

/// A name of a command, and what stands there.
#[derive(Debug, Clone, Serialize)]
pub struct CommandStatus {
    /// `swapon`, `swapoff` or `mkswap`.
    pub command: &'static str,
    pub path: String,
    pub state: CommandState,
    /// The real tool's name, if one is there that can be run; else the builtin does its work.
    pub real: Option<String>,
}

/// What stands at a command's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandState {
    /// The shim, of the installed version.
    Shim,
    /// The shim, of a version before.
    OlderShim,
    /// The shim, but with another content, owner, mode or inode than install gives it.
    ChangedShim,
    /// The shim stood there, and something else does now.
    Replaced,
    /// A tool, and no shim ever was.
    Tool,
    /// A link to another name, where the shim is.
    Link,
    /// The shim stood there, and nothing does now.
    Gone,
}

/// An active swap area; sizes are in bytes.
#[derive(Debug, Clone, Serialize)]
pub struct SwapStatus {
    /// The path that `/proc/swaps` shows.
    pub path: String,
    /// Where it is on the backing filesystem, if it is a file of the root overlay.
    pub backing: Option<String>,
    /// The device that stands in for it, if it is a file of this root's that cannot be swap itself.
    pub stands_in: Option<String>,
    pub size: u64,
    pub used: u64,
    /// The area with the higher one is used first.
    pub priority: i32,
    /// Whether it is this root's; the kernel lists those of the whole machine.
    pub of_this_root: bool,
}

/// An attached volume: where it is mounted, its filesystem, and its device.
#[derive(Debug, Clone, Serialize)]
pub struct VolumeStatus {
    pub path: String,
    pub fstype: String,
    pub source: String,
}

/// Judges the facts.
pub(crate) fn judge(guest: &Guest) -> Status {
    let image = &guest.image;
    let manifest = image.manifest();
    let commands: Vec<CommandStatus> =
        image.tool_names.iter().filter_map(|tool_name| command(image, tool_name, manifest)).collect();
    let problems = problems(guest, manifest, &commands);
    let kept = root::passthrough(guest);
    let device = guest.swap_device.as_ref().map(root::swap_device);
    Status {
        version: 1,
        healthy: problems.is_empty(),
        root: text::path(&image.root),
        overlay: image.root_mount.is_overlay(),
        source: guest.root.as_ref().map(|mount| text::path(&mount.source)),
        installed: manifest.map(|manifest| text::escape(manifest.program.as_bytes())),
        state: manifest.map(|manifest| manifest.state),
        leftovers: checks::leftovers(image).iter().map(|path| text::escape(path.as_bytes())).collect(),
        lower: guest.lower.iter().map(text::path).collect(),
        backing: root::backing(guest),
        passthrough: kept.iter().filter(|kept| kept.bound).map(|kept| kept.path.clone()).collect(),
        kept,
        swap_device: device.as_ref().map(|device| device.path.clone()),
        swap_device_state: device,
        commands,
        swaps: guest.swaps.iter().map(swap).collect(),
        volumes: guest.volumes.iter().map(volume).collect(),
        notes: notes(guest, manifest),
        problems,
    }
}

fn swap(area: &ListedArea) -> SwapStatus {
    let ListedArea { swap, overlay: _, backing, stands_in, of_this_root } = area;
    SwapStatus {
        path: text::path(&swap.path),
        backing: backing.as_ref().map(|path| text::path(path.as_path())),
        stands_in: stands_in.as_ref().map(text::path),
        size: swap.size * 1024,
        used: swap.used * 1024,
        priority: swap.priority,
        of_this_root: *of_this_root,
    }
}

fn volume(mount: &Mount) -> VolumeStatus {
    VolumeStatus {
        path: text::path(&mount.point),
        fstype: text::escape(mount.fstype.as_bytes()),
        source: text::path(&mount.source),
    }
}

/// `None` for a name where nothing stands and nothing of ours ever did.
fn command(image: &Image, tool_name: &ToolName, manifest: Option<&Manifest>) -> Option<CommandStatus> {
    let recorded = ownership::recorded(image, tool_name);
    let state = match &tool_name.at_name {
        None if recorded.is_some() => CommandState::Gone,
        None => return None,
        Some(name) => match (manifest.filter(|_| recorded.is_some()), &name.target) {
            (Some(manifest), _) if ownership::is_known(image, name) || ownership::is_link(image, name) => {
                shim(image, manifest, name)
            }
            (_, Some(LinkTarget::ToolName(other))) if leads_to_shim(image, other, manifest) => {
                CommandState::Link
            }
            // In the middle of a job some names are as they were before it.
            (Some(manifest), _) if manifest.state == State::Installed => CommandState::Replaced,
            _ => CommandState::Tool,
        },
    };
    let path = image.root.join(&tool_name.path);
    let real = has_real(image, tool_name).then(|| format!("{}{REAL}", text::path(&path)));
    Some(CommandStatus { command: tool_name.tool, path: text::path(&path), state, real })
}

fn shim(image: &Image, manifest: &Manifest, name: &FileAtName) -> CommandState {
    let hash = name.sha256.as_deref();
    if !ownership::is_sound(name) || !ownership::is_known(image, name) {
        CommandState::ChangedShim
    } else if hash != Some(manifest.shim.sha256.as_str()) {
        CommandState::OlderShim
    } else if ownership::is_link(image, name) {
        CommandState::Shim
    } else {
        CommandState::ChangedShim
    }
}

/// Whether a tool is to be run at a name's `.real`. One that leads to another name of ours leads to the shim there,
/// and stands for what that has at `.real`.
fn has_real(image: &Image, tool_name: &ToolName) -> bool {
    let mut tool_name = tool_name;
    for _ in 0..image.tool_names.len() {
        let Some(real) = &tool_name.at_real else { return false };
        match &real.target {
            None => return real.inode.kind == FileKind::Regular && real.inode.mode & 0o111 != 0,
            Some(LinkTarget::Program) => return true,
            Some(LinkTarget::ToolName(other)) => {
                match image.tool_names.iter().find(|tool_name| tool_name.path == *other) {
                    Some(there)
                        if there.at_name.as_ref().is_some_and(|name| ownership::is_link(image, name)) =>
                    {
                        tool_name = there
                    }
                    there => return there.is_some_and(|there| there.at_name.is_some()),
                }
            }
            Some(_) => return false,
        }
    }
    false
}

fn leads_to_shim(image: &Image, path: &str, manifest: Option<&Manifest>) -> bool {
    let there = image
        .tool_names
        .iter()
        .find(|tool_name| tool_name.path == path)
        .and_then(|tool_name| tool_name.at_name.as_ref());
    let hash = there.and_then(|name| name.sha256.as_deref());
    hash.is_some_and(|hash| manifest.is_some_and(|manifest| manifest.is_shim(hash)))
}

/// What is off, in the order in which it is told.
fn problems(guest: &Guest, manifest: Option<&Manifest>, commands: &[CommandStatus]) -> Vec<String> {
    let mut problems = unfinished(guest, manifest);
    if let Some(manifest) = manifest {
        problems.extend(install_problems(guest, manifest, commands));
    }
    problems.extend(root::problems(guest));
    problems.extend(guest.image.warnings.iter().cloned());
    if !guest.image.running {
        // As it is typed: without --chroot the remedy would be for the machine's own root.
        let there = format!("install --chroot {}`", text::path(&guest.image.root));
        for problem in &mut problems {
            *problem = problem.replace("install`", &there);
        }
    }
    problems
}

/// What is not as install left it.
fn install_problems(guest: &Guest, manifest: &Manifest, commands: &[CommandStatus]) -> Vec<String> {
    let image = &guest.image;
    let mut problems = Vec::new();
    if image.our_directory.as_ref().is_some_and(|ours| ours.binary.is_some())
        && !ownership::has_binary(image, &manifest.shim.sha256)
    {
        problems.push(format!(
            "{}/{BIN}/{BINARY} is not as install left it (content, owner or mode), and every shim is a link of it; \
             `rootfs-shim install` puts it there again",
            paths::OUR_DIRECTORY
        ));
    }
    problems.extend(commands.iter().filter_map(|command| command_problem(image, manifest, command)));
    problems.extend(diversions::missing(image, manifest).into_iter().map(|path| {
        format!("dpkg has lost the diversion of {path}, so an upgrade will replace the shim; `rootfs-shim install` makes it again")
    }));
    problems.extend(upper_problem(image));
    problems.extend(guest.config.as_ref().err().cloned());
    problems
}

/// What is off at a command's name.
fn command_problem(image: &Image, manifest: &Manifest, command: &CommandStatus) -> Option<String> {
    let (path, name) = (&command.path, command.command);
    let recorded =
        image.tool_name(relative(image, path)).and_then(|tool_name| ownership::recorded(image, tool_name));
    if let Some(reason) = recorded.and_then(|tool| ownership::hidden(image, tool)) {
        return Some(format!("nobody can tell whether {path} is the shim: {reason}"));
    }
    let provided = recorded.is_some_and(|tool| tool.real == Original::Nothing);
    Some(match command.state {
        CommandState::Shim if command.real.is_none() && !provided => format!(
            "{path} is the shim, but its real tool {path}.real is gone; reinstall the package of {name}"
        ),
        CommandState::OlderShim => format!("{path} is an older shim; `rootfs-shim install` upgrades it"),
        CommandState::ChangedShim => format!(
            "{path} is the shim, but not as install left it (content, owner, mode or inode); \
             `rootfs-shim install` puts it there again"
        ),
        CommandState::Replaced => {
            format!("{path} was replaced by something else; `rootfs-shim install` adopts it, or says why not")
        }
        CommandState::Gone => {
            format!("{path} is gone; reinstall the package of {name}, then `rootfs-shim install`")
        }
        CommandState::Tool if manifest.state != State::Uninstalling => {
            format!("{path} has no shim; `rootfs-shim install` says why, or puts it there")
        }
        CommandState::Tool | CommandState::Shim | CommandState::Link => return None,
    })
}

/// What a run that did not end left, the manifest first.
fn unfinished(guest: &Guest, manifest: Option<&Manifest>) -> Vec<String> {
    let image = &guest.image;
    let mut problems = Vec::new();
    let our_directory = image.our_directory.as_ref();
    match manifest.map(|manifest| manifest.state) {
        Some(State::Installed) => {}
        Some(State::Installing) => {
            problems.push("an install did not end; `rootfs-shim install` finishes it".to_owned())
        }
        Some(State::Upgrading) => {
            problems.push("an upgrade did not end; `rootfs-shim install` finishes it".to_owned())
        }
        Some(State::Uninstalling) => problems.push(
            "an uninstall did not end; `rootfs-shim uninstall` finishes it, `rootfs-shim install` undoes it"
                .to_owned(),
        ),
        None if our_directory.is_some_and(|our_directory| our_directory.unfinished || our_directory.binary.is_some()) => problems.push(format!(
            "{} has no manifest that makes sense: an install or uninstall did not end; run it again",
            paths::OUR_DIRECTORY
        )),
        None if guest.image.running && !image.root_mount.is_overlay() => problems.push(
            "rootfs-shim is not installed here, where no overlay needs it; name the guest's root with --chroot"
                .to_owned(),
        ),
        None => {
            problems.push("rootfs-shim is not installed here; `rootfs-shim install` installs it".to_owned())
        }
    }
    let left = checks::leftovers(image);
    if !left.is_empty() {
        let left: Vec<_> = left.iter().map(|path| text::escape(path.as_bytes())).collect();
        let words =
            "left by a run that did not end; the next `rootfs-shim install` or `uninstall` removes it";
        problems.push(format!("{}: {words}", left.join(", ")));
    }
    problems
}

fn upper_problem(image: &Image) -> Option<String> {
    if !image.root_mount.is_overlay() || !image.root_mount.whole {
        return None;
    }
    match &image.root_mount.upper {
        Upper::Found(_) => None,
        Upper::Bound => Some(format!(
            "the upper directory is mounted at {}, where programs that walk over `/` reach it behind the overlay's back; \
             `rootfs-shim install` takes it away",
            paths::UPPER
        )),
        Upper::Occupied => Some(format!("something is mounted at {}, and no upper directory; unmount it", paths::UPPER)),
        Upper::Unproved(_) => Some(
            "the filesystem that holds the upper directory is not to be found, so swapfiles cannot be enabled; it may be \
             none of ext4, xfs and btrfs, or its device may be hidden here"
                .to_owned(),
        ),
    }
}

fn relative<'a>(image: &Image, path: &'a str) -> &'a str {
    let root = text::path(&image.root);
    path.strip_prefix(&root).unwrap_or(path).trim_start_matches('/')
}

fn notes(guest: &Guest, manifest: Option<&Manifest>) -> Vec<String> {
    let mut notes = Vec::new();
    if !guest.image.root_mount.is_overlay() && manifest.is_some() {
        let words = match guest.image.running {
            true => "the root is not an overlay, so the shims hand every call to the real tools",
            false => {
                "the root is no overlay now; the shims find the backing filesystem when it runs on an overlay root"
            }
        };
        notes.push(words.to_owned());
    }
    notes.extend(root::notes(guest));
    notes
}

/// What is where, and what is off. Changes nothing.
///
/// # Errors
/// If `chroot` is no directory, or needs root to be looked at; [`Kind::Attack`](crate::Kind::Attack) if our own directory in it is
/// not what it may be.
pub fn status(chroot: &Path) -> Result<Status> {
    Guest::gather(chroot).map(|guest| judge(&guest)).map_err(advise)
}
