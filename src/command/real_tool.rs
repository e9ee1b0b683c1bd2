//! Which real tool stands behind a shim, and who made it.
//!
//! The real tool is beside the shim, under the tool's name plus `.real`. Who made it decides how it reads its
//! arguments: a link says so by its target's name, a file by the words that every BusyBox and toybox carries.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::command::tables::{Maker, Tool};

/// A real tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Real {
    /// The file that is run.
    pub path: PathBuf,
    /// Who made it, and so how it reads its arguments.
    pub kind: Maker,
    /// What is run.
    pub form: Form,
}

/// What a real tool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// There is none, and our builtin does its work.
    Builtin,
    /// A shell, or whatever else the script names, is what runs.
    Script,
    /// A program of its own.
    Program,
}

impl Real {
    /// Our builtin, which is no file and reads its arguments as util-linux does.
    pub fn builtin() -> Self {
        let path = PathBuf::from("the builtin");
        Self { path, kind: Maker::UtilLinux, form: Form::Builtin }
    }

    /// Whether our builtin does the work.
    pub fn is_builtin(&self) -> bool {
        self.form == Form::Builtin
    }

    /// Whether a script does it.
    pub fn is_script(&self) -> bool {
        self.form == Form::Script
    }

    /// Whether this release has an option: each is in the text that `--help` prints. `None` if nobody can say.
    pub fn knows(&self, option: &str) -> Option<bool> {
        if self.form != Form::Program {
            return None;
        }
        let bytes = content(&self.path).ok()?;
        let name = format!("--{option}");
        Some(bytes.windows(name.len()).any(|at| at == name.as_bytes()))
    }
}

/// Why there is no real tool to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoReal {
    /// There is none beside the shim or in the usual places.
    Missing,
    /// What stands there is a shim itself.
    IsShim(PathBuf),
}

/// The real tool of `tool`, beside `executable` or in the usual places.
///
/// # Errors
/// [`NoReal`] says why there is none.
pub(crate) fn find(tool: &Tool, executable: Option<&Path>) -> Result<Real, NoReal> {
    let name = format!("{}.real", tool.name);
    let beside = executable.and_then(Path::parent).map(|dir| dir.join(&name));
    let usual = tool.directories.iter().map(|dir| Path::new("/").join(dir).join(&name));
    let own =
        fs::metadata("/proc/self/exe").or_else(|error| executable.map_or(Err(error), fs::metadata)).ok();
    let mut shim = None;
    for path in beside.into_iter().chain(usual) {
        let Ok(meta) = fs::metadata(&path) else { continue };
        if !meta.is_file() {
            continue;
        }
        let is_shim = own.as_ref().is_some_and(|own| is_same(own, &meta));
        let found = match is_shim.then(|| behind(&path, own.as_ref())) {
            None => RealCandidate { path, size: meta.size() },
            Some(Some(found)) => found,
            Some(None) => {
                shim = Some(path);
                continue;
            }
        };
        let (kind, form) = (kind_of(&found), form_of(&found.path));
        return Ok(Real { path: found.path, kind, form });
    }
    Err(shim.map_or(NoReal::Missing, NoReal::IsShim))
}

/// Of links that lead from tool to tool (`swapon -> mkswap -> busybox`) each has a shim at its end by now: what one
/// led to is what that shim has behind it.
fn behind(path: &Path, own: Option<&fs::Metadata>) -> Option<RealCandidate> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let mut name = path.parent()?.join(fs::read_link(&path).ok()?).into_os_string();
        name.push(".real");
        path = PathBuf::from(name);
        let meta = fs::metadata(&path).ok()?;
        if own.is_none_or(|own| !is_same(own, &meta)) {
            return meta.is_file().then(|| RealCandidate { path, size: meta.size() });
        }
    }
    None
}

/// A file that may be a real tool.
struct RealCandidate {
    path: PathBuf,
    size: u64,
}

fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// So many links the kernel follows, one after the other.
const LINKS: usize = 40;

/// A multi-call binary is at least this large; util-linux's tools are smaller by far, static ones too.
const MULTI_CALL_AT_LEAST: u64 = 150 * 1024;

fn kind_of(found: &RealCandidate) -> Maker {
    let target = fs::read_link(&found.path).ok();
    let named = |word: &str| {
        let name = target.as_deref().and_then(Path::file_name);
        name.is_some_and(|name| name.as_encoded_bytes().windows(word.len()).any(|at| at == word.as_bytes()))
    };
    if named("busybox") || named("bbsuid") {
        Maker::Busybox
    } else if named("toybox") {
        Maker::Toybox
    } else if found.size < MULTI_CALL_AT_LEAST {
        Maker::UtilLinux
    } else {
        kind_by_content(&found.path)
    }
}

fn form_of(path: &Path) -> Form {
    let mut start = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    if read.is_ok() && start == *b"#!" { Form::Script } else { Form::Program }
}

/// A hard link or a copy of a multi-call binary has no telling name.
fn kind_by_content(path: &Path) -> Maker {
    let bytes = content(path).unwrap_or_default();
    let has = |word: &[u8]| bytes.windows(word.len()).any(|at| at == word);
    if has(b"BusyBox v") {
        Maker::Busybox
    } else if has(b"toybox ") {
        Maker::Toybox
    } else {
        Maker::UtilLinux
    }
}

fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    const READ_AT_MOST: u64 = 8 * 1024 * 1024;
    let mut bytes = Vec::new();
    File::open(path)?.take(READ_AT_MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
