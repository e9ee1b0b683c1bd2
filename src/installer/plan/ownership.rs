//! What is ours: told by the inode, its owner and mode and its content, never by one of these alone.
//!
//! Every shim is a link of `bin/rootfs-shim`, root's, with mode 0755. The same bytes under another owner or mode
//! would be a tool that a stranger may rewrite or that nobody can run, and in a name that no manifest has they
//! are the image's own. An inode of ours with other bytes was written through one of its names, so it is
//! replaced as well.

use crate::installer::image::file::FileAtName;
use crate::installer::image::{Image, ToolName};
use crate::installer::manifest::{Original, ToolRecord};
use crate::installer::plan::orders::Orders;
use crate::untrusted::IN_OTHER_MOUNT;
use crate::untrusted::inode::FileKind;

/// The mode of the binary.
const MODE: u32 = 0o755;

/// What the manifest says of a name.
pub(crate) fn recorded<'a>(image: &'a Image, tool_name: &ToolName) -> Option<&'a ToolRecord> {
    let manifest = image.manifest()?;
    let merged = || {
        manifest
            .tools
            .iter()
            .find(|tool| image.tool_name(&tool.path).is_some_and(|at| at.path == tool_name.path))
    };
    manifest.tool(&tool_name.path).or_else(merged)
}

/// Why nobody knows what has become of a recorded name, if nobody does. What is not seen is not forgotten.
pub(crate) fn hidden(image: &Image, tool: &ToolRecord) -> Option<&'static str> {
    let Some(tool_name) = image.tool_name(&tool.path) else {
        let directory = tool.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let unseen = image.unseen.iter().any(|path| *path == tool.path || path == directory);
        return unseen.then_some("it cannot be looked at");
    };
    let directory = image.directory_of(tool_name);
    let covered = |file: &Option<FileAtName>| file.as_ref().is_some_and(|file| file.in_other_mount);
    let is_hidden = directory.is_some_and(|directory| directory.in_other_mount)
        || covered(&tool_name.at_name)
        || covered(&tool_name.at_real);
    is_hidden.then_some(IN_OTHER_MOUNT)
}

/// Whether the owner and the mode are those that install gives.
pub(crate) fn is_sound(file: &FileAtName) -> bool {
    let inode = &file.inode;
    (inode.kind, inode.uid, inode.gid, inode.mode) == (FileKind::Regular, 0, 0, MODE)
}

/// Whether it is a link of the binary in our directory.
pub(crate) fn is_link(image: &Image, file: &FileAtName) -> bool {
    let binary = image.our_directory.as_ref().and_then(|our_directory| our_directory.binary.as_ref());
    binary.is_some_and(|binary| binary.is_same_file(file))
}

/// Whether the manifest knows the content as a shim's.
pub(crate) fn is_known(image: &Image, file: &FileAtName) -> bool {
    let hash = file.sha256.as_deref();
    file.inode.kind == FileKind::Regular
        && hash.is_some_and(|hash| image.manifest().is_some_and(|manifest| manifest.is_shim(hash)))
}

/// Whether the binary in our directory is, owner and mode included, the one that is to be there.
pub(crate) fn has_binary(image: &Image, sha256: &str) -> bool {
    let binary = image.our_directory.as_ref().and_then(|our_directory| our_directory.binary.as_ref());
    binary.is_some_and(|binary| is_sound(binary) && binary.sha256.as_deref() == Some(sha256))
}

/// Whether a name has the shim that is to be there, and nothing has to be done.
pub(crate) fn is_current(image: &Image, orders: &Orders, file: &FileAtName) -> bool {
    has_binary(image, &orders.binary) && is_link(image, file) && is_sound(file)
}

/// Whether what stands at a name is a shim that may be replaced by another.
pub(crate) fn is_shim(image: &Image, orders: &Orders, tool_name: &ToolName, file: &FileAtName) -> bool {
    if file.inode.kind != FileKind::Regular {
        return false;
    }
    let tool = recorded(image, tool_name);
    if is_known(image, file) || file.sha256.as_deref() == Some(&orders.binary) {
        // A copy that came with the image is its own, and kept like any tool.
        return tool.is_some() || is_link(image, file) || tool_name.at_real.is_some();
    }
    // Something was written into it by one of its names. Its real tool is there, or there never was one.
    is_link(image, file)
        && tool.is_some_and(|tool| tool.real == Original::Nothing || tool_name.at_real.is_some())
}

/// Whether uninstall may take away what stands at a recorded name.
pub(crate) fn may_go(image: &Image, file: &FileAtName) -> bool {
    let ours = |hash: &str| image.our_directory.iter().any(|our_directory| our_directory.has_content(hash));
    let known = is_known(image, file) || file.sha256.as_deref().is_some_and(ours);
    file.inode.kind == FileKind::Regular && (is_link(image, file) || (known && is_sound(file)))
}
