//! The platform's own swap device: format it and switch it on at each boot.

pub mod enable;
pub mod plan;
