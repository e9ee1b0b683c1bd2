//! From what stands in an image to the steps that take the shim out again.
//!
//! Pure. Only what the manifest says is ours, and still is, is touched; anything that was changed since is left
//! and named. The manifest comes first (`state = "uninstalling"`), then the tools, our own directory last and the
//! manifest last in it, so that a crash in between leaves working names and what says what is still to be done.

use crate::backing::swap_areas::ListedArea;
use crate::error::{Error, Kind, Result};
use crate::installer::image::file::FileAtName;
use crate::installer::image::guest::Guest;
use crate::installer::image::link::LinkTarget;
use crate::installer::image::our_directory::{OurDirectory, UNFINISHED};
use crate::installer::image::root_mount::Upper;
use crate::installer::image::{Image, ToolName};
use crate::installer::manifest::{Manifest, Original, State, ToolRecord};
use crate::installer::names::{BIN, BINARY, MANIFEST, REAL, UPPER, UPPER_PATH};
use crate::installer::plan::checks::{changeable, config_path, leftovers, may_be_changed};
use crate::installer::plan::step::{InstallerPlan, Step};
use crate::installer::plan::{diversions, ownership};
use crate::untrusted::inode::FileKind;
use crate::{paths, text};

/// So many names in our directory that are somebody else's are told one by one.
const NAMED: usize = 16;

/// Plans an uninstall; `token` is in the temporary names of this run.
///
/// # Errors
/// State if our directory is there, but no manifest that says what to do.
pub(crate) fn plan(image: &Image, token: &str) -> Result<InstallerPlan> {
    let mut plan = InstallerPlan { warnings: image.warnings.clone(), ..InstallerPlan::default() };
    let Some(ours) = &image.our_directory else { return Ok(plan) };
    plan.steps.extend(leftovers(image).into_iter().map(|path| Step::Clean { path }));
    match &ours.manifest {
        Some(manifest) => recorded(image, ours, manifest, token, &mut plan)?,
        // Made for an install that came to nothing, or what an uninstall left that did not end.
        None if ours.binary.is_none() && ours.unfinished => own_files(image, ours, &mut plan),
        None if ours.binary.is_none() => {}
        None => {
            let reason = format!("there is no {MANIFEST} in it that says what is ours");
            let error =
                Error::new(Kind::State, "uninstall from", reason).at(image.root.join(paths::OUR_DIRECTORY));
            return Err(error.remedy("run rootfs-shim install first: it finds out again"));
        }
    }
    if !plan.steps.is_empty() {
        may_be_changed(image)?;
    }
    Ok(plan)
}

/// What is done where a manifest says what is ours.
fn recorded(
    image: &Image,
    ours: &OurDirectory,
    manifest: &Manifest,
    token: &str,
    plan: &mut InstallerPlan,
) -> Result<()> {
    let begin = plan.steps.len();
    // First: an upgrade after a crash here replaces the shim with the right tool.
    plan.steps.extend(diversions::uninstall(image, manifest)?);
    let kept = tools(image, manifest, plan)?;
    if kept {
        // A shim that has to stay keeps what it works with, and the record of it.
        let reason = "is kept until nothing of the image needs it: run rootfs-shim uninstall again then";
        plan.warnings.push(format!("{} {reason}", paths::OUR_DIRECTORY));
    } else {
        own_files(image, ours, plan);
    }
    if plan.steps.len() > begin {
        // The temporary names of the steps after it are those that this one tells.
        plan.steps.insert(begin, Step::WriteManifest { state: State::Uninstalling });
        plan.manifest = Some(Manifest { token: token.to_owned(), ..manifest.clone() });
    }
    Ok(())
}

/// Refuses to go on while a swapfile of this root is on. Only the shim knows how to swap it off: the real tool does not
/// find it by the path that the kernel lists, and `rm` cannot remove it.
///
/// # Errors
/// State if a swapfile of this root is active: which, and how it is swapped off.
pub(crate) fn refuse_while_swap_is_on(guest: &Guest, attempt: &str) -> Result<()> {
    let of_shims = |area: &&ListedArea| area.backing.is_some() || area.stands_in.is_some();
    let active: Vec<&ListedArea> = guest.swaps.iter().filter(of_shims).collect();
    let (Some(_), Some(first)) = (&guest.image.our_directory, active.first()) else { return Ok(()) };
    let names: Vec<String> = active.iter().map(|area| text::path(&area.swap.path)).collect();
    let reason = format!("swap is on in {}", names.join(", "));
    let error = Error::new(Kind::State, attempt, reason).at(&guest.image.root);
    // From outside a path in the guest's own words means another file, and to a file of upper's no path leads.
    let remedy = match first.stands_in.as_deref().filter(|_| !guest.image.running) {
        Some(device) => format!("run `swapoff {}` first", text::path(device)),
        None if guest.image.running => {
            format!("run `swapoff {}` or `swapoff -a` first", text::path(&first.swap.path))
        }
        None => {
            let inside = first.overlay.as_ref().map_or(first.swap.path.as_path(), |path| path.as_path());
            let (root, inside) = (text::path(&guest.image.root), text::path(inside));
            format!("run `chroot {root} swapoff {inside}` first")
        }
    };
    Err(error.remedy(remedy))
}

/// The steps at each recorded name; whether a shim has to stay.
fn tools(image: &Image, manifest: &Manifest, plan: &mut InstallerPlan) -> Result<bool> {
    let (mut touched, mut done, mut kept) = (Vec::new(), Vec::new(), false);
    for tool in &manifest.tools {
        if let Some(reason) = ownership::hidden(image, tool) {
            kept = true;
            plan.warnings.push(format!("{}: {reason}, so the shim is left", text::path(&tool.path)));
            continue;
        }
        let Some(tool_name) = image.tool_name(&tool.path) else {
            plan.warnings.push(format!("{} is not where a tool may stand: left", text::path(&tool.path)));
            continue;
        };
        let path = &tool_name.path;
        // Merged since: two records of one name.
        if done.contains(&path) {
            continue;
        }
        done.push(path);
        match at_name(image, tool, tool_name, &mut plan.warnings) {
            Verdict::Do(step) => {
                name_may_be_changed(image, tool_name)?;
                touched.extend(image.directory_of(tool_name).map(|directory| directory.path.clone()));
                plan.steps.push(step);
            }
            Verdict::Nothing => {}
            Verdict::Leave(reason) => plan.warnings.push(format!("{path}: {reason}")),
            Verdict::Keep(reason) => {
                kept = true;
                plan.warnings.push(format!("{path}: {reason}, so the shim is left"));
            }
        }
    }
    touched.dedup();
    plan.steps.extend(touched.into_iter().map(|path| Step::Sync { path }));
    Ok(kept)
}

/// That chattr(1) forbids nothing at a name, at its `.real` and in their directory.
fn name_may_be_changed(image: &Image, tool_name: &ToolName) -> Result<()> {
    let flags = |file: &Option<FileAtName>| file.as_ref().map_or(0, |file| file.flags);
    changeable(flags(&tool_name.at_name), &image.root.join(&tool_name.path))?;
    changeable(flags(&tool_name.at_real), &image.root.join(format!("{}{REAL}", tool_name.path)))?;
    match image.directory_of(tool_name) {
        Some(directory) => changeable(directory.flags, &image.root.join(&directory.path)),
        None => Ok(()),
    }
}

/// What is to be done at one name.
enum Verdict {
    Do(Step),
    /// It is as it was before us.
    Nothing,
    /// It is somebody else's by now, for this reason.
    Leave(String),
    /// It is the shim, and has to stay: without it nothing would answer.
    Keep(String),
}

fn at_name(image: &Image, tool: &ToolRecord, tool_name: &ToolName, warnings: &mut Vec<String>) -> Verdict {
    let path = tool_name.path.clone();
    let Some(name) = &tool_name.at_name else {
        return match &tool_name.at_real {
            Some(_) => Verdict::Leave(format!("it was removed since the install, so {path}.real is left")),
            None => Verdict::Nothing,
        };
    };
    let is_shim = ownership::may_go(image, name);
    match &tool_name.at_real {
        None if is_shim && tool.real == Original::Nothing => Verdict::Do(Step::RemoveShim { path }),
        None if is_shim && package_is_gone(image, tool_name) => Verdict::Do(Step::RemoveShim { path }),
        None if is_shim => Verdict::Keep(format!("{path}.real is gone")),
        None => Verdict::Nothing,
        Some(real) if is_shim => {
            let unchanged = real.sha256.is_some() && real.sha256 == tool.sha256;
            if !unchanged && let Err(reason) = works(image, real) {
                return Verdict::Keep(format!("{path}.real {reason}"));
            }
            // Of a package's new tool dpkg has told.
            if !unchanged && image.dpkg.is_none() {
                warnings.push(format!("{path}.real is another one than install found: it becomes {path}"));
            }
            Verdict::Do(Step::Restore { path })
        }
        Some(real) if name.is_same_file(real) || ownership::may_go(image, real) => {
            Verdict::Do(Step::RemoveFile { path: format!("{path}.real") })
        }
        Some(_) => {
            Verdict::Leave(format!("it was replaced since the install, so it and {path}.real are left"))
        }
    }
}

/// Whether dpkg was told to put a package's file at `.real`, and no package has such a file any more: then the
/// tool went with its package, and so does the shim.
fn package_is_gone(image: &Image, tool_name: &ToolName) -> bool {
    let Some((dpkg, manifest)) = image.dpkg.as_ref().zip(image.manifest()) else { return false };
    let directories =
        image.directory_of(tool_name).map(|directory| directory.spellings.as_slice()).unwrap_or_default();
    let names: Vec<String> = directories.iter().map(|dir| format!("/{dir}/{}", tool_name.tool)).collect();
    names.iter().any(|name| manifest.diversions.contains(name))
        && !names.iter().any(|name| dpkg.listed.contains(name))
}

/// Whether that can do a tool's work; else why not.
fn works(image: &Image, real: &FileAtName) -> std::result::Result<(), &'static str> {
    match (real.inode.kind, &real.target) {
        (FileKind::Regular, _) if ownership::may_go(image, real) => Err("is a shim as well"),
        (FileKind::Regular, _) if real.inode.mode & 0o111 != 0 => Ok(()),
        (FileKind::Symlink, Some(LinkTarget::Program | LinkTarget::ToolName(_))) => Ok(()),
        _ => Err("is no program any more"),
    }
}

/// Our own files and directories. The manifest goes when all else is gone, and what is left to be done after it
/// the mode of our directory tells.
fn own_files(image: &Image, ours: &OurDirectory, plan: &mut InstallerPlan) {
    let under = |name: &str| format!("{}/{name}", paths::OUR_DIRECTORY);
    let manifest = ours.manifest.as_ref();
    let made = |path: &str| match manifest {
        // No manifest of this release names it; an install that takes it away may have been killed in between.
        _ if path == UPPER_PATH => true,
        Some(manifest) => manifest.directories.iter().any(|directory| directory == path),
        None => true,
    };
    match image.root_mount.upper {
        Upper::Bound => plan.steps.push(Step::DetachUpper),
        Upper::Occupied => plan.warnings.push(format!("something else is mounted at {UPPER_PATH}: left")),
        _ => {}
    }
    if ours.binary.is_some() {
        plan.steps.push(Step::RemoveFile { path: under(&format!("{BIN}/{BINARY}")) });
    }
    let mut left: Vec<String> = ours.foreign.iter().map(|name| under(name)).collect();
    if ours.config.is_some() {
        if manifest.is_some_and(|manifest| manifest.config == ours.config) {
            plan.steps.push(Step::RemoveFile { path: config_path() });
        } else {
            left.push(config_path());
        }
    }
    let occupied = image.root_mount.upper == Upper::Occupied;
    let busy = |name: &str| left.iter().any(|left| left.starts_with(&under(&format!("{name}/"))));
    let directories = ours.directories.iter().filter(|name| !(busy(name) || occupied && *name == UPPER));
    let directories = directories.map(|name| under(name)).filter(|path| made(path));
    plan.steps.extend(directories.map(|path| Step::RemoveDirectory { path }));
    if manifest.is_some() && made("sbin") {
        plan.steps.push(Step::RemoveDirectory { path: "sbin".to_owned() });
    }
    let goes = made(paths::OUR_DIRECTORY) && left.is_empty() && !occupied;
    if goes && !ours.unfinished {
        plan.steps.push(Step::SetMode { path: paths::OUR_DIRECTORY.to_owned(), mode: 0o700 | UNFINISHED });
    }
    if manifest.is_some() {
        plan.steps.push(Step::RemoveFile { path: under(MANIFEST) });
    }
    if goes {
        plan.steps.push(Step::RemoveDirectory { path: paths::OUR_DIRECTORY.to_owned() });
    }
    name_what_is_left(left, &mut plan.warnings);
    plan.steps.push(Step::Sync { path: ".".to_owned() });
}

/// One warning each for the first names in our directory that are somebody else's: an image may have a hundred
/// thousand.
fn name_what_is_left(left: Vec<String>, warnings: &mut Vec<String>) {
    let more = left.len().saturating_sub(NAMED);
    let named = left.into_iter().take(NAMED);
    warnings.extend(named.map(|path| format!("{path} is not what install wrote: left")));
    warnings.extend((more > 0).then(|| format!("{more} more in {} are left as well", paths::OUR_DIRECTORY)));
}
