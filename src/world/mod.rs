//! Facts.
pub mod image;
pub mod layer;
pub mod mountinfo;
pub mod swaps;
