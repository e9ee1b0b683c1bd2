//! What is done at one name: the decision for each of an image's slots.
//!
//! A name is replaced only if what stands there is a program that stays reachable under `.real`; a shim is
//! known as [`crate::installer::plan::ownership`] says, never by a link or a manifest alone. Whatever else it is, it is left, and named.

use crate::error::Result;
use crate::installer::image::file::Standing;
use crate::installer::image::{Image, Leads, Machine, Slot};
use crate::installer::manifest::{Real, Tool};
use crate::installer::plan::checks::{changeable, reachable};
use crate::installer::plan::ownership::{self, is_known, recorded};
use crate::installer::plan::request::Request;
use crate::installer::plan::step::{Over, Step};
use crate::untrusted::IN_OTHER_MOUNT;
use crate::untrusted::entry::FileKind;

/// What happens at one name.
pub(crate) struct Decision {
    /// Before the first sync, also before it, and after it.
    pub(crate) steps: (Option<Step>, Option<Step>, Option<Step>),
    /// What the manifest says.
    pub(crate) tool: Tool,
}

/// Looks at one name; what is left alone for a reason is among the warnings.
pub(crate) fn decide(
    image: &Image,
    request: &Request,
    slot: &Slot,
    warnings: &mut Vec<String>,
) -> Result<Option<Decision>> {
    let Some(name) = &slot.name else {
        if slot.real.is_some() && recorded(image, slot).is_some() {
            warnings.push(format!(
                "{0} is gone and {0}.real is left: install its package again, or remove that",
                slot.path
            ));
        }
        return Ok(None);
    };
    let verdict = if ownership::is_shim(image, request, slot, name) {
        over_shim(image, request, slot, name, warnings)
    } else {
        over_tool(image, request, slot, name)
    };
    match verdict {
        Ok(decision) => {
            if let Some(decision) = &decision
                && decision.steps.2.is_some()
            {
                changeable(name.flags, &image.root.join(&slot.path))?;
                let place = image.places.get(slot.place);
                changeable(
                    place.map_or(0, |place| place.flags),
                    &image.root.join(place.map_or("", |p| &p.path)),
                )?;
            }
            Ok(decision)
        }
        Err(reason) => {
            if !reason.is_empty() {
                warnings.push(format!("{} is left as it is: {reason}", slot.path));
            }
            Ok(None)
        }
    }
}

/// A shim stands there: the very one (nothing to do), or another (it is replaced).
fn over_shim(
    image: &Image,
    request: &Request,
    slot: &Slot,
    name: &Standing,
    warnings: &mut Vec<String>,
) -> std::result::Result<Option<Decision>, String> {
    let is_copy = |real: &Standing| {
        real.entry.kind == FileKind::Regular
            && (is_known(image, real) || real.sha256.as_deref() == Some(&request.binary))
    };
    let tool = match (&slot.real, recorded(image, slot)) {
        // What was there before is not forgotten because somebody put a shim over it.
        (Some(real), Some(tool)) if is_copy(real) => {
            let path = &slot.path;
            warnings
                .push(format!("{path}.real is a shim as well, so the shim at {path} does the work itself"));
            tool.clone()
        }
        (Some(real), None) if is_copy(real) => return Err(format!("{}.real is a shim as well", slot.path)),
        (Some(real), _) => entry(slot, real),
        // What stood here before us is not forgotten because somebody removed it: uninstall would take the
        // name away for good.
        (None, Some(tool)) if tool.real != Real::Nothing => {
            warnings.push(format!(
                "{0}.real is gone, so the shim at {0} does the work itself; install its package again",
                slot.path
            ));
            tool.clone()
        }
        (None, _) => nothing(slot),
    };
    let current = ownership::is_current(image, request, name);
    if !current {
        reachable(image.places.get(slot.place))?;
        if name.sha256.is_none() || !(is_copy(name)) {
            warnings.push(format!(
                "{0} was written to, and with it every other shim, which are links of one file: the shim is put \
                 there again; what was meant to replace the tool belongs at {0}.real",
                slot.path
            ));
        }
    }
    let path = || slot.path.clone();
    let replace = (!current).then(|| Step::PutShim { path: path(), over: Over::Shim });
    let stage = (!current).then(|| Step::StageShim { path: path() });
    Ok(Some(Decision { steps: (None, stage, replace), tool }))
}

/// A tool stands there; the error says why it is left, and is empty if nobody needs to know.
fn over_tool(
    image: &Image,
    request: &Request,
    slot: &Slot,
    name: &Standing,
) -> std::result::Result<Option<Decision>, String> {
    usable(image, request, slot, name)?;
    let path = || slot.path.clone();
    let ours = recorded(image, slot).is_some_and(|tool| tool.real != Real::Nothing);
    let keep = match &slot.real {
        None => Some(Step::KeepReal { path: path() }),
        Some(real) if name.is_same_file(real) && recorded(image, slot).is_some() => None,
        Some(real) if ours && matches!(real.entry.kind, FileKind::Regular | FileKind::Symlink) => {
            Some(Step::AdoptReal { path: path() })
        }
        Some(_) => return Err(format!("{}.real is there already and is not ours", slot.path)),
    };
    let put = Step::PutShim { path: path(), over: Over::Tool };
    Ok(Some(Decision {
        steps: (keep, Some(Step::StageShim { path: path() }), Some(put)),
        tool: entry(slot, name),
    }))
}

fn usable(image: &Image, request: &Request, slot: &Slot, name: &Standing) -> std::result::Result<(), String> {
    match (name.entry.kind, &name.leads) {
        (FileKind::Regular, _) if name.entry.mode & 0o111 == 0 => {
            return Err("it is not executable".to_owned());
        }
        (FileKind::Regular, _) | (FileKind::Symlink, Some(Leads::File)) => {}
        (FileKind::Symlink, Some(Leads::Name(other))) => {
            let there = image.slots.iter().find(|slot| slot.path == *other);
            if *other == slot.path || there.is_none_or(|there| there.name.is_none()) {
                return Err("it is a symbolic link that leads nowhere".to_owned());
            }
            if there.is_some_and(|there| there.tool == slot.tool) {
                // The shim goes there, and this link leads to it.
                return Err(String::new());
            }
        }
        (FileKind::Symlink, Some(Leads::Text)) => {
            return Err("it is a symbolic link to a file that is not executable".to_owned());
        }
        (FileKind::Symlink, Some(Leads::Astray(kind))) => {
            return Err(format!("it is a symbolic link to {}", kind.words()));
        }
        (FileKind::Symlink, _) => return Err("it is a symbolic link that leads nowhere".to_owned()),
        (kind, _) => return Err(format!("it is {}", kind.words())),
    }
    if let (Some(theirs), Some(ours)) = (name.machine, request.machine)
        && !runs_on(ours, theirs)
    {
        return Err(format!("it is for another architecture (ELF machine {}, ours is {})", theirs.0, ours.0));
    }
    reachable(image.places.get(slot.place))?;
    if name.elsewhere { Err(IN_OTHER_MOUNT.to_owned()) } else { Ok(()) }
}

/// Whether an image with tools for `theirs` can run a binary for `ours`: also the 32-bit brother's.
fn runs_on(ours: Machine, theirs: Machine) -> bool {
    const BROTHERS: [(u16, u16); 2] = [(62, 3), (183, 40)];
    ours == theirs || BROTHERS.contains(&(ours.0, theirs.0))
}

fn nothing(slot: &Slot) -> Tool {
    Tool { path: slot.path.clone(), real: Real::Nothing, sha256: None }
}

fn entry(slot: &Slot, real: &Standing) -> Tool {
    let kind = if real.entry.kind == FileKind::Symlink { Real::Link } else { Real::File };
    Tool { path: slot.path.clone(), real: kind, sha256: real.sha256.clone() }
}
