//! What an install or uninstall would do, step by step, as pure data.

pub mod diversions;
pub mod install;
pub mod ownership;
pub mod step;
pub mod tool_name;
pub mod uninstall;
