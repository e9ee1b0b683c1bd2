//! What the three commands are: their options as data, argv by their rules, and the real tool behind a shim.

pub mod getopt;
pub mod real_tool;
pub mod request;
pub mod tables;
