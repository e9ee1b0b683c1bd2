//! From what stands in an image to the steps that put the shim there.
//!
//! Pure. The order is the crash safety: the manifest first, then every `.real`, then (a sync later) every
//! shim, so that at any moment each name answers with the real tool or with a shim that has its `.real`.
//! What cannot be done safely is left alone, with a warning that names it; what would fail half-way through
//! for a reason that can be seen beforehand is an error before anything is touched.

use std::path::Path;

use crate::command::tables::TOOLS;
use crate::error::{Error, Kind, Result};
use crate::installer::image::our_directory::MARK;
use crate::installer::image::root_mount::Upper;
use crate::installer::image::{Image, Slot};
use crate::installer::manifest::{self, Manifest, Real, Shim, State, Tool};
use crate::installer::names::BIN;
use crate::installer::plan::checks::{changeable, config_path, leftovers, reachable};
use crate::installer::plan::diversions::{self, Diverting};
use crate::installer::plan::ownership::{self, has_binary, manifest_of};
use crate::installer::plan::request::Request;
use crate::installer::plan::step::{Over, Plan, Step};
use crate::installer::plan::tool_name::{Decision, decide};
use crate::paths;

/// How many older shims are remembered.
const OLDER: usize = 8;
/// Filesystems that the kernel makes up.
const KERNELS_OWN: [&str; 18] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "securityfs",
    "sysfs",
    "tracefs",
];
/// Where a shim is provided when the image has no such tool: the first of these that is there.
const PROVIDE: [&str; 4] = ["usr/sbin", "sbin", "usr/bin", "bin"];

/// # Errors
/// Usage for an `--upper` that is not this overlay's; State for a root that cannot be changed, or is none.
pub(crate) fn plan(image: &Image, request: &Request) -> Result<Plan> {
    guests_root(image, request)?;
    let mut warnings = image.warnings.clone();
    let upper = upper(image, request, &mut warnings)?;
    warnings.extend(strange_config(image, request));
    let mut decisions: Vec<(usize, Decision)> = Vec::new();
    for slot in &image.slots {
        if let Some(decision) = decide(image, request, slot, &mut warnings)? {
            decisions.push((slot.place, decision));
        }
    }
    let mut made = Vec::new();
    provide(image, request, &mut decisions, &mut made, &mut warnings)?;
    let mut tools: Vec<Tool> = decisions.iter().map(|(_, decision)| decision.tool.clone()).collect();
    tools.extend(lasting(image, &tools));
    tools.sort_by(|one, other| one.path.cmp(&other.path));
    let diverting = diversions::install(image, request.running, &tools, &mut warnings)?;
    let manifest = remember(image, request, tools, &made, &diverting);
    let steps = order(image, request, &decisions, &made, (upper, diverting.steps), &manifest);
    if !steps.is_empty() {
        changeable(image.flags, &image.root)?;
        if image.layer.read_only {
            return Err(Error::new(Kind::State, "change", "it is mounted read-only")
                .at(&image.root)
                .remedy("mount it read-write first"));
        }
    }
    Ok(Plan { steps, warnings, manifest: Some(manifest) })
}

/// That this may be a guest's root at all. An install that was begun or done there is carried on in any case.
fn guests_root(image: &Image, request: &Request) -> Result<()> {
    const NAME_IT: &str = "name the directory where the guest's root is mounted with --chroot";
    let layer = &image.layer;
    let (reason, remedy) = if manifest_of(image).is_some() || request.upper_given {
        return Ok(());
    } else if KERNELS_OWN.contains(&layer.fstype.as_str()) {
        (format!("it is the kernel's own {}, and no guest's root", layer.fstype), NAME_IT)
    } else if layer.is_overlay() && layer.whole {
        return Ok(());
    } else if request.running && !layer.fstype.is_empty() && !layer.is_overlay() {
        (format!("it is not an overlay but {}, where the tools work as they are", layer.fstype), NAME_IT)
    } else if image.is_usr {
        ("it looks like a usr directory, and not like a root".to_owned(), "name the directory above it")
    } else if !request.provide_missing && image.slots.iter().all(|slot| slot.name.is_none()) {
        let reason = "it is not an overlay, and has no swapon, swapoff or mkswap".to_owned();
        (reason, "name the directory where the guest's root is, or stand in for them with --provide-missing")
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::State, "install into", reason).at(&image.root).remedy(remedy))
}

/// The upper directory that is to be mounted, if one is.
pub(crate) fn upper<'a>(
    image: &'a Image,
    request: &Request,
    warnings: &mut Vec<String>,
) -> Result<Option<&'a Path>> {
    let error =
        |kind, reason: &str| Err(Error::new(kind, "find the upper directory of", reason).at(&image.root));
    let overlay = image.layer.is_overlay() && image.layer.whole;
    match &image.layer.upper {
        _ if !overlay && request.upper_given => {
            error(Kind::Usage, "it is not where an overlay is mounted, so --upper makes no sense").map_err(
                |error| error.remedy("leave --upper out, or name the overlay's mount point with --chroot"),
            )
        }
        Upper::Bound => Ok(None),
        Upper::Occupied => error(Kind::State, "something else is mounted at .rootfs-shim/upper")
            .map_err(|error| error.remedy("unmount it there")),
        Upper::Found(path) => Ok(Some(path)),
        Upper::Unproved(_) if request.upper_given => error(
            Kind::Usage,
            "the directory that --upper names is missing, or another one than this overlay's",
        )
        .map_err(|error| error.remedy("findmnt -no OPTIONS shows the right one")),
        Upper::Unproved(tried) => {
            warnings.push(pass_through(image, request, overlay, tried));
            Ok(None)
        }
    }
}

/// A configuration that no install wrote: somebody's own work, which is not lost, or the image's, which is not to
/// be adopted in silence.
fn strange_config(image: &Image, request: &Request) -> Option<String> {
    let there = image.home.as_ref()?.config.as_ref()?;
    let ours = manifest_of(image).is_some_and(|manifest| manifest.config.as_ref() == Some(there));
    let path = config_path();
    (!ours && request.config.is_none()).then(|| {
        format!("{path} is not what an install wrote, and holds as it is; --config FILE replaces it")
    })
}

fn pass_through(image: &Image, request: &Request, overlay: bool, tried: &[std::path::PathBuf]) -> String {
    let root = crate::text::path(&image.root);
    let why = if overlay {
        let tried: Vec<String> = tried.iter().map(crate::text::path).collect();
        let hint = if request.running {
            "it was mounted before the guest's root was switched to"
        } else {
            "--upper DIR names it"
        };
        format!("the upper directory of {root} is not to be found here (tried: {}); {hint}", tried.join(", "))
    } else if image.layer.is_overlay() {
        format!("{root} is a directory inside an overlay, not where it is mounted")
    } else {
        format!("{root} is not an overlay")
    };
    format!("{why}. The shims will hand every call to the real tools")
}

fn provide(
    image: &Image,
    request: &Request,
    decisions: &mut Vec<(usize, Decision)>,
    made: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<()> {
    for tool in TOOLS {
        let stands = |slot: &Slot| slot.tool == tool.name && slot.name.is_some();
        let unseen = image.unseen.iter().any(|path| path.rsplit('/').next() == Some(tool.name));
        if unseen || image.slots.iter().any(stands) {
            continue;
        }
        if !request.provide_missing {
            warnings
                .push(format!("the image has no {}; --provide-missing puts the builtin there", tool.name));
            continue;
        }
        let free = |path: &&str| {
            image.slots.iter().find(|slot| {
                slot.path == format!("{path}/{}", tool.name)
                    && slot.real.is_none()
                    && reachable(image.places.get(slot.place)).is_ok()
            })
        };
        let (index, path) = match PROVIDE.iter().find_map(free) {
            Some(slot) => (slot.place, slot.path.clone()),
            None if image.places.is_empty() => {
                made.push("sbin".to_owned());
                (0, format!("sbin/{}", tool.name))
            }
            None => {
                warnings.push(format!("there is no directory where {} can be provided", tool.name));
                continue;
            }
        };
        if let Some(place) = image.places.get(index) {
            changeable(place.flags, &image.root.join(&place.path))?;
        }
        let stage = Some(Step::StageShim { path: path.clone() });
        let put = Some(Step::PutShim { path: path.clone(), over: Over::Nothing });
        let tool = Tool { path, real: Real::Nothing, sha256: None };
        decisions.push((index, Decision { steps: (None, stage, put), tool }));
    }
    made.dedup();
    Ok(())
}

/// What the manifest goes on to say of names where nothing is done: what is not to be seen now, and what has a
/// `.real` of ours, by which the next install and uninstall know it.
fn lasting(image: &Image, tools: &[Tool]) -> Vec<Tool> {
    let recorded = manifest_of(image).into_iter().flat_map(|manifest| &manifest.tools);
    let named = recorded.map(|tool| (tool, image.slot(&tool.path)));
    let lasts = |(tool, slot): &(&Tool, Option<&Slot>)| {
        let path = slot.map_or(&tool.path, |slot| &slot.path);
        let has_real = tool.real != Real::Nothing && slot.is_some_and(|slot| slot.real.is_some());
        !tools.iter().any(|tool| tool.path == *path) && (has_real || ownership::hidden(image, tool).is_some())
    };
    let mut lasting: Vec<Tool> = named.filter(lasts).map(|(tool, _)| tool.clone()).collect();
    lasting.dedup();
    lasting
}

fn remember(
    image: &Image,
    request: &Request,
    tools: Vec<Tool>,
    made: &[String],
    diverting: &Diverting,
) -> Manifest {
    let before = manifest_of(image);
    let mut older: Vec<String> = before.map(|before| before.shim.older.clone()).unwrap_or_default();
    older.extend(before.map(|before| before.shim.sha256.clone()));
    older.retain(|hash| *hash != request.binary);
    older.drain(..older.len().saturating_sub(OLDER));
    let mut directories = before.map(|before| before.directories.clone()).unwrap_or_default();
    directories.retain(|directory| directory == "sbin" || Path::new(directory).starts_with(paths::HOME));
    let new = [paths::HOME.to_owned()].into_iter().filter(|_| is_half_made(image, request));
    for directory in new.chain(missing(image)).chain(made.iter().cloned()) {
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    Manifest {
        version: manifest::VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        state: State::Installed,
        token: request.token.clone(),
        shim: Shim { sha256: request.binary.clone(), older },
        config: request.config.clone().or_else(|| before.and_then(|before| before.config.clone())),
        directories,
        diversions: diverting.paths.clone(),
        made_diversions: diverting.made_list,
        tools,
    }
}

fn order(
    image: &Image,
    request: &Request,
    decisions: &[(usize, Decision)],
    made: &[String],
    (upper, diverting): (Option<&Path>, Vec<Step>),
    manifest: &Manifest,
) -> Vec<Step> {
    let home = image.home.clone().unwrap_or_default();
    // Not before the manifest, which says that they are ours.
    let mut work: Vec<_> = missing(image).map(|path| Step::MakeDirectory { path, mode: 0o755 }).collect();
    let under = |name: &str| format!("{}/{name}", paths::HOME);
    if !has_binary(image, &request.binary) {
        work.push(Step::PutBinary { sha256: request.binary.clone() });
        work.push(Step::Sync { path: under(BIN) });
    }
    if let Some(sha256) = request.config.clone().filter(|config| home.config.as_ref() != Some(config)) {
        work.push(Step::PutConfig { sha256 });
    }
    for path in made {
        work.push(Step::MakeDirectory { path: path.clone(), mode: 0o755 });
        work.push(Step::Sync { path: ".".to_owned() });
    }
    for place in 0..image.places.len().max(1) {
        let here: Vec<&Decision> = decisions.iter().filter(|d| d.0 == place).map(|d| &d.1).collect();
        let path = image.places.get(place).map_or("sbin", |place| &place.path).to_owned();
        let before = here.iter().flat_map(|d| [d.steps.0.clone(), d.steps.1.clone()]).flatten();
        let before: Vec<Step> = before.collect();
        if !before.is_empty() {
            work.extend(before);
            work.push(Step::Sync { path: path.clone() });
            work.extend(here.iter().filter_map(|d| d.steps.2.clone()));
            work.push(Step::Sync { path });
        }
    }
    // Not before the shims: an upgrade after a crash here shall find a name of its own to replace.
    work.extend(diverting);
    if let Some(upper) = upper {
        if image.layer.shared && !request.running {
            work.push(Step::MakePrivate);
        }
        work.push(Step::BindUpper { upper: upper.to_owned() });
    }
    let mut steps = opening(image, request, upper);
    let noted = home.manifest.as_ref().is_some_and(|before| before.same_as(manifest));
    if steps.is_empty() && work.is_empty() && noted {
        return steps;
    }
    let claim = is_half_made(image, request);
    let claim = claim.then(|| Step::SetMode { path: paths::HOME.to_owned(), mode: 0o700 });
    if !work.is_empty() {
        steps.push(Step::WriteManifest { state: begun(home.manifest.as_ref(), request) });
        steps.extend(claim.clone());
        steps.extend(work);
    }
    steps.push(Step::WriteManifest { state: State::Installed });
    steps.extend(claim.filter(|claim| !steps.contains(claim)));
    steps
}

/// What comes before the first name of the image's own is touched.
fn opening(image: &Image, request: &Request, upper: Option<&Path>) -> Vec<Step> {
    let mut steps = Vec::new();
    if image.home.is_none() || request.home_made {
        steps.push(Step::MakeDirectory { path: paths::HOME.to_owned(), mode: 0o700 | MARK });
        steps.push(Step::Sync { path: ".".to_owned() });
    }
    steps.extend(upper.map(|upper| Step::ProveUpper { upper: upper.to_owned() }));
    steps.extend(leftovers(image).into_iter().map(|path| Step::Clean { path }));
    steps
}

/// Whether our directory is not there, or has no manifest yet that says that it is ours.
fn is_half_made(image: &Image, request: &Request) -> bool {
    request.home_made || image.home.as_ref().is_none_or(|home| home.marked)
}

/// Which of the directories in ours are to be made.
fn missing(image: &Image) -> impl Iterator<Item = String> {
    let is_there =
        |name: &str| image.home.iter().flat_map(|home| &home.directories).any(|there| there == name);
    [BIN, "upper"]
        .into_iter()
        .filter(move |name| !is_there(name))
        .map(|name| format!("{}/{name}", paths::HOME))
}

/// What the manifest says while the work goes on.
fn begun(before: Option<&Manifest>, request: &Request) -> State {
    match before {
        Some(before) if before.state == State::Upgrading || before.shim.sha256 != request.binary => {
            State::Upgrading
        }
        _ => State::Installing,
    }
}
