//! What has to be made visible before a call can be planned.

use crate::command::request::Request;
use crate::command::tables::Purpose;
use crate::shim::call::ShimCall;
use crate::shim::facts::operand::{Operand, What};
use crate::shim::facts::{Backing, World};

/// Whether a /proc has to be had before anything can be decided, where there is none. What only works on the
/// namespace that we were called in gets none: a device that is enabled would be listed under the wrong name, and
/// `-a` natively finds nothing without it.
pub(crate) fn needs_proc(call: &ShimCall<'_>, world: &World) -> bool {
    let (true, Request::Act(act)) = (world.root_unseen, &call.request) else { return false };
    let named =
        world.operands.iter().all(|operand| matches!(operand.what, What::File(_) | What::Missing { .. }));
    !act.all && act.tags.is_empty() && (named || call.tool.purpose != Purpose::Enable)
}

/// Whether the backing filesystem has to be looked for before anything can be decided: a file is on the root
/// overlay, or on a disk that may be a volume or the backing filesystem itself.
pub(crate) fn needs_backing(call: &ShimCall<'_>, world: &World) -> bool {
    let (Some(root), Request::Act(_), Backing::Missing) = (&world.root, &call.request, &world.backing) else {
        return false;
    };
    let concerned = |operand: &Operand| {
        let mount = operand.location().and_then(|location| world.mounts.get(location.mount));
        mount.is_some_and(|mount| mount.device == root.device || mount.device.major != 0)
    };
    world.all_operands().any(concerned)
}
