//! Decisions: from facts and config to what shall be done, as pure data.
//!
//! Nothing in here touches the system, so `explain` and `--dry-run` can print a plan and a test can compare
//! two. What a plan cannot know yet (is the file at the backing path really the same one?) it writes down as
//! a condition with an alternative; execute reports back, and [`report`] turns that into an exit status and
//! notices.

pub mod decide;
mod divert;
pub mod health;
pub mod install;
pub mod listed;
pub mod mount;
mod ours;
pub mod place;
pub mod report;
pub mod reset;
pub mod runs;
pub mod show;
mod slot;
pub mod standin;
pub mod step;
pub mod swap;
pub mod swapdev;
pub mod uninstall;
