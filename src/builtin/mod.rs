//! swapon, swapoff and mkswap by ourselves, for images that have no real tool.
//!
//! The yardstick is util-linux: the same outputs, messages and statuses, so that a script cannot tell. The
//! builtin knows nothing of overlays: it stands where the real tool stands, behind the shim's plan, and is
//! given paths that the kernel takes. Inside it the direction is the crate's own: arguments → what is asked
//! (pure) → facts → steps (pure) → the steps taken.

pub(crate) mod access;
pub(crate) mod call;
pub(crate) mod mkswap;
pub(crate) mod show;
pub(crate) mod swapoff;
pub(crate) mod swapon;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::builtin::call::{Call, Streams, ends};
use crate::command::getopt;
use crate::command::tables::{Maker, Purpose, Tool};
use crate::invocation::Invocation;

/// Runs the builtin of that name on `argv` (with `argv[0]`), which need not be what we were called with;
/// returns its exit status.
pub(crate) fn run(tool: &'static Tool, argv: &[OsString], caller: &Invocation) -> i32 {
    let mut console = Streams { deaf: caller.closed.stderr, ..Streams::new(tool.name) };
    let Some(flavour) = tool.flavour(Maker::UtilLinux) else { return 1 };
    let parts = getopt::take_apart(flavour, argv, caller.order, ends);
    let fstab = caller.fstab.clone().unwrap_or_else(|| PathBuf::from("/etc/fstab"));
    let call = Call { tool, flavour, argv, parts, fstab };
    let status = match tool.purpose {
        Purpose::Enable => swapon::run(&call, &mut console),
        Purpose::Disable => swapoff::run(&call, &mut console),
        Purpose::Format => mkswap::run(&call, &mut console),
    };
    console.finish(status)
}
