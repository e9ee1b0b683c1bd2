//! What Linux knows of swap: the header, labels and UUIDs, fstab, the active areas, other formats' signatures.

pub mod active;
pub mod fallback;
pub mod fstab;
pub mod header;
pub mod signature;
pub mod tag;
