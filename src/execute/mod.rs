//! Carrying a plan out: the only place that changes anything, and it decides nothing.
//!
//! Every alternative that execute can meet is in the plan already; what it finds out goes back to
//! `plan::report`, which is pure again.

pub mod apart;
mod bounded;
pub mod format;
pub mod hold;
pub mod install;
pub mod keep;
pub mod layers;
pub mod output;
pub mod prepare;
pub mod remake;
pub mod reset;
pub mod rewrite;
pub mod seed;
pub mod stage;
pub mod standin;
pub mod swapdev;
pub mod tool;
pub mod trim;
mod undo;
