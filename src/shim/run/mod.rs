//! Carrying a plan out: files made ready, the real tool run, its output and its failures looked after.

pub(crate) mod blocks;
pub(crate) mod fallback;
pub(crate) mod mask;
pub(crate) mod output;
pub(crate) mod prepare;
pub(crate) mod proof;
pub(crate) mod recreate;
pub(crate) mod supervise;
pub(crate) mod tool;
