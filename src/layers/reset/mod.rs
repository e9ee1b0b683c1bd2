//! Making the writable layer as new: the plan, the formatting, the space given back to the host.

pub mod format;
pub mod pending;
pub mod plan;
pub mod renew;
