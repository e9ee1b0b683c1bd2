//! The platform's own swap device: format it and switch it on at each boot.

pub(crate) mod enable;
pub(crate) mod plan;
