//! The only code that changes anything.
pub mod install;
mod undo;
