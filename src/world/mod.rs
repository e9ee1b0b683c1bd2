//! Facts.
pub mod mountinfo;
pub mod swaps;
