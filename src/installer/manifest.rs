//! install's memory, `/.rootfs-shim/manifest.toml`: what stands where, what stood there, and which content is ours.
//!
//! It is written *before* the first name changes (`state = "installing"`) and again when all is done, so that
//! after a crash it knows every name that may be ours. It lies in a tree that a stranger can write, so it is
//! never believed further than a name from our own tables goes: a path in it is compared, never opened.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

/// The version of the format that this program writes, and the only one it reads.
pub(crate) const VERSION: u32 = 1;
/// The largest manifest that is read, in bytes.
pub(crate) const CAP: u64 = 64 * 1024;

/// All that the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the format: 1.
    pub version: u32,
    /// The version of rootfs-shim that wrote it.
    pub program: String,
    /// Whether the job was finished.
    pub state: State,
    /// Sixteen hexadecimal digits in every temporary name of the last run.
    pub token: String,
    /// Which contents are the shim's.
    pub shim: Shim,
    /// SHA-256 of the configuration that install wrote, if it wrote one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// The directories that install made, outermost first, relative to the root: what was there before is not ours.
    pub directories: Vec<String>,
    /// The paths, as packages spell them, that install made dpkg divert to the same with `.real` behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diversions: Vec<String>,
    /// Whether there was no list of diversions before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made_diversions: bool,
    /// Each name where the shim stands.
    #[serde(default, rename = "tool")]
    pub tools: Vec<ToolRecord>,
}

/// How far the job went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// An install was begun: each name is as it was before or as it is to be.
    Installing,
    /// An install was begun where an older shim stood: each name is that, or as it is to be.
    Upgrading,
    /// The job was done.
    Installed,
    /// The way back was begun: each name is the shim, or as it was before.
    Uninstalling,
}

/// Which contents of a file make it a shim of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shim {
    /// SHA-256 of the binary that was installed last.
    pub sha256: String,
    /// The same of the binaries before it that may still stand somewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<String>,
}

/// A name where the shim stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "struct Tool")]
pub struct ToolRecord {
    /// Relative to the root, through real directories: `usr/sbin/swapon`.
    pub path: String,
    /// What stood there and is at `path` + `.real` now.
    pub real: Original,
    /// SHA-256 of the file's content or of the link's target, if it was small enough to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What stood at a name before us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "enum Real")]
pub enum Original {
    /// A regular file stood there.
    File,
    /// A symbolic link stood there, as BusyBox has them.
    Link,
    /// Nothing: the shim was provided, and there is no `.real`.
    Nothing,
}

impl Manifest {
    /// Reads the file's content.
    ///
    /// # Errors
    /// Invalid if this is no manifest, or one of a later version.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let invalid = |reason: String| Error::new(Kind::Invalid, "read the manifest", reason);
        let text = std::str::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8".to_owned()))?;
        let table: toml::Table =
            text.parse().map_err(|e: toml::de::Error| invalid(e.message().to_owned()))?;
        match table.get("version").and_then(toml::Value::as_integer) {
            Some(version) if version == i64::from(VERSION) => {}
            Some(version) => {
                return Err(invalid(format!("its version is {version}, and this program knows {VERSION}"))
                    .remedy("use the rootfs-shim that wrote it, or a later one"));
            }
            None => return Err(invalid("it has no version".to_owned())),
        }
        let this: Self = table.try_into().map_err(|e: toml::de::Error| invalid(e.message().to_owned()))?;
        if !is_token(&this.token) || !this.hashes().all(|hash| is_hex(hash, 64)) {
            return Err(invalid("a hash or token in it is not hexadecimal digits".to_owned()));
        }
        Ok(this)
    }

    /// The file's content.
    ///
    /// # Errors
    /// None in practice: every field has a form in TOML.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let text = toml::to_string(self)
            .map_err(|error| Error::new(Kind::Invalid, "write the manifest", error.to_string()))?;
        Ok(format!("# Written by rootfs-shim install; `rootfs-shim uninstall` needs it.\n{text}")
            .into_bytes())
    }

    /// What is recorded of exactly that path.
    pub fn tool(&self, path: &str) -> Option<&ToolRecord> {
        self.tools.iter().find(|tool| tool.path == path)
    }

    /// Whether a file of that content is a shim of ours, of this version or one before.
    pub fn is_shim(&self, sha256: &str) -> bool {
        self.shim.sha256 == sha256 || self.shim.older.iter().any(|older| older == sha256)
    }

    /// Whether `other` says the same, but for the temporary names.
    pub fn same_as(&self, other: &Self) -> bool {
        Self { token: other.token.clone(), ..self.clone() } == *other
    }

    fn hashes(&self) -> impl Iterator<Item = &str> {
        let tools = self.tools.iter().filter_map(|tool| tool.sha256.as_deref());
        let older = self.shim.older.iter().map(String::as_str);
        tools.chain(older).chain(self.config.as_deref()).chain([self.shim.sha256.as_str()])
    }
}

/// Whether that is what we have in temporary names.
pub(crate) fn is_token(text: &str) -> bool {
    is_hex(text, 16)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installer::image::file::sha256;
    use proptest::prelude::*;

    fn example() -> Manifest {
        Manifest {
            version: VERSION,
            program: "0.1.0".to_owned(),
            state: State::Installed,
            token: "0123456789abcdef".to_owned(),
            shim: Shim { sha256: sha256(b"shim"), older: vec![sha256(b"older")] },
            config: None,
            directories: vec![".rootfs-shim".to_owned()],
            diversions: vec!["/sbin/swapon".to_owned()],
            made_diversions: true,
            tools: vec![ToolRecord {
                path: "usr/sbin/swapon".to_owned(),
                real: Original::Link,
                sha256: Some(sha256(b"/bin/busybox")),
            }],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let manifest = example();
        assert_eq!(Manifest::parse(&manifest.to_bytes().unwrap()).unwrap(), manifest);
    }

    #[test]
    fn a_later_version_is_named_and_not_guessed_at() {
        let later =
            String::from_utf8(example().to_bytes().unwrap()).unwrap().replace("version = 1", "version = 2");
        let error = Manifest::parse(later.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("version is 2"), "{error}");
    }

    #[test]
    fn hashes_and_tokens_that_are_none_are_refused() {
        let mut manifest = example();
        manifest.token = "../../../etc/shm".to_owned();
        assert!(Manifest::parse(&manifest.to_bytes().unwrap()).is_err());
        let mut manifest = example();
        manifest.shim.sha256.pop();
        assert!(Manifest::parse(&manifest.to_bytes().unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Manifest::parse(&bytes);
        }
    }
}
