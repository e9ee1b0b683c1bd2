//! What an install puts into the image: the binary and the configuration, read from the caller's own files.

use std::path::Path;

use crate::config::{self, Config};
use crate::error::{Attempt, Error, Result};
use crate::installer::image::file;
use crate::installer::options::InstallOptions;
use crate::kernel::mounts::NO_PROC;
use crate::{invocation, paths, sys, text};

/// What the steps put into the image.
#[derive(Debug)]
pub(crate) struct Payload {
    /// The content of the binary; none for an uninstall.
    pub binary: Vec<u8>,
    /// The content of the configuration, if the caller gave one.
    pub config: Option<Vec<u8>>,
    /// Sixteen random hexadecimal digits, which are in every temporary name of this run.
    pub token: String,
}

impl Payload {
    /// Reads what the options name.
    ///
    /// # Errors
    /// Usage if the running program is no shim; Invalid for a configuration that makes no sense; what reading says.
    pub(crate) fn read(options: &InstallOptions) -> Result<Self> {
        let config = options.config.as_deref().map(read_config).transpose()?;
        let is_own = options.binary.starts_with("/proc");
        invocation::may_be_shim(&options.binary)?;
        let advise_proc = |error: Error| if is_own { error.or_remedy(NO_PROC) } else { error };
        let binary = invocation::read_file(&options.binary, file::CAP).map_err(advise_proc)?;
        Ok(Self { binary, config, token: token()? })
    }

    /// What an uninstall brings along.
    ///
    /// # Errors
    /// If the kernel gives no random bytes.
    pub(crate) fn nothing() -> Result<Self> {
        Ok(Self { binary: Vec::new(), config: None, token: token()? })
    }

    /// The configuration that may name the writable device: the new one, or else the running root's own as far as it
    /// makes sense.
    ///
    /// # Errors
    /// Invalid for one that makes no sense.
    pub(crate) fn effective_config(&self) -> Result<Config> {
        match &self.config {
            Some(bytes) => Config::parse(bytes),
            None => Ok(Config::load(Path::new(paths::CONFIG)).ok().flatten().unwrap_or_default()),
        }
    }
}

fn token() -> Result<String> {
    Ok(text::hex(&sys::random_bytes::<8>().attempt("get random bytes from", "the kernel")?))
}

/// A configuration, validated: what is wrong with it shall show now, and not at boot.
fn read_config(path: &Path) -> Result<Vec<u8>> {
    let bytes = invocation::read_file(path, config::SIZE_CAP)
        .map_err(|error| error.or_remedy("--config takes a regular file of at most 64 KiB"))?;
    Config::parse(&bytes).map_err(|error| error.at(path).or_remedy("correct it; nothing was changed"))?;
    Ok(bytes)
}
