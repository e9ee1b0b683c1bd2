//! Which of dpkg's paths go to `.real`, and what is to be done for it.
//!
//! A diversion holds for one spelling of a path, and on a merged system each of `/sbin/swapon` and
//! `/usr/sbin/swapon` may be the package's: bookworm's has the one, trixie's the other. Only the package's own
//! is diverted: with both, an upgrade from the one to the other would end with dpkg removing the new `.real`
//! as the old file (seen with 1.21), and without it the new tool replaces the shim, which the next install
//! mends. Where no package has the name yet, every spelling is diverted. Two diversions that get in each
//! other's way make dpkg refuse to work, so whatever touches one of somebody else's is left out and named.

use crate::error::Result;
use crate::installer::image::dpkg::{self, Diversion, Dpkg};
use crate::installer::image::{Image, ToolName};
use crate::installer::manifest::{Manifest, Original, ToolRecord};
use crate::installer::plan::checks::changeable;
use crate::installer::plan::ownership;
use crate::installer::plan::step::{ListWriter, Step};

/// No package may ship anything below this (Debian Policy 9.1.2).
const NO_PACKAGE: &str = "usr/local/";

/// What install does about dpkg.
#[derive(Debug, Default)]
pub(crate) struct Diverting {
    /// What the manifest says is ours.
    pub paths: Vec<String>,
    /// Whether there was no list before us.
    pub made_list: bool,
    pub steps: Vec<Step>,
}

/// What install does, so that exactly the shims at `tools` are diverted.
///
/// # Errors
/// State if chattr(1) forbids it.
pub(crate) fn install(image: &Image, tools: &[ToolRecord], warnings: &mut Vec<String>) -> Result<Diverting> {
    let before = image.manifest();
    let recorded = before.map(recorded).unwrap_or_default();
    let made_before = before.is_some_and(|before| before.made_diversions);
    let Some(dpkg) = &image.dpkg else {
        // It may be there again next time.
        return Ok(Diverting { paths: recorded, made_list: made_before, steps: Vec::new() });
    };
    let there = present(dpkg);
    let is_there = |path: &String| is_made(&there, path);
    let (mut paths, mut add) = (Vec::new(), Vec::new());
    let mut wanted = spellings(image, dpkg, tools);
    if tools.iter().any(|tool| ownership::hidden(image, tool).is_some()) {
        wanted.extend(recorded.iter().filter(|path| !wanted.contains(path)).cloned().collect::<Vec<_>>());
    }
    for path in &wanted {
        if is_there(path) {
            paths.extend(recorded.contains(path).then(|| path.clone()));
        } else if let Some(other) = there.iter().find(|one| collides(one, path)) {
            let [from, to] = [other.path, other.to].map(crate::text::escape);
            warnings.push(format!(
                "dpkg diverts {from} to {to} already, so {path} is not diverted: an upgrade will replace the shim"
            ));
        } else {
            add.push(path.clone());
            paths.push(path.clone());
        }
    }
    let gone: Vec<String> =
        recorded.into_iter().filter(|path| !wanted.contains(path) && is_there(path)).collect();
    let made_list = made_before || (dpkg.list.is_none() && !add.is_empty());
    let mut changes = ListChanges::new(image, dpkg, made_list);
    changes.end(gone)?;
    changes.make(add)?;
    Ok(Diverting { paths, made_list, steps: changes.steps })
}

/// What uninstall does: only the diversions that are ours, and still are, go.
///
/// # Errors
/// State if chattr(1) forbids it.
pub(crate) fn uninstall(image: &Image, manifest: &Manifest) -> Result<Vec<Step>> {
    let Some(dpkg) = &image.dpkg else { return Ok(Vec::new()) };
    let mut changes = ListChanges::new(image, dpkg, manifest.made_diversions);
    let there = present(dpkg);
    changes.end(recorded(manifest).into_iter().filter(|path| is_made(&there, path)).collect())?;
    Ok(changes.steps)
}

/// Which of the recorded diversions dpkg does not have any more.
pub(crate) fn missing(image: &Image, manifest: &Manifest) -> Vec<String> {
    let Some(dpkg) = &image.dpkg else { return Vec::new() };
    let there = present(dpkg);
    recorded(manifest).into_iter().filter(|path| !is_made(&there, path)).collect()
}

/// The steps that change dpkg's list, and what it is after them.
struct ListChanges<'a> {
    image: &'a Image,
    dpkg: &'a Dpkg,
    /// Whether there was no list before us, so that an empty one goes.
    made_list: bool,
    list: Vec<u8>,
    steps: Vec<Step>,
}

impl<'a> ListChanges<'a> {
    fn new(image: &'a Image, dpkg: &'a Dpkg, made_list: bool) -> Self {
        Self { image, dpkg, made_list, list: dpkg.list.clone().unwrap_or_default(), steps: Vec::new() }
    }

    fn make(&mut self, paths: Vec<String>) -> Result<()> {
        if !paths.is_empty() {
            self.list = dpkg::with(&self.list, &paths);
            let list = self.writer()?;
            self.steps.push(Step::Divert { paths, list });
        }
        Ok(())
    }

    fn end(&mut self, paths: Vec<String>) -> Result<()> {
        if !paths.is_empty() {
            self.list = dpkg::without(&self.list, &paths);
            let list = self.writer()?;
            self.steps.push(Step::Undivert { paths, list });
        }
        Ok(())
    }

    /// Who writes the list as it is now.
    fn writer(&self) -> Result<ListWriter> {
        if self.image.running && self.dpkg.has_tool {
            return Ok(ListWriter::DpkgDivert);
        }
        changeable(self.dpkg.flags, &self.image.root.join(dpkg::ADMIN))?;
        let has_content = !self.list.is_empty() || !self.made_list;
        Ok(ListWriter::File { content: has_content.then(|| self.list.clone()) })
    }
}

/// Whether dpkg has the diversion that install makes of that path.
fn is_made(there: &[Diversion<'_>], path: &str) -> bool {
    there.iter().any(|one| dpkg::is_ours(one, path))
}

fn present(dpkg: &Dpkg) -> Vec<Diversion<'_>> {
    dpkg.list.as_deref().and_then(dpkg::parse).unwrap_or_default()
}

/// The recorded paths that install could have recorded: a manifest is a stranger's.
fn recorded(manifest: &Manifest) -> Vec<String> {
    manifest.diversions.iter().filter(|path| dpkg::is_name(path)).cloned().collect()
}

/// The absolute paths that a package has, or may once have, for one of these shims.
fn spellings(image: &Image, dpkg: &Dpkg, tools: &[ToolRecord]) -> Vec<String> {
    // Where the shim is gone, a package that comes again shall put its tool at the name itself.
    let stands = |tool: &ToolRecord, tool_name: &&ToolName| {
        tool_name.at_name.is_some() || tool.real == Original::Nothing
    };
    let tool_names = tools
        .iter()
        .filter_map(|tool| image.tool_name(&tool.path).filter(|tool_name| stands(tool, tool_name)));
    let mut paths = Vec::new();
    for tool_name in tool_names {
        let directory = image.directory_of(tool_name);
        let directories = directory.iter().flat_map(|directory| &directory.spellings);
        let all: Vec<String> = directories
            .filter(|directory| !directory.starts_with(NO_PACKAGE))
            .map(|directory| format!("/{directory}/{}", tool_name.tool))
            .collect();
        let own: Vec<String> = all.iter().filter(|path| dpkg.listed.contains(path)).cloned().collect();
        paths.extend(if own.is_empty() { all } else { own });
    }
    paths
}

/// Whether dpkg would see two diversions in each other's way.
fn collides(other: &Diversion<'_>, path: &str) -> bool {
    let real = dpkg::real_of(path);
    [other.path, other.to].iter().any(|one| *one == path.as_bytes() || *one == real.as_bytes())
}
