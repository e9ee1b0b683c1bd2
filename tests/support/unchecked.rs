//! What a test says that cannot be run here: its name, the reason and the remedy, where nobody can take it for passed.
//!
//! With `ROOTFS_SHIM_REQUIRE_ALL=1` it fails instead, so that a CI that lacks something is not green.

/// Whether what cannot be checked has to fail.
pub fn is_a_failure() -> bool {
    std::env::var_os("ROOTFS_SHIM_REQUIRE_ALL").is_some_and(|value| value == "1")
}

/// The line that says so, for the end of the output.
pub fn line(name: &str, why: &str) -> String {
    format!("NOT CHECKED: {name}: {why}")
}
