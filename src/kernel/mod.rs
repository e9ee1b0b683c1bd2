//! What the kernel tells and does for everybody: mounts, places, namespaces, extents, a program of the host.

pub mod extents;
pub mod mounts;
pub mod program;
