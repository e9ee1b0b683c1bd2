//! Where the root overlay's upper directory is, and how it becomes visible to us alone.

pub mod candidates;
pub mod reveal;
