//! What has to be known before a request can be planned.

use std::ffi::OsString;

use crate::command::request::{self, Request};
use crate::command::tables::{Flavour, Kind, Purpose, Tool};
use crate::shim::facts::operand::{Operand, What};
use crate::shim::facts::{Backing, World};

/// What the scanner made of argv, or the road if that alone decides.
pub fn request(
    tool: &'static Tool,
    kind: Kind,
    argv: &[OsString],
    posixly: bool,
) -> Option<(&'static Flavour, Request)> {
    let flavour = tool.flavour(kind)?;
    Some((flavour, request::read(tool, flavour, argv, posixly)))
}

/// Whether a /proc has to be had before anything can be decided, where there is none. What only works on the
/// namespace that we were called in gets none: a device that is enabled would be listed under the wrong name, and
/// `-a` natively finds nothing without it.
pub(crate) fn needs_proc(purpose: Purpose, request: &Request, world: &World) -> bool {
    let (true, Request::Act(act)) = (world.root_unseen, request) else { return false };
    let named =
        world.operands.iter().all(|operand| matches!(operand.what, What::File(_) | What::Missing { .. }));
    !act.all && act.tags.is_empty() && (named || purpose != Purpose::Enable)
}

/// Whether the backing filesystem has to be looked for before anything can be decided: a file is on the root
/// overlay, or on a disk that may be a volume or the backing filesystem itself.
pub(crate) fn needs_backing(request: &Request, world: &World) -> bool {
    let (Some(root), Request::Act(_), Backing::Missing) = (&world.root, request, &world.backing) else {
        return false;
    };
    let concerned = |operand: &Operand| {
        let mount = operand.location().and_then(|location| world.mounts.get(location.mount));
        mount.is_some_and(|mount| mount.device == root.device || mount.device.major != 0)
    };
    world.all_operands().any(concerned)
}
