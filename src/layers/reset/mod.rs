//! Making the writable layer as new: the plan, the formatting, the space given back to the host.

pub(crate) mod delete;
pub(crate) mod format;
pub(crate) mod pending;
pub(crate) mod plan;
pub(crate) mod renew;
