//! Whether a writable layer may be made new, and how: pure.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::layers::content::{Content, WRITABLE};
use crate::layers::device::Storage;
use crate::layers::facts::{Layer, LayerKind, User};
use crate::text;

/// When the old blocks are handed back to the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Discard {
    /// They are handed back before the command ends.
    Now,
    /// After it, by a process that nobody waits for.
    #[default]
    Later,
    /// They are kept.
    Never,
}

/// The least that mkfs makes a useful filesystem of.
pub(crate) const LEAST: u64 = 8 << 20;

/// What a caller says of a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResetOrders {
    /// The layer is made new even if it carries something that is not ours.
    pub force: bool,
    pub discard: Discard,
}

/// How a layer is made new, step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResetPlan {
    /// The path of the layer.
    pub path: PathBuf,
    pub how: Renewal,
    /// Whether a background trimming has to be stopped first.
    pub stop_trimming: bool,
    /// The name of the layer's background trimming.
    pub key: String,
    /// When the old blocks, or the old files, go.
    pub discard: Discard,
}

/// How a layer is made new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// A new filesystem on a device or in an image.
    Format {
        /// The size of the device in bytes.
        size: u64,
        /// Which: what was there, or ext4 where there was none.
        kind: &'static str,
        /// The program that makes it.
        mkfs: PathBuf,
        storage: Storage,
    },
    /// Its parts are moved aside, made new, and the old ones deleted; with `everything`, whatever else lies
    /// there as well.
    Replace {
        /// `--force` on a directory that holds more than a layer.
        everything: bool,
    },
}

impl ResetPlan {
    /// One line for each step.
    pub(crate) fn steps(&self) -> Vec<String> {
        let path = text::path(&self.path);
        let mut steps = Vec::new();
        if self.stop_trimming {
            steps.push(format!("stop the trimming of {path}"));
        }
        match &self.how {
            Renewal::Format { mkfs, kind, .. } => {
                steps.push(format!("format {path} as {kind} with {}", text::path(mkfs)));
            }
            Renewal::Replace { everything: false } => {
                steps.push(format!("replace upper, work and passthrough in {path}"));
            }
            Renewal::Replace { everything: true } => steps.push(format!("replace everything in {path}")),
        }
        let what = if matches!(self.how, Renewal::Format { .. }) { "old blocks" } else { "old files" };
        match (self.discard, &self.how) {
            (Discard::Now, _) => steps.push(format!("give back the {what}")),
            (Discard::Later, _) => steps.push(format!("give back the {what} in the background")),
            (Discard::Never, Renewal::Replace { .. }) => steps.push("delete the old files".to_owned()),
            (Discard::Never, Renewal::Format { .. }) => {}
        }
        steps
    }
}

/// Decides.
///
/// # Errors
/// [`Kind::State`] if the layer is in use, is too small, or carries something that is not ours.
pub(crate) fn plan(layer: &Layer, mkfs: Option<PathBuf>, orders: ResetOrders) -> Result<ResetPlan> {
    let refuse = |reason: String| Error::new(Kind::State, "reset", reason).at(&layer.path);
    in_use(layer, "reset")?;
    let forced = "use --force to lose it";
    let how = match &layer.kind {
        LayerKind::Device(medium) | LayerKind::Image(medium) => {
            let ours = matches!(
                medium.content,
                Content::Empty | Content::Unfinished(_) | Content::Filesystem { ours: true, .. }
            );
            if !ours && !orders.force {
                return Err(refuse(format!("it carries {}", medium.content.words())).remedy(forced));
            }
            format(layer, mkfs)?
        }
        LayerKind::Directory(directory) => match &directory.foreign {
            Some(foreign) if !orders.force => {
                let reason = format!("{} is not a part of a writable layer", text::path(foreign));
                return Err(refuse(reason).remedy(forced));
            }
            foreign => Renewal::Replace { everything: foreign.is_some() },
        },
    };
    let stop_trimming = layer.user == Some(User::Trimming);
    Ok(ResetPlan {
        path: layer.path.clone(),
        how,
        stop_trimming,
        key: layer.key.clone(),
        discard: orders.discard,
    })
}

/// The filesystem that a new layer gets here: the one that somebody chose for the old one, also if its reset was
/// cut short; else ext4. A layer that today's mkfs finds too small for it becomes ext4 too: it must boot.
pub(crate) fn filesystem(layer: &Layer) -> &'static str {
    let Some(medium) = layer.medium() else { return "ext4" };
    let kind = match medium.content {
        Content::Filesystem { kind, .. } | Content::Unfinished(kind) => kind,
        _ => "ext4",
    };
    let least = match kind {
        "xfs" => 300 << 20,
        "btrfs" => 112 << 20,
        _ => 0,
    };
    if WRITABLE.contains(&kind) && medium.size >= least { kind } else { "ext4" }
}

/// The first format of an empty device, or the end of one that was cut short. `mkfs` makes what [`filesystem`]
/// says.
///
/// # Errors
/// [`Kind::State`] without that program, or if the device is too small.
pub(crate) fn format(layer: &Layer, mkfs: Option<PathBuf>) -> Result<Renewal> {
    let refuse = |reason: String| Error::new(Kind::State, "format", reason).at(&layer.path);
    let size = layer.medium().map_or(0, |medium| medium.size);
    let storage = layer.storage().unwrap_or(Storage::Device);
    if size < LEAST {
        return Err(refuse(format!("it has {size} bytes, and a filesystem needs {} MiB", LEAST >> 20)));
    }
    let kind = filesystem(layer);
    let package = match kind {
        "xfs" => "install xfsprogs",
        "btrfs" => "install btrfs-progs",
        _ => "install e2fsprogs",
    };
    let mkfs = mkfs.ok_or_else(|| refuse(format!("there is no mkfs.{kind} here")).remedy(package))?;
    Ok(Renewal::Format { size, kind, mkfs, storage })
}

/// Refuses a layer that somebody uses; our own trimming does not count.
///
/// # Errors
/// [`Kind::State`], naming the user.
pub(crate) fn in_use(layer: &Layer, attempt: &str) -> Result<()> {
    let refuse = |reason: String| Error::new(Kind::State, attempt, reason).at(&layer.path);
    match &layer.user {
        None | Some(User::Trimming) => Ok(()),
        Some(User::Mounted(point)) => Err(refuse(format!("it is mounted at {}", text::path(point)))
            .remedy("take that down with `rootfs-shim unmount` or umount first")),
        Some(User::Swap) => Err(refuse("it is active swap".to_owned()).remedy("run swapoff on it first")),
        Some(User::Somebody) => {
            Err(refuse("it is in use (mounted in another namespace, or by another device)".to_owned()))
        }
    }
}

/// Reads one of the words `now`, `later` and `never`.
pub(crate) fn discard(word: &str) -> std::result::Result<Discard, String> {
    match word {
        "now" => Ok(Discard::Now),
        "later" => Ok(Discard::Later),
        "never" => Ok(Discard::Never),
        _ => Err("is none of now, later, never".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::facts::{Directory, LayerState, Medium};

    fn device(content: Content, user: Option<User>) -> Layer {
        let kind = LayerKind::Device(Medium { size: 1 << 30, content });
        Layer { path: "/dev/vdb".into(), kind, user, key: "b1:1".into() }
    }

    fn outcome(layer: &Layer, force: bool) -> std::result::Result<Vec<String>, String> {
        let mkfs = Some("/sbin/mkfs.ext4".into());
        plan(layer, mkfs, ResetOrders { force, discard: Discard::Later })
            .map(|plan| plan.steps())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_ours_needs_force() {
        let foreign = device(Content::Filesystem { kind: "ext4", ours: false }, None);
        assert_eq!(
            outcome(&foreign, false).unwrap_err(),
            "reset /dev/vdb: it carries an ext4 filesystem; use --force to lose it"
        );
        assert!(outcome(&foreign, true).is_ok());
        for content in [Content::Swap, Content::Unknown, Content::Other("a LUKS volume".into())] {
            assert!(outcome(&device(content, None), false).is_err());
        }
        for content in
            [Content::Empty, Content::Unfinished("xfs"), Content::Filesystem { kind: "xfs", ours: true }]
        {
            assert!(outcome(&device(content, None), false).is_ok());
        }
    }

    #[test]
    fn the_filesystem_stays_what_it_was() {
        let xfs = device(Content::Filesystem { kind: "xfs", ours: true }, None);
        assert!(outcome(&xfs, false).unwrap()[0].starts_with("format /dev/vdb as xfs"));
        assert!(
            plan(&xfs, None, ResetOrders { force: false, discard: Discard::Later })
                .unwrap_err()
                .to_string()
                .ends_with("install xfsprogs")
        );
        let cut = device(Content::Unfinished("btrfs"), None);
        assert!(outcome(&cut, false).unwrap()[0].starts_with("format /dev/vdb as btrfs"));
        let mut small = xfs.clone();
        small.kind = LayerKind::Device(Medium { size: 299 << 20, content: Content::Unfinished("xfs") });
        assert!(outcome(&small, false).unwrap()[0].starts_with("format /dev/vdb as ext4"));
        let image = device(Content::Filesystem { kind: "squashfs", ours: false }, None);
        assert!(outcome(&image, true).unwrap()[0].starts_with("format /dev/vdb as ext4"));
    }

    #[test]
    fn no_force_helps_against_a_user() {
        for user in [User::Mounted("/mnt".into()), User::Swap, User::Somebody] {
            assert!(outcome(&device(Content::Empty, Some(user)), true).is_err());
        }
        let steps = outcome(&device(Content::Empty, Some(User::Trimming)), false).unwrap();
        assert_eq!(
            steps,
            [
                "stop the trimming of /dev/vdb",
                "format /dev/vdb as ext4 with /sbin/mkfs.ext4",
                "give back the old blocks in the background"
            ]
        );
    }

    #[test]
    fn a_directory_keeps_what_is_not_ours() {
        let directory = |foreign: Option<&str>| Layer {
            path: "/srv/w".into(),
            kind: LayerKind::Directory(Directory {
                state: LayerState::Ready,
                foreign: foreign.map(PathBuf::from),
                source: "/dev/vda".into(),
            }),
            user: None,
            key: String::new(),
        };
        assert!(outcome(&directory(Some("/srv/w/letters")), false).unwrap_err().contains("/srv/w/letters"));
        assert_eq!(outcome(&directory(Some("/srv/w/x")), true).unwrap()[0], "replace everything in /srv/w");
        assert_eq!(
            outcome(&directory(None), false).unwrap()[0],
            "replace upper, work and passthrough in /srv/w"
        );
    }
}
