//! Building the overlay root and taking it down: the plan, the mounts, the directories kept off the overlay.

pub mod build;
pub mod passthrough;
pub mod plan;
pub mod seed;
