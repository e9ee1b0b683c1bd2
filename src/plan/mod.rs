//! Plans: pure data, made of facts.
pub mod install;
pub mod step;
pub mod uninstall;
