//! What the kernel tells and does for everybody: mounts, places, namespaces, devices, extents, a program of the host.

pub(crate) mod devices;
pub(crate) mod extents;
pub(crate) mod mounts;
pub(crate) mod namespace;
pub(crate) mod places;
pub(crate) mod program;
