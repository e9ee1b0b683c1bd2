//! Carrying a plan out: the only place that changes anything, and it decides nothing.
//!
//! Every alternative that execute can meet is in the plan already; what it finds out goes back to
//! `plan::report`, which is pure again.

pub mod install;
pub mod output;
pub mod prepare;
pub mod tool;
mod undo;
