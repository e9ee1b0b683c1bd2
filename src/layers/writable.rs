//! What lies at the top of a writable layer, by name, and the file there that says in which state the layer is:
//! ready, or in the middle of a reset.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Attempt, Result};

/// What a writable layer holds; everything else in it is not ours.
pub(crate) const PARTS: [&str; 3] = ["upper", "work", "passthrough"];

/// Names that begin so are ours as well: a reset moves the old parts aside under such a name to delete them later.
pub(crate) const ASIDE: &str = ".rootfs-shim-old-";

/// The file at the top of a writable layer that says it is ours, and in which state.
pub(crate) const STATE_FILE: &str = ".rootfs-shim-layer";

/// Its content when the layer is ready.
pub(crate) const READY: &[u8] = b"rootfs-shim writable layer, version 1\n";

/// Its content while a reset is under way.
pub(crate) const RESETTING: &[u8] = b"rootfs-shim writable layer, reset not finished\n";

/// Writes the state file whole or not at all.
///
/// # Errors
/// As open(2), write(2) and rename(2) say.
pub(crate) fn write_state(dir: &Path, state: &[u8]) -> Result<()> {
    let temporary = dir.join(format!("{ASIDE}state-{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut options = fs::File::options();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&temporary).attempt("make", &temporary)?;
    file.write_all(state).and_then(|()| file.sync_data()).attempt("write", &temporary)?;
    let path = dir.join(STATE_FILE);
    fs::rename(&temporary, &path).attempt("write", &path)
}
