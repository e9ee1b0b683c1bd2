//! Where the root overlay's upper directory is, and how it becomes visible to us alone.

pub(crate) mod candidates;
pub(crate) mod devices;
pub(crate) mod reveal;
pub(crate) mod swap_areas;
