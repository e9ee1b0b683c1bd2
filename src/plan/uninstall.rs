//! From what stands in an image to the steps that take the shim out again.
//!
//! Pure. Only what the manifest says is ours, and still is ours by its content, is touched; anything that
//! was changed since is left and named. The tools come first, our own directory last, so that a crash in
//! between leaves working names and a manifest that says what is still to be done.

use super::divert;
use super::install::{Request, changeable, config_path, leftovers};
use super::step::{Plan, Step};
use crate::error::{Error, Kind, Result};
use crate::manifest::{Manifest, Real, Tool};
use crate::root::FileKind;
use crate::world::image::{BIN, BINARY, Home, Image, MANIFEST, Slot};
use crate::world::layer::Upper;
use crate::world::machine::{Area, Machine};
use crate::{escape, paths};

/// # Errors
/// State if our directory is there, but no manifest that says what to do.
pub fn plan(image: &Image, request: &Request) -> Result<Plan> {
    let mut plan = Plan { steps: Vec::new(), warnings: image.warnings.clone(), manifest: None };
    let Some(home) = &image.home else { return Ok(plan) };
    plan.steps.extend(leftovers(image));
    match &home.manifest {
        Some(manifest) => {
            // First: an upgrade after a crash here replaces the shim with the right tool.
            plan.steps.extend(divert::uninstall(image, request.running, manifest)?);
            tools(image, home, manifest, &mut plan)?;
        }
        None if home.binary.is_none() => {}
        None => {
            let reason = format!("there is no {MANIFEST} in it that says what is ours");
            let error = Error::new(Kind::State, "uninstall from", reason).at(image.root.join(paths::HOME));
            return Err(error.remedy("run rootfs-shim install first: it finds out again"));
        }
    }
    match image.layer.upper {
        Upper::Bound => plan.steps.push(Step::DetachUpper),
        Upper::Occupied => {
            plan.warnings.push("something else is mounted at .rootfs-shim/upper: left".to_owned())
        }
        _ => {}
    }
    own_files(image, home, &mut plan);
    if !plan.steps.is_empty() {
        changeable(image.flags, &image.root)?;
        if image.layer.read_only {
            let error = Error::new(Kind::State, "change", "it is mounted read-only").at(&image.root);
            return Err(error.remedy("mount it read-write first"));
        }
    }
    Ok(plan)
}

/// Whether the shim may go. While a swapfile of this root is on, only the shim knows how to swap it off: the real
/// tool does not find it by the path that the kernel lists, and `rm` cannot remove it.
///
/// # Errors
/// State if a swapfile of this root is active: which, and how it is swapped off.
pub fn may_go(machine: &Machine) -> Result<()> {
    let active: Vec<&Area> = machine.swaps.iter().filter(|area| area.backing.is_some()).collect();
    let (Some(_), Some(first)) = (&machine.image.home, active.first()) else { return Ok(()) };
    let names: Vec<String> = active.iter().map(|area| escape::path(&area.swap.path)).collect();
    let reason = format!("swap is on in {}", names.join(", "));
    let error = Error::new(Kind::State, "uninstall from", reason).at(&machine.image.root);
    let backing = first.backing.as_ref().filter(|_| !machine.running);
    let remedy = match backing {
        // From outside a path in the guest's own words means another file.
        Some(backing) => format!("run `swapoff {}` first", escape::path(backing.as_path())),
        None => format!("run `swapoff {}` or `swapoff -a` first", escape::path(&first.swap.path)),
    };
    Err(error.remedy(remedy))
}

fn tools(image: &Image, home: &Home, manifest: &Manifest, plan: &mut Plan) -> Result<()> {
    let mut touched: Vec<String> = Vec::new();
    for tool in &manifest.tools {
        let Some(slot) = image.slots.iter().find(|slot| slot.path == tool.path) else {
            plan.warnings.push(format!("{} is not where a tool may stand: left", escape::path(&tool.path)));
            continue;
        };
        match one(home, manifest, tool, slot) {
            Ok(Some(step)) => {
                let place = image.places.get(slot.place);
                changeable(slot.name.as_ref().map_or(0, |name| name.flags), &image.root.join(&slot.path))?;
                changeable(slot.real.as_ref().map_or(0, |real| real.flags), &image.root.join(&slot.path))?;
                changeable(place.map_or(0, |place| place.flags), &image.root.join(&slot.path))?;
                touched.extend(place.map(|place| place.path.clone()));
                plan.steps.push(step);
            }
            Ok(None) => {}
            Err(reason) => plan.warnings.push(format!("{}: {reason}", slot.path)),
        }
    }
    touched.dedup();
    plan.steps.extend(touched.into_iter().map(|path| Step::Sync { path }));
    Ok(())
}

/// What is done at one name; the error says why it is left.
fn one(
    home: &Home,
    manifest: &Manifest,
    tool: &Tool,
    slot: &Slot,
) -> std::result::Result<Option<Step>, String> {
    let path = slot.path.clone();
    let real =
        slot.real.as_ref().filter(|real| matches!(real.entry.kind, FileKind::Regular | FileKind::Symlink));
    let is_shim = slot.name.as_ref().is_some_and(|name| {
        let hash = name.sha256.as_deref().unwrap_or_default();
        name.entry.kind == FileKind::Regular
            && (manifest.is_shim(hash) || home.binary.as_deref() == Some(hash))
    });
    match (&slot.name, real) {
        (Some(_), Some(_)) if is_shim => Ok(Some(Step::Restore { path })),
        (Some(_), None) if is_shim && tool.real == Real::Nothing => Ok(Some(Step::RemoveShim { path })),
        (Some(_), None) if is_shim => Err(format!("{path}.real is gone, so the shim is left")),
        (Some(name), Some(real)) if name.is_same_file(real) => {
            Ok(Some(Step::RemoveFile { path: format!("{path}.real") }))
        }
        (Some(_), Some(_)) => {
            Err(format!("it was replaced since the install, so it and {path}.real are left"))
        }
        (None, Some(_)) => Err(format!("it was removed since the install, so {path}.real is left")),
        (_, None) => Ok(None),
    }
}

/// Our own files and directories, innermost first.
fn own_files(image: &Image, home: &Home, plan: &mut Plan) {
    let under = |name: &str| format!("{}/{name}", paths::HOME);
    let manifest = home.manifest.as_ref();
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
    if manifest.is_some() {
        plan.steps.push(Step::RemoveFile { path: under(MANIFEST) });
    }
    let occupied = image.layer.upper == Upper::Occupied;
    let directories = home.directories.iter().filter(|name| !(occupied && *name == "upper"));
    let busy = |name: &str| left.iter().any(|left| left.starts_with(&under(&format!("{name}/"))));
    plan.steps.extend(
        directories.filter(|name| !busy(name)).map(|name| Step::RemoveDirectory { path: under(name) }),
    );
    if left.is_empty() && !occupied {
        plan.steps.push(Step::RemoveDirectory { path: paths::HOME.to_owned() });
    }
    if manifest.is_some_and(|manifest| manifest.directories.iter().any(|directory| directory == "sbin")) {
        plan.steps.push(Step::RemoveDirectory { path: "sbin".to_owned() });
    }
    plan.warnings.extend(left.into_iter().map(|path| format!("{path} is not what install wrote: left")));
    plan.steps.push(Step::Sync { path: ".".to_owned() });
}
