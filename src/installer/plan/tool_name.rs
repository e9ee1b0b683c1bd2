//! What is done at one tool's name in an image.
//!
//! A name is replaced only if what stands there is a program that stays reachable under `.real`; a shim is
//! known as [`crate::installer::plan::ownership`] says, never by a link or a manifest alone. Whatever else it is, it
//! is left, and named.

use crate::error::Result;
use crate::installer::image::elf::Architecture;
use crate::installer::image::file::FileAtName;
use crate::installer::image::link::LinkTarget;
use crate::installer::image::{Image, ToolName};
use crate::installer::manifest::{Original, ToolRecord};
use crate::installer::plan::checks::{changeable, reachable};
use crate::installer::plan::orders::Orders;
use crate::installer::plan::ownership::{self, is_known, recorded};
use crate::installer::plan::step::{Over, Step};
use crate::untrusted::IN_OTHER_MOUNT;
use crate::untrusted::inode::FileKind;

/// What happens at one name; none of the steps if all is there already. All that may come before the first sync comes
/// before it.
pub(crate) struct ToolSteps {
    /// Before the first sync: the tool gets its second name.
    pub keep_real: Option<Step>,
    /// Before it as well: the shim lies beside the tool.
    pub stage_shim: Option<Step>,
    /// After it: the shim takes the name.
    pub put_shim: Option<Step>,
    /// What the manifest says of the name.
    pub record: ToolRecord,
}

/// Why a name is left as it is.
enum Left {
    /// It is said so, with this reason.
    Because(String),
    /// Nobody needs to know: the shim goes to another name, and this one leads to it.
    Silently,
}

impl From<String> for Left {
    fn from(reason: String) -> Self {
        Self::Because(reason)
    }
}

type AtName = std::result::Result<ToolSteps, Left>;

/// Looks at one name; what is left alone for a reason is among the warnings.
pub(crate) fn decide(
    image: &Image,
    orders: &Orders,
    tool_name: &ToolName,
    warnings: &mut Vec<String>,
) -> Result<Option<ToolSteps>> {
    let path = &tool_name.path;
    let Some(file) = &tool_name.at_name else {
        if tool_name.at_real.is_some() && recorded(image, tool_name).is_some() {
            warnings.push(format!(
                "{path} is gone and {path}.real is left: install its package again, or remove that"
            ));
        }
        return Ok(None);
    };
    let steps = if ownership::is_shim(image, orders, tool_name, file) {
        over_shim(image, orders, tool_name, file, warnings)
    } else {
        over_tool(image, orders, tool_name, file)
    };
    match steps {
        Ok(steps) => {
            if steps.put_shim.is_some() {
                changeable(file.flags, &image.root.join(path))?;
                let directory = image.directory_of(tool_name);
                let (flags, path) =
                    directory.map_or((0, ""), |directory| (directory.flags, directory.path.as_str()));
                changeable(flags, &image.root.join(path))?;
            }
            Ok(Some(steps))
        }
        Err(Left::Because(reason)) => {
            warnings.push(format!("{path} is left as it is: {reason}"));
            Ok(None)
        }
        Err(Left::Silently) => Ok(None),
    }
}

/// A shim stands there: the very one (nothing to do), or another (it is replaced).
fn over_shim(
    image: &Image,
    orders: &Orders,
    tool_name: &ToolName,
    file: &FileAtName,
    warnings: &mut Vec<String>,
) -> AtName {
    let path = &tool_name.path;
    let is_copy = |file: &FileAtName| {
        file.inode.kind == FileKind::Regular
            && (is_known(image, file) || file.sha256.as_deref() == Some(&orders.binary))
    };
    let record = match (&tool_name.at_real, recorded(image, tool_name)) {
        // What was there before is not forgotten because somebody put a shim over it.
        (Some(real), Some(tool)) if is_copy(real) => {
            warnings
                .push(format!("{path}.real is a shim as well, so the shim at {path} does the work itself"));
            tool.clone()
        }
        (Some(real), None) if is_copy(real) => return Err(format!("{path}.real is a shim as well").into()),
        (Some(real), _) => record(path, real),
        // What stood here before us is not forgotten because somebody removed it: uninstall would take the
        // name away for good.
        (None, Some(tool)) if tool.real != Original::Nothing => {
            warnings.push(format!(
                "{path}.real is gone, so the shim at {path} does the work itself; install its package again"
            ));
            tool.clone()
        }
        (None, _) => ToolRecord { path: path.clone(), real: Original::Nothing, sha256: None },
    };
    if ownership::is_current(image, orders, file) {
        return Ok(ToolSteps { keep_real: None, stage_shim: None, put_shim: None, record });
    }
    reachable(image.directory_of(tool_name))?;
    if file.sha256.is_none() || !is_copy(file) {
        warnings.push(format!(
            "{path} was written to, and with it every other shim, which are links of one file: the shim is put \
             there again; what was meant to replace the tool belongs at {path}.real"
        ));
    }
    Ok(ToolSteps {
        keep_real: None,
        stage_shim: Some(Step::StageShim { path: path.clone() }),
        put_shim: Some(Step::PutShim { path: path.clone(), over: Over::Shim }),
        record,
    })
}

/// A tool stands there, or something else that has to be left.
fn over_tool(image: &Image, orders: &Orders, tool_name: &ToolName, file: &FileAtName) -> AtName {
    can_be_replaced(image, orders, tool_name, file)?;
    let path = &tool_name.path;
    let recorded = recorded(image, tool_name);
    let is_ours = recorded.is_some_and(|tool| tool.real != Original::Nothing);
    let keep_real = match &tool_name.at_real {
        None => Some(Step::KeepReal { path: path.clone() }),
        Some(real) if file.is_same_file(real) && recorded.is_some() => None,
        Some(real) if is_ours && matches!(real.inode.kind, FileKind::Regular | FileKind::Symlink) => {
            Some(Step::AdoptReal { path: path.clone() })
        }
        Some(_) => return Err(format!("{path}.real is there already and is not ours").into()),
    };
    Ok(ToolSteps {
        keep_real,
        stage_shim: Some(Step::StageShim { path: path.clone() }),
        put_shim: Some(Step::PutShim { path: path.clone(), over: Over::Tool }),
        record: record(path, file),
    })
}

/// Whether that is a program that this binary can stand in for, at a name where it can be put.
fn can_be_replaced(
    image: &Image,
    orders: &Orders,
    tool_name: &ToolName,
    file: &FileAtName,
) -> std::result::Result<(), Left> {
    is_program(image, tool_name, file)?;
    if let (Some(theirs), Some(ours)) = (file.architecture, orders.architecture)
        && !runs_on(ours, theirs)
    {
        let (theirs, ours) = (theirs.0, ours.0);
        return Err(format!("it is for another architecture (ELF machine {theirs}, ours is {ours})").into());
    }
    reachable(image.directory_of(tool_name))?;
    if file.in_other_mount { Err(IN_OTHER_MOUNT.to_owned().into()) } else { Ok(()) }
}

fn is_program(image: &Image, tool_name: &ToolName, file: &FileAtName) -> std::result::Result<(), Left> {
    const NOWHERE: &str = "it is a symbolic link that leads nowhere";
    let reason = match (file.inode.kind, &file.target) {
        (FileKind::Regular, _) if file.inode.mode & 0o111 == 0 => "it is not executable".to_owned(),
        (FileKind::Regular, _) | (FileKind::Symlink, Some(LinkTarget::Program)) => return Ok(()),
        (FileKind::Symlink, Some(LinkTarget::ToolName(other))) => {
            let there = image.tool_names.iter().find(|there| there.path == *other);
            match there.filter(|there| there.path != tool_name.path && there.at_name.is_some()) {
                // The shim goes there, and this link leads to it.
                Some(there) if there.tool == tool_name.tool => return Err(Left::Silently),
                Some(_) => return Ok(()),
                None => NOWHERE.to_owned(),
            }
        }
        (FileKind::Symlink, Some(LinkTarget::NotExecutable)) => {
            "it is a symbolic link to a file that is not executable".to_owned()
        }
        (FileKind::Symlink, Some(LinkTarget::NotAFile(kind))) => {
            format!("it is a symbolic link to {}", kind.words())
        }
        (FileKind::Symlink, _) => NOWHERE.to_owned(),
        (kind, _) => format!("it is {}", kind.words()),
    };
    Err(Left::Because(reason))
}

/// Whether an image with tools for `theirs` can run a binary for `ours`: also where theirs is its 32-bit brother.
fn runs_on(ours: Architecture, theirs: Architecture) -> bool {
    const BROTHERS: [(u16, u16); 2] = [(62, 3), (183, 40)];
    ours == theirs || BROTHERS.contains(&(ours.0, theirs.0))
}

/// What the manifest says of a name, at whose `.real` this file is to be or is.
fn record(path: &str, real: &FileAtName) -> ToolRecord {
    let kind = if real.inode.kind == FileKind::Symlink { Original::Link } else { Original::File };
    ToolRecord { path: path.to_owned(), real: kind, sha256: real.sha256.clone() }
}
