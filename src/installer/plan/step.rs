//! What install and uninstall do, one step after the other, as data: printed by `--dry-run`, done by execute.
//!
//! Every path is relative to the image's root. The JSON form is stable: an object with `action` in
//! kebab-case and the fields below.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use crate::installer::manifest::{Manifest, State};
use crate::text;

/// An ordered list of steps, and what the reader should know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InstallerPlan {
    /// In this order; none if there is nothing to do.
    pub steps: Vec<Step>,
    /// One line each.
    pub warnings: Vec<String>,
    /// What is in order and good to know; one line each.
    pub notes: Vec<String>,
    /// What the manifest says, but for the state; `None` if none is written.
    pub manifest: Option<Manifest>,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Step {
    /// Make a directory, unless it is there.
    MakeDirectory {
        /// Which.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// Set a directory's permission bits.
    SetMode {
        /// Which.
        path: String,
        /// 1700 for our own directory while it is half made or half gone, 0700 when it is whole.
        mode: u32,
    },
    /// See that a file made through the overlay shows up in this directory of the host's; else stop.
    ProveUpper {
        /// The upper directory.
        #[serde(serialize_with = "escaped")]
        upper: PathBuf,
    },
    /// Remove a temporary name of a run that did not end.
    Clean {
        /// Which.
        path: String,
    },
    /// Write the manifest.
    WriteManifest {
        /// `installing`, `upgrading` or `uninstalling` before the first name changes, `installed` after the last.
        state: State,
    },
    /// Copy the running binary into the image.
    PutBinary {
        /// SHA-256 of it.
        sha256: String,
    },
    /// Write the configuration.
    PutConfig {
        /// SHA-256 of it.
        sha256: String,
    },
    /// Give a tool its second name, `.real`: the same inode.
    KeepReal {
        /// The tool's name.
        path: String,
    },
    /// Let the tool that a package manager put over the shim take the place of the old `.real`.
    AdoptReal {
        /// The tool's name.
        path: String,
    },
    /// Link the shim beside a tool, under a temporary name.
    StageShim {
        /// The tool's name.
        path: String,
    },
    /// Put what changed in a directory on the disk.
    Sync {
        /// Which; `.` is the root.
        path: String,
    },
    /// Rename the staged shim over a name.
    PutShim {
        /// The name.
        path: String,
        /// What stands there now.
        over: Over,
    },
    /// Make dpkg put what packages have for these paths at `.real`, so that no upgrade replaces a shim.
    Divert {
        /// As packages spell them.
        paths: Vec<String>,
        /// How.
        #[serde(flatten)]
        list: ListWriter,
    },
    /// Take those diversions away again.
    Undivert {
        /// As packages spell them.
        paths: Vec<String>,
        /// How.
        #[serde(flatten)]
        list: ListWriter,
    },
    /// Exchange `.real` with the shim, which goes then.
    Restore {
        /// The tool's name.
        path: String,
    },
    /// Remove a shim that had been provided where nothing stood.
    RemoveShim {
        /// Its name.
        path: String,
    },
    /// Remove a file of ours.
    RemoveFile {
        /// Which.
        path: String,
    },
    /// Unmount `.rootfs-shim/upper`.
    DetachUpper,
    /// Remove a directory of ours, which is empty by now.
    RemoveDirectory {
        /// Which.
        path: String,
    },
}

/// What stands at a name where the shim goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// The image's own tool, which has its second name by now.
    Tool,
    /// An older shim.
    Shim,
    /// Nothing.
    Nothing,
}

/// Who writes dpkg's list of diversions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "with", rename_all = "kebab-case")]
pub enum ListWriter {
    /// dpkg-divert, in the running root.
    DpkgDivert,
    /// We, in an image where no dpkg runs: the whole new list, or `None` for none at all.
    File {
        /// It is the image's, and long.
        #[serde(skip)]
        content: Option<Vec<u8>>,
    },
}

fn escaped<S: Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text::path(path))
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeDirectory { path, mode } => write!(f, "make directory {path} (mode {mode:04o})"),
            Self::SetMode { path, mode } => write!(f, "set the mode of {path} to {mode:04o}"),
            Self::ProveUpper { upper } => {
                write!(f, "prove that {} is the upper directory", text::path(upper))
            }
            Self::Clean { path } => write!(f, "remove {path}, left by a run that did not end"),
            Self::WriteManifest { state: State::Installed } => {
                f.write_str("note in the manifest that all is done")
            }
            Self::WriteManifest { .. } => f.write_str("note in the manifest what is to be done"),
            Self::PutBinary { .. } => f.write_str("copy this program to .rootfs-shim/bin/rootfs-shim"),
            Self::PutConfig { .. } => f.write_str("write .rootfs-shim/config.toml"),
            Self::KeepReal { path } => write!(f, "link {path} to {path}.real"),
            Self::AdoptReal { path } => write!(f, "put the new {path} in the place of {path}.real"),
            Self::StageShim { path } => write!(f, "link the shim beside {path}"),
            Self::Sync { path } => write!(f, "fsync {path}"),
            Self::PutShim { path, over: Over::Tool } => write!(f, "rename the shim to {path}"),
            Self::PutShim { path, over: Over::Shim } => {
                write!(f, "rename the shim to {path}, over an older one")
            }
            Self::PutShim { path, over: Over::Nothing } => write!(f, "provide {path}"),
            Self::Divert { paths, list } => write!(f, "divert {} to .real{list}", paths.join(", ")),
            Self::Undivert { paths, list } => write!(f, "end the diversion of {}{list}", paths.join(", ")),
            Self::Restore { path } => write!(f, "rename {path}.real to {path}"),
            Self::RemoveShim { path } | Self::RemoveFile { path } => write!(f, "remove {path}"),
            Self::DetachUpper => f.write_str("unmount .rootfs-shim/upper"),
            Self::RemoveDirectory { path } => write!(f, "remove directory {path}"),
        }
    }
}

impl fmt::Display for ListWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DpkgDivert => " with dpkg-divert",
            Self::File { .. } => " in var/lib/dpkg/diversions",
        })
    }
}
