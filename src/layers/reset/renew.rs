//! A writable layer as new.
//!
//! The order makes a cut at any moment harmless. A device carries the mark of `reset::format` until it is
//! formatted; a directory says "resetting" before the first part is moved aside and "ready" after the last.
//! Either is finished by the next mount. What is expensive, giving back the old blocks or deleting the old
//! files, comes last and is left over as [`Pending`] work.
#![expect(clippy::disallowed_methods, reason = "the writable layer, which is ours")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Attempt, Result};
use crate::layers::reset::delete::fresh_name;
use crate::layers::reset::format;
use crate::layers::reset::pending::{self, Pending};
use crate::layers::reset::plan::{Discard, Renewal, ResetPlan};
use crate::layers::writable::{ASIDE, PARTS, READY, RESETTING, STATE_FILE, write_state};

/// Makes the layer new, and returns the work that may be done later.
///
/// # Errors
/// The step and the path that failed.
pub(crate) fn reset(plan: &ResetPlan) -> Result<Option<Pending>> {
    let pending = renew(plan)?;
    match &plan.how {
        Renewal::Format { storage, kind, .. } if plan.discard != Discard::Never => {
            Ok(Some(Pending::trim_unmounted(&plan.path, *storage, kind, &plan.key)))
        }
        _ => Ok(pending),
    }
}

/// The part of a reset that a mount needs too; the trimming is then done through that mount.
///
/// # Errors
/// As [`reset`].
pub(crate) fn renew(plan: &ResetPlan) -> Result<Option<Pending>> {
    if plan.stop_trimming {
        pending::stop(&plan.key);
    }
    match &plan.how {
        Renewal::Format { size, kind, mkfs, .. } => {
            format::format(&plan.path, *size, kind, mkfs).map(|()| None)
        }
        Renewal::Replace { everything } => replace(&plan.path, *everything).map(Pending::delete),
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
