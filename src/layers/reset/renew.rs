//! A writable layer as new.
//!
//! The order makes a cut at any moment harmless. A device carries the mark of `execute::format` until it is
//! formatted; a directory says "resetting" before the first part is moved aside and "ready" after the last.
//! Either is finished by the next mount. What is expensive, giving back the old blocks or deleting the old
//! files, comes last and is left over as [`Pending`] work.
#![expect(clippy::disallowed_methods, reason = "the writable layer, which is ours")]

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Attempt, Result};
use crate::layers::facts::{ASIDE, PARTS, READY, RESETTING, STATE_FILE};
use crate::layers::reset::plan::{Discard, How, ResetPlan};

use crate::layers::reset::format;
use crate::layers::reset::pending::{self, Pending};

/// Makes the layer new, and returns the work that may be done later.
///
/// # Errors
/// The step and the path that failed.
pub fn reset(plan: &ResetPlan) -> Result<Option<Pending>> {
    let pending = renew(plan)?;
    match &plan.how {
        How::Format { image, kind, .. } if plan.discard != Discard::Never => {
            Ok(Some(Pending::trim_unmounted(&plan.path, *image, kind, &plan.key)))
        }
        _ => Ok(pending),
    }
}

/// The part of a reset that a mount needs too; the trimming is then done through that mount.
///
/// # Errors
/// As [`reset`].
pub fn renew(plan: &ResetPlan) -> Result<Option<Pending>> {
    if plan.stop_trimming {
        pending::stop(&plan.key);
    }
    match &plan.how {
        How::Format { size, kind, mkfs, .. } => format::format(&plan.path, *size, kind, mkfs).map(|()| None),
        How::Replace { everything } => replace(&plan.path, *everything).map(Pending::delete),
    }
}

/// Moves the parts aside and returns everything that now waits to be deleted, from earlier resets too.
fn replace(dir: &Path, everything: bool) -> Result<Vec<PathBuf>> {
    write_state(dir, RESETTING)?;
    let aside = fresh_name(dir);
    fs::create_dir(&aside).attempt("make", &aside)?;
    let mut old = Vec::new();
    for entry in fs::read_dir(dir).attempt("read", dir)? {
        let name = entry.attempt("read", dir)?.file_name();
        let path = dir.join(&name);
        if name.as_encoded_bytes().starts_with(ASIDE.as_bytes()) {
            old.push(path);
        } else if name != STATE_FILE && (everything || PARTS.iter().any(|part| *part == name)) {
            fs::rename(&path, aside.join(&name)).attempt("move aside", &path)?;
        }
    }
    if !old.contains(&aside) {
        old.push(aside);
    }
    write_state(dir, READY)?;
    Ok(old)
}

/// A name that nothing has; two resets of one directory at once do not meet in it.
fn fresh_name(dir: &Path) -> PathBuf {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let stamp = now.map(|now| now.as_nanos()).unwrap_or_default();
    dir.join(format!("{ASIDE}{}-{stamp:x}", std::process::id()))
}

/// Writes the state file whole or not at all.
///
/// # Errors
/// As open(2), write(2) and rename(2) say.
pub fn write_state(dir: &Path, state: &[u8]) -> Result<()> {
    let temporary = dir.join(format!("{ASIDE}state-{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut options = fs::File::options();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&temporary).attempt("make", &temporary)?;
    file.write_all(state).and_then(|()| file.sync_data()).attempt("write", &temporary)?;
    let path = dir.join(STATE_FILE);
    fs::rename(&temporary, &path).attempt("write", &path)
}

/// Deletes what was moved aside. A mount and a reset may do it at the same time.
///
/// # Errors
/// The last path that did not go; the others are gone all the same.
pub fn delete(paths: &[PathBuf]) -> Result<()> {
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
fn delete_flat(top: &Path) -> std::io::Result<()> {
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
