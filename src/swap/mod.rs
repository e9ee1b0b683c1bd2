//! What Linux knows of swap: the header, labels and UUIDs, fstab, the active areas, other formats' signatures.

pub mod active;
pub(crate) mod fallback;
pub mod fstab;
pub(crate) mod header;
pub(crate) mod signature;
pub(crate) mod tag;
pub(crate) mod uuid;
