//! What is ours: told by the inode, its owner and mode and its content, never by one of these alone.
//!
//! Every shim is a link of `bin/rootfs-shim`, root's, with mode 0755. The same bytes under another owner or mode
//! would be a tool that a stranger may rewrite or that nobody can run, and in a name that no manifest has they
//! are the image's own. An inode of ours with other bytes was written through one of its names, so it is
//! replaced as well.

use crate::installer::image::file::Standing;
use crate::installer::image::{Image, Slot};
use crate::installer::manifest::{Manifest, Real, Tool};
use crate::installer::plan::request::Request;
use crate::untrusted::IN_OTHER_MOUNT;
use crate::untrusted::entry::FileKind;

/// The mode of the binary.
const MODE: u32 = 0o755;

/// The manifest, if there is one.
pub(crate) fn manifest_of(image: &Image) -> Option<&Manifest> {
    image.home.as_ref()?.manifest.as_ref()
}

/// What the manifest says of a name.
pub(crate) fn recorded<'a>(image: &'a Image, slot: &Slot) -> Option<&'a Tool> {
    let manifest = manifest_of(image)?;
    let merged =
        || manifest.tools.iter().find(|tool| image.slot(&tool.path).is_some_and(|at| at.path == slot.path));
    manifest.tool(&slot.path).or_else(merged)
}

/// Why nobody knows what has become of a recorded name, if it is so. What is not seen is not forgotten.
pub(crate) fn hidden(image: &Image, tool: &Tool) -> Option<&'static str> {
    let Some(slot) = image.slot(&tool.path) else {
        let directory = tool.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let unseen = image.unseen.iter().any(|path| *path == tool.path || path == directory);
        return unseen.then_some("it cannot be looked at");
    };
    let place = image.places.get(slot.place);
    let covered = |standing: &Option<Standing>| standing.as_ref().is_some_and(|standing| standing.elsewhere);
    let is_hidden = place.is_some_and(|place| place.elsewhere) || covered(&slot.name) || covered(&slot.real);
    is_hidden.then_some(IN_OTHER_MOUNT)
}

/// Whether the owner and the mode are those that install gives.
pub(crate) fn is_sound(standing: &Standing) -> bool {
    let entry = &standing.entry;
    (entry.kind, entry.uid, entry.gid, entry.mode) == (FileKind::Regular, 0, 0, MODE)
}

/// Whether it is a link of the binary in our directory.
pub(crate) fn is_link(image: &Image, standing: &Standing) -> bool {
    let binary = image.home.as_ref().and_then(|home| home.binary.as_ref());
    binary.is_some_and(|binary| binary.is_same_file(standing))
}

/// Whether the manifest knows the content as a shim's.
pub(crate) fn is_known(image: &Image, standing: &Standing) -> bool {
    let hash = standing.sha256.as_deref();
    standing.entry.kind == FileKind::Regular
        && hash.is_some_and(|hash| manifest_of(image).is_some_and(|manifest| manifest.is_shim(hash)))
}

/// Whether the binary in our directory is, owner and mode included, the one that is to be there.
pub(crate) fn has_binary(image: &Image, sha256: &str) -> bool {
    let binary = image.home.as_ref().and_then(|home| home.binary.as_ref());
    binary.is_some_and(|binary| is_sound(binary) && binary.sha256.as_deref() == Some(sha256))
}

/// Whether a name has the shim that is to be there, and nothing has to be done.
pub(crate) fn is_current(image: &Image, request: &Request, name: &Standing) -> bool {
    has_binary(image, &request.binary) && is_link(image, name) && is_sound(name)
}

/// Whether what stands at a name is a shim that may be replaced by another.
pub(crate) fn is_shim(image: &Image, request: &Request, slot: &Slot, name: &Standing) -> bool {
    if name.entry.kind != FileKind::Regular {
        return false;
    }
    let tool = recorded(image, slot);
    if is_known(image, name) || name.sha256.as_deref() == Some(&request.binary) {
        // A copy that came with the image is its own, and kept like any tool.
        return tool.is_some() || is_link(image, name) || slot.real.is_some();
    }
    // Something was written into it by one of its names. Its real tool is there, or there never was one.
    is_link(image, name) && tool.is_some_and(|tool| tool.real == Real::Nothing || slot.real.is_some())
}

/// Whether uninstall may take away what stands at a recorded name.
pub(crate) fn may_go(image: &Image, name: &Standing) -> bool {
    let ours = |hash: &str| image.home.iter().any(|home| home.has_content(hash));
    let known = is_known(image, name) || name.sha256.as_deref().is_some_and(ours);
    name.entry.kind == FileKind::Regular && (is_link(image, name) || (known && is_sound(name)))
}
