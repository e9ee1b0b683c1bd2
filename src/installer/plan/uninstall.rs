//! From what stands in an image to the steps that take the shim out again.
//!
//! Pure. Only what the manifest says is ours, and still is, is touched; anything that was changed since is left
//! and named. The manifest comes first (`state = "uninstalling"`), then the tools, our own directory last and the
//! manifest last in it, so that a crash in between leaves working names and what says what is still to be done.

use crate::backing::swap_areas::Area;
use crate::error::{Error, Kind, Result};
use crate::installer::image::file::Standing;
use crate::installer::image::guest::Machine;
use crate::installer::image::our_directory::{Home, MARK};
use crate::installer::image::root_mount::Upper;
use crate::installer::image::{Image, Leads, Slot};
use crate::installer::manifest::{Manifest, Real, State, Tool};
use crate::installer::names::{BIN, BINARY, MANIFEST, REAL};
use crate::installer::plan::checks::{changeable, config_path, leftovers};
use crate::installer::plan::request::Request;
use crate::installer::plan::step::{Plan, Step};
use crate::installer::plan::{diversions, ownership};
use crate::untrusted::entry::FileKind;
use crate::{paths, text};

/// So many names in our directory that are somebody else's are told one by one.
const NAMED: usize = 16;

/// # Errors
/// State if our directory is there, but no manifest that says what to do.
pub(crate) fn plan(image: &Image, request: &Request) -> Result<Plan> {
    let mut plan = Plan { steps: Vec::new(), warnings: image.warnings.clone(), manifest: None };
    let Some(home) = &image.home else { return Ok(plan) };
    plan.steps.extend(leftovers(image).into_iter().map(|path| Step::Clean { path }));
    match &home.manifest {
        Some(manifest) => recorded(image, home, manifest, request, &mut plan)?,
        // Made for an install that came to nothing, or what an uninstall left that did not end.
        None if home.binary.is_none() && home.marked => own_files(image, home, &mut plan),
        None if home.binary.is_none() => {}
        None => {
            let reason = format!("there is no {MANIFEST} in it that says what is ours");
            let error = Error::new(Kind::State, "uninstall from", reason).at(image.root.join(paths::HOME));
            return Err(error.remedy("run rootfs-shim install first: it finds out again"));
        }
    }
    if !plan.steps.is_empty() {
        changeable(image.flags, &image.root)?;
        if image.layer.read_only {
            let error = Error::new(Kind::State, "change", "it is mounted read-only").at(&image.root);
            return Err(error.remedy("mount it read-write first"));
        }
    }
    Ok(plan)
}

/// What is done where a manifest says what is ours.
fn recorded(
    image: &Image,
    home: &Home,
    manifest: &Manifest,
    request: &Request,
    plan: &mut Plan,
) -> Result<()> {
    let begin = plan.steps.len();
    // First: an upgrade after a crash here replaces the shim with the right tool.
    plan.steps.extend(diversions::uninstall(image, request.running, manifest)?);
    let kept = tools(image, manifest, plan)?;
    if kept {
        // A shim that has to stay keeps what it works with, and the record of it.
        let reason = "is kept until nothing of the image needs it: run rootfs-shim uninstall again then";
        plan.warnings.push(format!("{} {reason}", paths::HOME));
    } else {
        own_files(image, home, plan);
    }
    if plan.steps.len() > begin {
        // The temporary names of the steps after it are those that this one tells.
        plan.steps.insert(begin, Step::WriteManifest { state: State::Uninstalling });
        plan.manifest = Some(Manifest { token: request.token.clone(), ..manifest.clone() });
    }
    Ok(())
}

/// Whether the shim may go. While a swapfile of this root is on, only the shim knows how to swap it off: the real
/// tool does not find it by the path that the kernel lists, and `rm` cannot remove it.
///
/// # Errors
/// State if a swapfile of this root is active: which, and how it is swapped off.
pub(crate) fn may_go(machine: &Machine, attempt: &str) -> Result<()> {
    let of_shims = |area: &&Area| area.backing.is_some() || area.stands_in.is_some();
    let active: Vec<&Area> = machine.swaps.iter().filter(of_shims).collect();
    let (Some(_), Some(first)) = (&machine.image.home, active.first()) else { return Ok(()) };
    let names: Vec<String> = active.iter().map(|area| text::path(&area.swap.path)).collect();
    let reason = format!("swap is on in {}", names.join(", "));
    let error = Error::new(Kind::State, attempt, reason).at(&machine.image.root);
    // From outside a path in the guest's own words means another file.
    let elsewhere = first.backing.as_ref().map(|path| path.as_path()).or(first.stands_in.as_deref());
    let remedy = match elsewhere.filter(|_| !machine.running) {
        Some(path) => format!("run `swapoff {}` first", text::path(path)),
        None => format!("run `swapoff {}` or `swapoff -a` first", text::path(&first.swap.path)),
    };
    Err(error.remedy(remedy))
}

/// The steps at each recorded name; whether a shim has to stay.
fn tools(image: &Image, manifest: &Manifest, plan: &mut Plan) -> Result<bool> {
    let (mut touched, mut done, mut kept) = (Vec::new(), Vec::new(), false);
    for tool in &manifest.tools {
        if let Some(reason) = ownership::hidden(image, tool) {
            kept = true;
            plan.warnings.push(format!("{}: {reason}, so the shim is left", text::path(&tool.path)));
            continue;
        }
        let Some(slot) = image.slot(&tool.path) else {
            plan.warnings.push(format!("{} is not where a tool may stand: left", text::path(&tool.path)));
            continue;
        };
        // Merged since: two records of one name.
        if done.contains(&&slot.path) {
            continue;
        }
        done.push(&slot.path);
        match one(image, tool, slot, &mut plan.warnings) {
            Verdict::Do(step) => {
                let place = image.places.get(slot.place);
                changeable(slot.name.as_ref().map_or(0, |name| name.flags), &image.root.join(&slot.path))?;
                let real = image.root.join(format!("{}{REAL}", slot.path));
                changeable(slot.real.as_ref().map_or(0, |real| real.flags), &real)?;
                if let Some(place) = place {
                    changeable(place.flags, &image.root.join(&place.path))?;
                    touched.push(place.path.clone());
                }
                plan.steps.push(step);
            }
            Verdict::Nothing => {}
            Verdict::Leave(reason) => plan.warnings.push(format!("{}: {reason}", slot.path)),
            Verdict::Keep(reason) => {
                kept = true;
                plan.warnings.push(format!("{}: {reason}, so the shim is left", slot.path));
            }
        }
    }
    touched.dedup();
    plan.steps.extend(touched.into_iter().map(|path| Step::Sync { path }));
    Ok(kept)
}

/// What is done at one name.
enum Verdict {
    /// This.
    Do(Step),
    /// It is as it was before us.
    Nothing,
    /// It is somebody else's by now, for this reason.
    Leave(String),
    /// It is the shim, and has to stay: without it nothing would answer.
    Keep(String),
}

fn one(image: &Image, tool: &Tool, slot: &Slot, warnings: &mut Vec<String>) -> Verdict {
    let path = slot.path.clone();
    let Some(name) = &slot.name else {
        return match &slot.real {
            Some(_) => Verdict::Leave(format!("it was removed since the install, so {path}.real is left")),
            None => Verdict::Nothing,
        };
    };
    let is_shim = ownership::may_go(image, name);
    match &slot.real {
        None if is_shim && tool.real == Real::Nothing => Verdict::Do(Step::RemoveShim { path }),
        None if is_shim && package_is_gone(image, slot) => Verdict::Do(Step::RemoveShim { path }),
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
fn package_is_gone(image: &Image, slot: &Slot) -> bool {
    let Some((dpkg, manifest)) = image.dpkg.as_ref().zip(ownership::manifest_of(image)) else { return false };
    let directories =
        image.places.get(slot.place).map(|place| place.spellings.as_slice()).unwrap_or_default();
    let names: Vec<String> = directories.iter().map(|dir| format!("/{dir}/{}", slot.tool)).collect();
    names.iter().any(|name| manifest.diversions.contains(name))
        && !names.iter().any(|name| dpkg.listed.contains(name))
}

/// Whether that can do a tool's work; else why not.
fn works(image: &Image, real: &Standing) -> std::result::Result<(), &'static str> {
    match (real.entry.kind, &real.leads) {
        (FileKind::Regular, _) if ownership::may_go(image, real) => Err("is a shim as well"),
        (FileKind::Regular, _) if real.entry.mode & 0o111 != 0 => Ok(()),
        (FileKind::Symlink, Some(Leads::File | Leads::Name(_))) => Ok(()),
        _ => Err("is no program any more"),
    }
}

/// Our own files and directories. The manifest goes when all else is gone, and what is left to be done after it
/// the mark tells.
fn own_files(image: &Image, home: &Home, plan: &mut Plan) {
    let under = |name: &str| format!("{}/{name}", paths::HOME);
    let manifest = home.manifest.as_ref();
    let made = |path: &str| match manifest {
        Some(manifest) => manifest.directories.iter().any(|directory| directory == path),
        None => true,
    };
    match image.layer.upper {
        Upper::Bound => plan.steps.push(Step::DetachUpper),
        Upper::Occupied => {
            plan.warnings.push("something else is mounted at .rootfs-shim/upper: left".to_owned())
        }
        _ => {}
    }
    if home.binary.is_some() {
        plan.steps.push(Step::RemoveFile { path: under(&format!("{BIN}/{BINARY}")) });
    }
    let mut left: Vec<String> = home.foreign.iter().map(|name| under(name)).collect();
    if home.config.is_some() {
        if manifest.is_some_and(|manifest| manifest.config == home.config) {
            plan.steps.push(Step::RemoveFile { path: config_path() });
        } else {
            left.push(config_path());
        }
    }
    let occupied = image.layer.upper == Upper::Occupied;
    let busy = |name: &str| left.iter().any(|left| left.starts_with(&under(&format!("{name}/"))));
    let directories = home.directories.iter().filter(|name| !(busy(name) || occupied && *name == "upper"));
    let directories = directories.map(|name| under(name)).filter(|path| made(path));
    plan.steps.extend(directories.map(|path| Step::RemoveDirectory { path }));
    if manifest.is_some() && made("sbin") {
        plan.steps.push(Step::RemoveDirectory { path: "sbin".to_owned() });
    }
    let goes = made(paths::HOME) && left.is_empty() && !occupied;
    if goes && !home.marked {
        plan.steps.push(Step::SetMode { path: paths::HOME.to_owned(), mode: 0o700 | MARK });
    }
    if manifest.is_some() {
        plan.steps.push(Step::RemoveFile { path: under(MANIFEST) });
    }
    if goes {
        plan.steps.push(Step::RemoveDirectory { path: paths::HOME.to_owned() });
    }
    // An image may have a hundred thousand.
    let more = left.len().saturating_sub(NAMED);
    let named = left.into_iter().take(NAMED);
    plan.warnings.extend(named.map(|path| format!("{path} is not what install wrote: left")));
    plan.warnings.extend((more > 0).then(|| format!("{more} more in {} are left as well", paths::HOME)));
    plan.steps.push(Step::Sync { path: ".".to_owned() });
}
