//! `rootfs-shim swapon …`: the builtins by name.
//!
//! They take the same road as a shim without a real tool, so that a swapfile on the root overlay is enabled
//! by either. What follows the name is the builtin's own command line, and none of clap's business.

use crate::command::real_tool::Real;
use crate::command::tables::Tool;
use crate::invocation::Invocation;
use crate::shim;

/// Runs a builtin, if the first argument names one.
pub(crate) fn run(call: &Invocation) -> Option<i32> {
    let tool = Tool::named(call.argv.get(1)?)?;
    let argv = call.argv.get(1..).unwrap_or_default().to_vec();
    Some(shim::run_with(tool, &Real::builtin(), &Invocation { argv, ..call.clone() }))
}
