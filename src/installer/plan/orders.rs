//! What the caller of install orders, as the planner reads it: contents are told by their hashes.

use crate::installer::image::elf::{self, Architecture};
use crate::installer::image::file::sha256;
use crate::installer::options::InstallOptions;
use crate::installer::payload::Payload;

/// What is to be there after an install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Orders {
    /// Sixteen random hexadecimal digits for temporary names.
    pub token: String,
    /// SHA-256 of the binary that is to be installed.
    pub binary: String,
    /// What it is built for.
    pub architecture: Option<Architecture>,
    /// SHA-256 of the configuration that is to be written.
    pub config: Option<String>,
    /// Whether the caller said where upper is.
    pub upper_given: bool,
    /// Whether to stand in for tools that the image does not have.
    pub provide_missing: bool,
}

impl Orders {
    pub(crate) fn of(options: &InstallOptions, payload: &Payload) -> Self {
        Self {
            token: payload.token.clone(),
            binary: sha256(&payload.binary),
            architecture: elf::architecture(&payload.binary),
            config: payload.config.as_deref().map(sha256),
            upper_given: options.upper.is_some(),
            provide_missing: options.provide_missing,
        }
    }
}
