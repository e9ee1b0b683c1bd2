//! Deleting whole trees of a layer that was put aside.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Attempt, Result};
use crate::layers::writable::ASIDE;

/// A name that nothing has; two resets of one directory at once do not meet in it.
pub(crate) fn fresh_name(dir: &Path) -> PathBuf {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let stamp = now.map(|now| now.as_nanos()).unwrap_or_default();
    dir.join(format!("{ASIDE}{}-{stamp:x}", std::process::id()))
}

/// Deletes what was moved aside. A mount and a reset may do it at the same time.
///
/// # Errors
/// The last path that did not go; the others are gone all the same.
pub(crate) fn delete(paths: &[PathBuf]) -> Result<()> {
    let mut done = Ok(());
    for path in paths {
        let gone = match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => match fs::remove_dir_all(path) {
                Err(error) if error.raw_os_error() == Some(libc::EMFILE) => delete_flat(path),
                other => other,
            },
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        match gone {
            Err(error) if error.kind() != ErrorKind::NotFound => done = Err(error).attempt("delete", path),
            _ => {}
        }
    }
    done
}

/// Deletes a tree that is deeper than files can be open. The trick: each directory rises to the top before it is
/// emptied, so that neither open files nor the length of a path are a bound.
pub(crate) fn delete_flat(top: &Path) -> std::io::Result<()> {
    loop {
        let mut is_empty = true;
        for entry in fs::read_dir(top)? {
            let entry = entry?;
            is_empty = false;
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
                continue;
            }
            for inner in fs::read_dir(entry.path())? {
                let inner = inner?;
                if inner.file_type()?.is_dir() {
                    fs::rename(inner.path(), fresh_name(top))?;
                } else {
                    fs::remove_file(inner.path())?;
                }
            }
            fs::remove_dir(entry.path())?;
        }
        if is_empty {
            return fs::remove_dir(top);
        }
    }
}
