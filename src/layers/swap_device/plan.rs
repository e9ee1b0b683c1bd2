//! The platform's own swap device: whether it may be formatted and enabled, and how. Pure.

use std::path::PathBuf;

use crate::error::{Error, Kind, Result};
use crate::layers::content::Content;
use crate::layers::facts::{Layer, LayerKind, User};
use crate::text;

/// Above every swapfile that a user enables with a priority of their own.
pub const PRIORITY: u16 = 32767;

/// What is to be done with the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SwapPlan {
    /// The device is active already.
    Nothing,
    /// A new header, then swapon(2).
    Enable {
        device: PathBuf,
        /// The size of the device in bytes.
        size: u64,
        /// Of the area; higher is used first.
        priority: u16,
    },
}

impl SwapPlan {
    /// One line for each step.
    pub(crate) fn steps(&self) -> Vec<String> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Enable { device, priority, .. } => {
                let device = text::path(device);
                vec![
                    format!("write a new swap header to {device}"),
                    format!("enable {device} with priority {priority}, discarding what it held"),
                ]
            }
        }
    }
}

/// Decides.
///
/// # Errors
/// [`Kind::State`] for what is no block device, is in use or carries another signature.
pub(crate) fn plan(layer: &Layer, priority: u16) -> Result<SwapPlan> {
    let refuse = |reason: String| Error::new(Kind::State, "enable as swap", reason).at(&layer.path);
    let LayerKind::Device(medium) = &layer.kind else {
        return Err(refuse("it is no block device".to_owned()).remedy("swapon enables swapfiles"));
    };
    if layer.user == Some(User::Swap) {
        return Ok(SwapPlan::Nothing);
    }
    crate::layers::reset::plan::in_use(layer, "enable as swap")?;
    match &medium.content {
        // Without a signature it may be what a cut left of a header, or a recycled disk.
        Content::Empty | Content::Swap | Content::Unknown => {}
        other => {
            let remedy = "if that may be lost, run wipefs -a on it first";
            return Err(refuse(format!("it carries {}", other.words())).remedy(remedy));
        }
    }
    Ok(SwapPlan::Enable { device: layer.path.clone(), size: medium.size, priority })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::facts::Medium;

    fn steps(content: Content, user: Option<User>) -> std::result::Result<usize, String> {
        let kind = LayerKind::Device(Medium { size: 1 << 30, content });
        let layer = Layer { path: "/dev/vdc".into(), kind, user, key: String::new() };
        plan(&layer, PRIORITY).map(|plan| plan.steps().len()).map_err(|error| error.to_string())
    }

    #[test]
    fn another_signature_is_refused_and_an_active_area_is_left_alone() {
        assert_eq!(steps(Content::Empty, None), Ok(2));
        assert_eq!(steps(Content::Swap, None), Ok(2));
        assert_eq!(steps(Content::Swap, Some(User::Swap)), Ok(0));
        let filesystem = Content::Filesystem { kind: "ext4", ours: true };
        assert!(steps(filesystem, None).unwrap_err().contains("a writable layer (ext4)"));
        assert!(steps(Content::Other("a LUKS volume".into()), None).is_err());
        assert!(steps(Content::Empty, Some(User::Mounted("/mnt".into()))).unwrap_err().contains("/mnt"));
    }
}
