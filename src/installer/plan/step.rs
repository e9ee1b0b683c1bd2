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
    pub warnings: Vec<String>,
    /// What is in order and good to know; one line each.
    pub notes: Vec<String>,
    /// What the manifest says, but for the state; `None` if none is written.
    pub manifest: Option<Manifest>,
}

/// One step of an install or uninstall. Paths are relative to the guest's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Step {
    /// Make a directory, unless it is there.
    MakeDirectory {
        /// The path of the directory.
        path: String,
        /// The permission bits that it gets.
        mode: u32,
    },
    /// Set a directory's permission bits.
    SetMode {
        /// The path of the directory.
        path: String,
        /// 1700 for our own directory while it is half made or half gone, 0700 when it is whole.
        mode: u32,
    },
    /// See that a file made through the overlay shows up in this directory of the host's; else stop.
    ProveUpper {
        /// The directory that is held to be upper, as the host sees it.
        #[serde(serialize_with = "escaped")]
        upper: PathBuf,
    },
    /// Remove a temporary name of a run that did not end.
    Clean {
        /// The path of that name.
        path: String,
    },
    /// Write what is to be done, or that it is done, into the manifest.
    WriteManifest {
        /// `installing`, `upgrading` or `uninstalling` before the first name changes, `installed` after the last.
        state: State,
    },
    /// Copy the running binary into the image.
    PutBinary {
        /// SHA-256 of its content.
        sha256: String,
    },
    /// Write the configuration that the caller gave into the image.
    PutConfig {
        /// SHA-256 of its content.
        sha256: String,
    },
    /// Give a tool its second name, `.real`: the same inode.
    KeepReal {
        /// The path of the tool.
        path: String,
    },
    /// Let the tool that a package manager put over the shim take the place of the old `.real`.
    AdoptReal {
        /// The path of the tool.
        path: String,
    },
    /// Link the shim beside a tool, under a temporary name.
    StageShim {
        /// The path of the tool.
        path: String,
    },
    /// Put what changed in a directory on the disk.
    Sync {
        /// The path of the directory; `.` is the root.
        path: String,
    },
    /// Rename the staged shim over a name.
    PutShim {
        /// The path of that name.
        path: String,
        /// What stood there until now.
        over: Over,
    },
    /// Make dpkg put what packages have for these paths at `.real`, so that no upgrade replaces a shim.
    Divert {
        /// The absolute paths as packages spell them.
        paths: Vec<String>,
        /// Who writes the diversions down.
        #[serde(flatten)]
        list: ListWriter,
    },
    /// Take those diversions away again.
    Undivert {
        /// The absolute paths as packages spell them.
        paths: Vec<String>,
        /// Who takes the diversions out.
        #[serde(flatten)]
        list: ListWriter,
    },
    /// Exchange `.real` with the shim, which goes then.
    Restore {
        /// The path of the tool.
        path: String,
    },
    /// Remove a shim that had been provided where nothing stood.
    RemoveShim {
        /// The path of the shim.
        path: String,
    },
    /// Remove a file of ours.
    RemoveFile {
        /// The path of the file.
        path: String,
    },
    /// Unmount what is at `.rootfs-shim/upper`.
    DetachUpper,
    /// Remove a directory of ours, which is empty by now.
    RemoveDirectory {
        /// The path of the directory.
        path: String,
    },
}

/// What stands at a name where the shim goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// The image's own tool, which has its second name by now.
    Tool,
    /// A shim that install put there before.
    Shim,
    /// Nothing: the image has no such tool.
    Nothing,
}

/// Who writes dpkg's list of diversions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "with", rename_all = "kebab-case")]
pub enum ListWriter {
    /// dpkg-divert does, in the running root.
    DpkgDivert,
    /// We do, in an image where no dpkg runs.
    File {
        /// The whole new list, or `None` if there is to be none. It is the image's, and long, so nobody prints it.
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
