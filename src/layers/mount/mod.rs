//! Building the overlay root and taking it down: the plan, the mounts, the directories that are passed through.

pub(crate) mod build;
pub(crate) mod copy_tree;
pub(crate) mod passthrough;
pub(crate) mod plan;
