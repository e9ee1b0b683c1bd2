//! Which real tool stands behind a shim, and who made it.
//!
//! The real tool is beside the shim, under the tool's name plus `.real`. Who made it decides how it reads its
//! arguments: a link says so by its target's name, a file by the words that every BusyBox and toybox carries.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::command::tables::{Kind, Tool};

/// A real tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Real {
    /// Where it is.
    pub path: PathBuf,
    /// Who made it.
    pub kind: Kind,
    /// There is none, and our builtin does its work.
    pub is_builtin: bool,
    /// It is a script, and so a shell is what runs.
    pub is_script: bool,
}

impl Real {
    /// Our builtin, which is no file and reads its arguments as util-linux does.
    pub fn builtin() -> Self {
        let path = PathBuf::from("the builtin");
        Self { path, kind: Kind::UtilLinux, is_builtin: true, is_script: false }
    }

    /// Whether this release has an option: each is in the text that `--help` prints. `None` if nobody can say.
    pub fn knows(&self, option: &str) -> Option<bool> {
        if self.is_builtin || self.is_script {
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
    for mut path in beside.into_iter().chain(usual) {
        let Ok(meta) = fs::metadata(&path) else { continue };
        let mut size = meta.size();
        if !meta.is_file() {
            continue;
        }
        if own.as_ref().is_some_and(|own| (own.dev(), own.ino()) == (meta.dev(), meta.ino())) {
            let Some(there) = behind(&path, own.as_ref()) else {
                shim = Some(path);
                continue;
            };
            (path, size) = there;
        }
        let (kind, is_script) = (kind_of(&path, size), is_script(&path));
        return Ok(Real { path, kind, is_builtin: false, is_script });
    }
    Err(shim.map_or(NoReal::Missing, NoReal::IsShim))
}

/// Of links that lead from tool to tool (`swapon -> mkswap -> busybox`) each has a shim at its end by now: what one
/// led to is what that shim has behind it.
fn behind(path: &Path, own: Option<&fs::Metadata>) -> Option<(PathBuf, u64)> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let mut name = path.parent()?.join(fs::read_link(&path).ok()?).into_os_string();
        name.push(".real");
        path = PathBuf::from(name);
        let meta = fs::metadata(&path).ok()?;
        if own.is_none_or(|own| (own.dev(), own.ino()) != (meta.dev(), meta.ino())) {
            return meta.is_file().then(|| (path, meta.size()));
        }
    }
    None
}

/// So many links the kernel follows, one after the other.
const LINKS: usize = 40;

/// A multi-call binary is at least this large; util-linux's tools are smaller by far, static ones too.
const MULTI_CALL_AT_LEAST: u64 = 150 * 1024;

fn kind_of(path: &Path, size: u64) -> Kind {
    let target = fs::read_link(path).ok();
    let named = |word: &str| {
        let name = target.as_deref().and_then(Path::file_name);
        name.is_some_and(|name| name.as_encoded_bytes().windows(word.len()).any(|at| at == word.as_bytes()))
    };
    if named("busybox") || named("bbsuid") {
        Kind::Busybox
    } else if named("toybox") {
        Kind::Toybox
    } else if size < MULTI_CALL_AT_LEAST {
        Kind::UtilLinux
    } else {
        kind_by_content(path)
    }
}

fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *b"#!"
}

/// A hard link or a copy of a multi-call binary has no telling name.
fn kind_by_content(path: &Path) -> Kind {
    let bytes = content(path).unwrap_or_default();
    let has = |word: &[u8]| bytes.windows(word.len()).any(|at| at == word);
    if has(b"BusyBox v") {
        Kind::Busybox
    } else if has(b"toybox ") {
        Kind::Toybox
    } else {
        Kind::UtilLinux
    }
}

fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    const READ_AT_MOST: u64 = 8 * 1024 * 1024;
    let mut bytes = Vec::new();
    File::open(path)?.take(READ_AT_MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
