//! Which fallback device is active in the place of an operand's file.
//!
//! The file tells it, whatever its name is by now; only where there is no file any more does the name that it
//! had. So a new file at an old name is not taken for an active one, and what was enabled for a file that is
//! gone can still be disabled.

use std::path::PathBuf;

use nix::errno::Errno;

use crate::kernel::places::Location;
use crate::shim::facts::World;
use crate::shim::facts::operand::{Operand, What};
use crate::shim::plan::types::FileNow;
use crate::swap::fallback::FallbackDevice;

/// A fallback device, and what has become of the file that it was enabled for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundFallback {
    pub device: FallbackDevice,
    pub file: FileNow,
}

/// The device that is active in the place of the file that the operand names.
pub(crate) fn of_file(operand: &Operand, world: &World) -> Option<FoundFallback> {
    let file = operand.file()?;
    let device = world.fallbacks.iter().find(|device| device.file == file.id)?;
    Some(FoundFallback { device: device.clone(), file: FileNow::Named })
}

/// The same, and for a file that is gone the device that was enabled in its place.
pub(crate) fn of_name(operand: &Operand, world: &World) -> Option<FoundFallback> {
    let named = || {
        let path = path_of(operand, world)?;
        // A new file of the same name that is active itself is what is meant.
        let other = world.swaps.iter().any(|swap| swap.is_file && swap.path == path);
        if other {
            return None;
        }
        let device = world.fallbacks.iter().find(|device| device.name == path)?;
        Some(FoundFallback { device: device.clone(), file: FileNow::Gone })
    };
    of_file(operand, world).or_else(named)
}

/// The path as `/proc/swaps` would show it, also of a file that is not there.
fn path_of(operand: &Operand, world: &World) -> Option<PathBuf> {
    let location = operand.location();
    let path = match &operand.what {
        What::Missing { errno: Errno::ENOENT, path, .. } => path.clone()?,
        What::Missing { .. } => return None,
        _ => location?.path.clone(),
    };
    let inside = location
        .and_then(|location| world.overlay_path(&Location { path: path.clone(), ..location.clone() }));
    Some(inside.map_or(path, |path| path.as_path().to_owned()))
}
