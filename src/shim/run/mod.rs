//! Carrying a plan out: files made ready, the real tool run, its output and its failures looked after.

pub mod blocks;
pub mod fallback;
pub mod output;
pub mod prepare;
pub mod recreate;
pub mod supervise;
pub mod tool;
