//! From what stands in an image to the steps that put the shim there.
//!
//! Pure. The order is the crash safety: the manifest first, then every `.real`, then (a sync later) every
//! shim, so that at any moment each name answers with the real tool or with a shim that has its `.real`.
//! What cannot be done safely is left alone, with a warning that names it; what would fail half-way through
//! for a reason that can be seen beforehand is an error before anything is touched.

use std::path::Path;

use crate::command::tables::TOOLS;
use crate::error::{Error, Kind, Result};
use crate::installer::image::our_directory::UNFINISHED;
use crate::installer::image::root_mount::Upper;
use crate::installer::image::{Image, ToolName};
use crate::installer::manifest::{self, Manifest, Original, Shim, State, ToolRecord};
use crate::installer::names::{BIN, UPPER, UPPER_PATH};
use crate::installer::plan::checks::{changeable, config_path, leftovers, may_be_changed, reachable};
use crate::installer::plan::diversions::{self, Diverting};
use crate::installer::plan::orders::Orders;
use crate::installer::plan::ownership::{self, has_binary};
use crate::installer::plan::step::{InstallerPlan, Over, Step};
use crate::installer::plan::tool_name::{ToolSteps, decide};
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

/// Plans an install.
///
/// # Errors
/// Usage for an `--upper` that is not this overlay's; State for a root that cannot be changed, or is none.
pub(crate) fn plan(image: &Image, orders: &Orders) -> Result<InstallerPlan> {
    guests_root(image, orders)?;
    let mut warnings = image.warnings.clone();
    let upper = upper(image, orders, &mut warnings)?;
    let notes = at_rest(image).into_iter().collect();
    warnings.extend(strange_config(image, orders));
    let mut shims = Shims::default();
    for tool_name in &image.tool_names {
        if let Some(steps) = decide(image, orders, tool_name, &mut warnings)? {
            shims.names.push((tool_name.directory, steps));
        }
    }
    provide(image, orders, &mut shims, &mut warnings)?;
    let mut tools: Vec<ToolRecord> = shims.names.iter().map(|(_, steps)| steps.record.clone()).collect();
    tools.extend(lasting(image, &tools));
    tools.sort_by(|one, other| one.path.cmp(&other.path));
    let diverting = diversions::install(image, &tools, &mut warnings)?;
    let manifest = remember(image, orders, tools, &shims.new_directories, &diverting);
    let work = work(image, orders, &shims, diverting.steps);
    let proved = upper.filter(|_| !work.is_empty());
    let steps = order(image, orders, opening(image, proved), work, &manifest);
    if !steps.is_empty() {
        may_be_changed(image)?;
    }
    Ok(InstallerPlan { steps, warnings, notes, manifest: Some(manifest) })
}

/// Where the shims go.
#[derive(Default)]
struct Shims {
    /// What happens at each name, and the index of the directory that it is in.
    names: Vec<(usize, ToolSteps)>,
    /// Directories that are made for them, because the image has none.
    new_directories: Vec<String>,
}

/// That this may be a guest's root at all. An install that was begun or done there is carried on in any case.
fn guests_root(image: &Image, orders: &Orders) -> Result<()> {
    const NAME_IT: &str = "name the directory where the guest's root is mounted with --chroot";
    let root_mount = &image.root_mount;
    let (reason, remedy) = if image.manifest().is_some() || orders.upper_given {
        return Ok(());
    } else if KERNELS_OWN.contains(&root_mount.fstype.as_str()) {
        (format!("it is the kernel's own {}, and no guest's root", root_mount.fstype), NAME_IT)
    } else if root_mount.is_overlay() && root_mount.whole {
        return Ok(());
    } else if image.running && !root_mount.fstype.is_empty() && !root_mount.is_overlay() {
        (format!("it is not an overlay but {}, where the tools work as they are", root_mount.fstype), NAME_IT)
    } else if image.is_usr {
        ("it looks like a usr directory, and not like a root".to_owned(), "name the directory above it")
    } else if !orders.provide_missing && image.tool_names.iter().all(|tool_name| tool_name.at_name.is_none())
    {
        let reason = "it is not an overlay, and has no swapon, swapoff or mkswap".to_owned();
        (reason, "name the directory where the guest's root is, or stand in for them with --provide-missing")
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::State, "install into", reason).at(&image.root).remedy(remedy))
}

/// The upper directory that is to be proved, if it is known here. The shims look for it by themselves.
pub(crate) fn upper<'a>(
    image: &'a Image,
    orders: &Orders,
    warnings: &mut Vec<String>,
) -> Result<Option<&'a Path>> {
    let error =
        |kind, reason: &str| Err(Error::new(kind, "find the upper directory of", reason).at(&image.root));
    let overlay = image.root_mount.is_overlay() && image.root_mount.whole;
    match &image.root_mount.upper {
        _ if !overlay && orders.upper_given => {
            error(Kind::Usage, "it is not where an overlay is mounted, so --upper makes no sense").map_err(
                |error| error.remedy("leave --upper out, or name the overlay's mount point with --chroot"),
            )
        }
        Upper::Bound => Ok(None),
        Upper::Occupied => {
            warnings.push(format!("something else is mounted at {UPPER_PATH}: left"));
            Ok(None)
        }
        Upper::Found(path) => Ok(Some(path)),
        Upper::Unproved(_) if orders.upper_given => error(
            Kind::Usage,
            "the directory that --upper names is missing, or another one than this overlay's",
        )
        .map_err(|error| error.remedy("findmnt -no OPTIONS shows the right one")),
        Upper::Unproved(tried) => {
            warnings.extend(pass_through(image, overlay, tried));
            Ok(None)
        }
    }
}

/// A configuration that no install wrote: somebody's own work, which is not lost, or the image's, which is not to
/// be adopted in silence.
fn strange_config(image: &Image, orders: &Orders) -> Option<String> {
    let there = image.our_directory.as_ref()?.config.as_ref()?;
    let ours = image.manifest().is_some_and(|manifest| manifest.config.as_ref() == Some(there));
    let path = config_path();
    (!ours && orders.config.is_none()).then(|| {
        format!("{path} is not what an install wrote, and holds as it is; --config FILE replaces it")
    })
}

/// What is the matter with a root whose upper directory is not known, if anything is.
fn pass_through(image: &Image, overlay: bool, tried: &[std::path::PathBuf]) -> Option<String> {
    let root = crate::text::path(&image.root);
    if overlay {
        let tried: Vec<String> = tried.iter().map(crate::text::path).collect();
        let tried = tried.join(", ");
        return Some(format!(
            "the upper directory of {root} is not to be found here (tried: {tried}, and every mounted ext4, xfs and btrfs); \
             --upper DIR names it. Where the shims do not find it either, they will hand every call to the real tools"
        ));
    }
    image.root_mount.is_overlay().then(|| {
        format!(
            "{root} is a directory inside an overlay, not where it is mounted. The shims will hand every call to the real \
             tools"
        )
    })
}

/// An image may be prepared once, long before it is a layer of anything.
fn at_rest(image: &Image) -> Option<String> {
    (!image.root_mount.is_overlay()).then(|| {
        let root = crate::text::path(&image.root);
        format!(
            "{root} is no overlay now; the shims find the backing filesystem when it runs on an overlay root"
        )
    })
}

/// Adds the tools that the image does not have, if that is ordered.
fn provide(image: &Image, orders: &Orders, shims: &mut Shims, warnings: &mut Vec<String>) -> Result<()> {
    for tool in TOOLS {
        let stands = |tool_name: &ToolName| tool_name.tool == tool.name && tool_name.at_name.is_some();
        let unseen = image.unseen.iter().any(|path| path.rsplit('/').next() == Some(tool.name));
        if unseen || image.tool_names.iter().any(stands) {
            continue;
        }
        if !orders.provide_missing {
            warnings
                .push(format!("the image has no {}; --provide-missing puts the builtin there", tool.name));
            continue;
        }
        let (directory, path) = match PROVIDE.iter().find_map(|directory| free(image, directory, tool.name)) {
            Some(tool_name) => (tool_name.directory, tool_name.path.clone()),
            None if image.tool_directories.is_empty() => {
                shims.new_directories.push("sbin".to_owned());
                (0, format!("sbin/{}", tool.name))
            }
            None => {
                warnings.push(format!("there is no directory where {} can be provided", tool.name));
                continue;
            }
        };
        if let Some(directory) = image.tool_directories.get(directory) {
            changeable(directory.flags, &image.root.join(&directory.path))?;
        }
        let steps = ToolSteps {
            keep_real: None,
            stage_shim: Some(Step::StageShim { path: path.clone() }),
            put_shim: Some(Step::PutShim { path: path.clone(), over: Over::Nothing }),
            record: ToolRecord { path, real: Original::Nothing, sha256: None },
        };
        shims.names.push((directory, steps));
    }
    shims.new_directories.dedup();
    Ok(())
}

/// The tool's name in that directory, if nothing stands there and a shim can.
fn free<'a>(image: &'a Image, directory: &str, tool: &str) -> Option<&'a ToolName> {
    image.tool_names.iter().find(|tool_name| {
        tool_name.path == format!("{directory}/{tool}")
            && tool_name.at_real.is_none()
            && reachable(image.directory_of(tool_name)).is_ok()
    })
}

/// What the manifest goes on to say of names where nothing is done: what is not to be seen now, and what has a
/// `.real` of ours, by which the next install and uninstall know it.
fn lasting(image: &Image, tools: &[ToolRecord]) -> Vec<ToolRecord> {
    let recorded = image.manifest().into_iter().flat_map(|manifest| &manifest.tools);
    let named = recorded.map(|tool| (tool, image.tool_name(&tool.path)));
    let lasts = |(tool, tool_name): &(&ToolRecord, Option<&ToolName>)| {
        let path = tool_name.map_or(&tool.path, |tool_name| &tool_name.path);
        let has_real =
            tool.real != Original::Nothing && tool_name.is_some_and(|tool_name| tool_name.at_real.is_some());
        !tools.iter().any(|tool| tool.path == *path) && (has_real || ownership::hidden(image, tool).is_some())
    };
    let mut lasting: Vec<ToolRecord> = named.filter(lasts).map(|(tool, _)| tool.clone()).collect();
    lasting.dedup();
    lasting
}

fn remember(
    image: &Image,
    orders: &Orders,
    tools: Vec<ToolRecord>,
    made: &[String],
    diverting: &Diverting,
) -> Manifest {
    let before = image.manifest();
    let mut older: Vec<String> = before.map(|before| before.shim.older.clone()).unwrap_or_default();
    older.extend(before.map(|before| before.shim.sha256.clone()));
    older.retain(|hash| *hash != orders.binary);
    older.drain(..older.len().saturating_sub(OLDER));
    let mut directories = before.map(|before| before.directories.clone()).unwrap_or_default();
    directories
        .retain(|directory| directory == "sbin" || Path::new(directory).starts_with(paths::OUR_DIRECTORY));
    if !second_way(image).is_empty() {
        directories.retain(|directory| directory != UPPER_PATH);
    }
    let new = [paths::OUR_DIRECTORY.to_owned()].into_iter().filter(|_| is_half_made(image));
    for directory in new.chain(missing(image)).chain(made.iter().cloned()) {
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    Manifest {
        version: manifest::VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        state: State::Installed,
        token: orders.token.clone(),
        shim: Shim { sha256: orders.binary.clone(), older },
        config: orders.config.clone().or_else(|| before.and_then(|before| before.config.clone())),
        directories,
        diversions: diverting.paths.clone(),
        made_diversions: diverting.made_list,
        tools,
    }
}

/// What is done between the two notes in the manifest.
fn work(image: &Image, orders: &Orders, shims: &Shims, diverting: Vec<Step>) -> Vec<Step> {
    // Not before the manifest, which says that they are ours.
    let mut work: Vec<_> = missing(image).map(|path| Step::MakeDirectory { path, mode: 0o755 }).collect();
    if !has_binary(image, &orders.binary) {
        work.push(Step::PutBinary { sha256: orders.binary.clone() });
        work.push(Step::Sync { path: format!("{}/{BIN}", paths::OUR_DIRECTORY) });
    }
    let config_there = image.our_directory.as_ref().and_then(|ours| ours.config.as_ref());
    if let Some(sha256) = orders.config.clone().filter(|config| config_there != Some(config)) {
        work.push(Step::PutConfig { sha256 });
    }
    for path in &shims.new_directories {
        work.push(Step::MakeDirectory { path: path.clone(), mode: 0o755 });
        work.push(Step::Sync { path: ".".to_owned() });
    }
    for directory in 0..image.tool_directories.len().max(1) {
        let path = image.tool_directories.get(directory).map_or("sbin", |directory| &directory.path);
        let here = shims.names.iter().filter(|(at, _)| *at == directory).map(|(_, steps)| steps);
        work.extend(in_directory(path, &here.collect::<Vec<_>>()));
    }
    // Not before the shims: an upgrade after a crash here shall find a name of its own to replace.
    work.extend(diverting);
    work.extend(second_way(image));
    work
}

/// An older release showed upper inside the tree, where whoever walks over `/` comes to its files a second time and
/// behind the overlay's back. What somebody put into the place when nothing was mounted there is left.
fn second_way(image: &Image) -> Vec<Step> {
    let Some(ours) = &image.our_directory else { return Vec::new() };
    let has_place = ours.directories.iter().any(|name| name == UPPER);
    let is_used = ours.foreign.iter().any(|name| Path::new(name).starts_with(UPPER));
    let remove = Step::RemoveDirectory { path: UPPER_PATH.to_owned() };
    match image.root_mount.upper {
        Upper::Bound => vec![Step::DetachUpper, remove],
        Upper::Found(_) | Upper::Unproved(_) if has_place && !is_used => vec![remove],
        Upper::Found(_) | Upper::Unproved(_) | Upper::Occupied => Vec::new(),
    }
}

/// What is done at the names in one directory: no name gets its shim before every `.real` is on the disk.
fn in_directory(path: &str, names: &[&ToolSteps]) -> Vec<Step> {
    let sync = || Step::Sync { path: path.to_owned() };
    let before = names.iter().flat_map(|steps| [steps.keep_real.clone(), steps.stage_shim.clone()]);
    let mut steps: Vec<Step> = before.flatten().collect();
    if !steps.is_empty() {
        steps.push(sync());
        steps.extend(names.iter().filter_map(|steps| steps.put_shim.clone()));
        steps.push(sync());
    }
    steps
}

/// Puts the steps in their order, with the manifest written before the work and after it.
fn order(
    image: &Image,
    orders: &Orders,
    opening: Vec<Step>,
    work: Vec<Step>,
    manifest: &Manifest,
) -> Vec<Step> {
    let mut steps = opening;
    let noted = image.manifest().is_some_and(|before| before.same_as(manifest));
    if steps.is_empty() && work.is_empty() && noted {
        return steps;
    }
    let claim = is_half_made(image);
    let claim = claim.then(|| Step::SetMode { path: paths::OUR_DIRECTORY.to_owned(), mode: 0o700 });
    if !work.is_empty() {
        steps.push(Step::WriteManifest { state: begun(image.manifest(), orders) });
        steps.extend(claim.clone());
        steps.extend(work);
    }
    steps.push(Step::WriteManifest { state: State::Installed });
    steps.extend(claim.filter(|claim| !steps.contains(claim)));
    steps
}

/// What comes before the first name of the image's own is touched.
fn opening(image: &Image, upper: Option<&Path>) -> Vec<Step> {
    let mut steps = Vec::new();
    if image.our_directory.as_ref().is_none_or(|ours| ours.is_new) {
        steps.push(Step::MakeDirectory { path: paths::OUR_DIRECTORY.to_owned(), mode: 0o700 | UNFINISHED });
        steps.push(Step::Sync { path: ".".to_owned() });
    }
    steps.extend(upper.map(|upper| Step::ProveUpper { upper: upper.to_owned() }));
    steps.extend(leftovers(image).into_iter().map(|path| Step::Clean { path }));
    steps
}

/// Whether our directory is not there, or has no manifest yet that says that it is ours.
fn is_half_made(image: &Image) -> bool {
    image.our_directory.as_ref().is_none_or(|ours| ours.is_new || ours.unfinished)
}

/// Which of the directories in ours are to be made.
fn missing(image: &Image) -> impl Iterator<Item = String> {
    let is_there = |name: &str| {
        image
            .our_directory
            .iter()
            .flat_map(|our_directory| &our_directory.directories)
            .any(|there| there == name)
    };
    [BIN]
        .into_iter()
        .filter(move |name| !is_there(name))
        .map(|name| format!("{}/{name}", paths::OUR_DIRECTORY))
}

/// What the manifest says while the work goes on.
fn begun(before: Option<&Manifest>, orders: &Orders) -> State {
    match before {
        Some(before) if before.state == State::Upgrading || before.shim.sha256 != orders.binary => {
            State::Upgrading
        }
        _ => State::Installing,
    }
}
