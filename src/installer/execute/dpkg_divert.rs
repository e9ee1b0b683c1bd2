//! Running the guest's own dpkg-divert, where the guest is the running machine.

use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::installer::image::dpkg;
use crate::kernel::program;
use crate::text;

/// How long dpkg-divert may take: it reads and writes one small file.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// What is done about a local diversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Divert {
    Make,
    End,
}

impl Divert {
    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Make => Self::End,
            Self::End => Self::Make,
        }
    }
}

/// Makes or ends one local diversion, without touching the files.
pub(crate) fn dpkg_divert(path: &str, divert: Divert) -> Result<()> {
    let (tool, real) = (format!("/{}", dpkg::TOOL), dpkg::real_of(path));
    let (change, attempt) = match divert {
        Divert::Make => ("--add", "divert"),
        Divert::End => ("--remove", "end the diversion of"),
    };
    let arguments = ["--quiet", "--local", "--no-rename", "--divert", &real, change, path];
    let outcome = program::run(program::system_tool(&tool).args(arguments), LIMIT)?;
    if outcome.status.success() {
        return Ok(());
    }
    let words = outcome.stderr.trim_ascii().split(|byte| *byte == b'\n').next_back().unwrap_or_default();
    let reason = format!("dpkg-divert says: {}", text::escape(words));
    Err(Error::new(Kind::State, attempt, reason).at(path))
}
