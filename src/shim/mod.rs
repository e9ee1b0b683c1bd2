//! A shim's run.
pub mod args;
pub mod tables;
