//! What an install or uninstall would do, step by step, as pure data.

pub(crate) mod checks;
pub(crate) mod diversions;
pub(crate) mod install;
pub(crate) mod orders;
pub(crate) mod ownership;
pub(crate) mod step;
pub(crate) mod tool_name;
pub(crate) mod uninstall;
