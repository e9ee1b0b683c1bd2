//! What the three commands are: their options as data, argv by their rules, and the real tool behind a shim.

pub(crate) mod getopt;
pub(crate) mod real_tool;
pub(crate) mod request;
pub(crate) mod tables;
