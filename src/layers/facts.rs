//! What `mount`, `reset` and `swap` want to know about a layer: what it is, what it carries, who uses it.
//!
//! Who uses a block device is the kernel's own answer: an O_EXCL open fails while a filesystem or swap in any
//! mount namespace of the machine holds it. The list of mounts only serves to name the user.
#![expect(clippy::disallowed_methods, reason = "the init's own devices and layers")]

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::stat::{major, minor};

use crate::backing::reveal;
use crate::error::{Attempt, Error, Kind, Result};
use crate::kernel::devices::{is_held, is_node_of};
use crate::kernel::mounts::{DevNo, Mount, Mounts};
use crate::kernel::places;
use crate::kernel::program;
use crate::layers::content::{self, Content};
use crate::layers::device::Storage;
use crate::layers::writable::{ASIDE, PARTS, READY, STATE_FILE};
use crate::swap::active::ActiveSwap;
use crate::sys::{block, wait_for};

/// What we know of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The path as it was given.
    pub path: PathBuf,
    pub kind: LayerKind,
    /// Why it must not be formatted or mounted for writing now.
    pub user: Option<User>,
    /// The name of its background trimming, if one can be running.
    pub key: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LayerKind {
    Device(Medium),
    /// A regular file that holds a filesystem.
    Image(Medium),
    Directory(Directory),
}

/// A device's or an image's size and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Medium {
    /// The size in bytes.
    pub size: u64,
    pub content: Content,
}

/// A writable layer that is a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    /// [`STATE_FILE`] says it.
    pub state: LayerState,
    /// Something in it that is none of [`PARTS`] and none of our own files.
    pub foreign: Option<PathBuf>,
    /// What the mount that it is in was made from, e.g. `/dev/vda`.
    pub source: std::ffi::OsString,
}

/// The state of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerState {
    /// No state file: never used as a writable layer.
    New,
    Ready,
    /// Ours, and a reset was cut short.
    Resetting,
}

/// Somebody who uses a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum User {
    /// It is mounted at that path.
    Mounted(PathBuf),
    Swap,
    /// Our own background trimming, which ends when it is asked to.
    Trimming,
    /// The kernel says that it is busy; by whom is not to be seen from here.
    Somebody,
}

impl Layer {
    /// Looks at `path`.
    ///
    /// # Errors
    /// If it cannot be opened or is none of the three.
    pub(crate) fn look(path: &Path, mounts: &Mounts, swaps: &[ActiveSwap]) -> Result<Self> {
        let meta = fs::metadata(path).attempt("look at", path)?;
        let kind = meta.file_type();
        let key = key_of(&meta);
        let kind = if kind.is_block_device() {
            LayerKind::Device(medium(path)?)
        } else if kind.is_file() {
            LayerKind::Image(medium(path)?)
        } else if kind.is_dir() {
            LayerKind::Directory(directory(path, mounts)?)
        } else {
            let error = Error::new(Kind::State, "use the layer", "is no device, image file or directory");
            return Err(error.at(path));
        };
        let user = match &kind {
            LayerKind::Device(_) => user_of_device(path, &meta, &key, mounts, swaps),
            LayerKind::Image(_) => user_of_image(&meta, &key, mounts, swaps),
            LayerKind::Directory(_) => user_of_directory(path, mounts),
        };
        // A trimming that has not come to open the layer yet will do so at any moment.
        let user = match user {
            None | Some(User::Somebody) if is_trimming(&key) => Some(User::Trimming),
            user => user,
        };
        Ok(Self { path: path.to_owned(), kind, user, key })
    }

    /// What holds the layer's filesystem, if it is a device or an image.
    pub(crate) fn storage(&self) -> Option<Storage> {
        match &self.kind {
            LayerKind::Device(_) => Some(Storage::Device),
            LayerKind::Image(_) => Some(Storage::Image),
            LayerKind::Directory(_) => None,
        }
    }

    /// Size and content, if it is a device or an image.
    pub(crate) fn medium(&self) -> Option<&Medium> {
        match &self.kind {
            LayerKind::Device(medium) | LayerKind::Image(medium) => Some(medium),
            LayerKind::Directory(_) => None,
        }
    }
}

/// A program that is run by name, from PATH and the usual places.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"].map(PathBuf::from);
    let places = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).chain(usual);
    places.map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The abstract socket by which a background trimming listens for the request to end.
pub(crate) fn trim_socket(key: &str) -> String {
    format!("rootfs-shim-trim-{key}")
}

/// What tells the layer at `path` from every other, by whatever path it is reached.
pub(crate) fn key(path: &Path) -> Option<String> {
    fs::metadata(path).ok().map(|meta| key_of(&meta))
}

fn key_of(meta: &fs::Metadata) -> String {
    let kind = meta.file_type();
    if kind.is_block_device() {
        let device = device_of(meta);
        return format!("b{}:{}", device.major, device.minor);
    }
    format!("{}{:x}:{}", if kind.is_dir() { 'd' } else { 'f' }, meta.dev(), meta.ino())
}

/// The number of the device whose node this is.
fn device_of(meta: &fs::Metadata) -> DevNo {
    DevNo { major: to_u32(major(meta.rdev())), minor: to_u32(minor(meta.rdev())) }
}

fn to_u32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn open(path: &Path, flags: i32) -> std::io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | flags).open(path)
}

fn medium(path: &Path) -> Result<Medium> {
    let mut file = open(path, 0).attempt("open the layer", path)?;
    let size = match block::device_size(file.as_fd()) {
        Ok(size) => size,
        Err(_) => file.metadata().attempt("stat the layer", path)?.len(),
    };
    let mut mark = vec![0; content::MARK_BLOCK];
    match content::mark_offset(size) {
        Some(offset) => file.read_exact_at(&mut mark, offset).attempt("read the layer", path)?,
        None => mark.clear(),
    }
    let (mut head, mut content) = (Vec::new(), Content::Unknown);
    // What has a name has it near the beginning; only to be empty takes all of it.
    for length in [content::NEAR, content::HEAD] {
        let more = length.saturating_sub(head.len()) as u64;
        (&mut file).take(more).read_to_end(&mut head).attempt("read the layer", path)?;
        content = content::identify(&head, &mark);
        if !matches!(content, Content::Empty | Content::Unknown) {
            return Ok(Medium { size, content });
        }
    }
    content = asked_of_blkid(path)?.unwrap_or(content);
    Ok(Medium { size, content })
}

/// blkid knows the signatures at a device's end, and a hundred filesystems that we do not. BusyBox's does not know the
/// option and says 1; what fails in another way may have seen something.
///
/// # Errors
/// State if it hangs: what it would have seen must not be formatted.
fn asked_of_blkid(path: &Path) -> Result<Option<Content>> {
    const LIMIT: Duration = Duration::from_secs(10);
    const AMBIVALENT: i32 = 8;
    let Some(blkid) = program("blkid") else { return Ok(None) };
    let mut command = Command::new(blkid);
    command.args(["-p", "-o", "export", "--"]).arg(path).stdout(Stdio::piped()).stderr(Stdio::null());
    let unsure = || Ok(Some(Content::Other("data that blkid is not sure of".to_owned())));
    let outcome = match program::run(&mut command, LIMIT) {
        Ok(outcome) if outcome.status.success() => outcome,
        Ok(outcome) if matches!(outcome.status.code(), Some(AMBIVALENT) | None) => return unsure(),
        // Our caller took its exit status, so nobody knows what it has seen.
        Err(error) if error.errno() == Some(Errno::ECHILD) => return unsure(),
        Err(error) if error.errno().is_none() => return Err(error),
        _ => return Ok(None),
    };
    let mut lines = outcome.stdout.split(|b| *b == b'\n');
    let kind = lines.find_map(|line| line.strip_prefix(b"TYPE=").or(line.strip_prefix(b"PTTYPE=")));
    Ok(kind.map(|kind| Content::Other(format!("data of the kind {}", crate::text::escape(kind)))))
}

/// Who uses the block device with the node `path`, of which stat(2) said `meta`.
fn user_of_device(
    path: &Path,
    meta: &fs::Metadata,
    key: &str,
    mounts: &Mounts,
    swaps: &[ActiveSwap],
) -> Option<User> {
    let device = device_of(meta);
    let same = |other: &Path| is_node_of(other, meta.rdev());
    let is_mounted = |mount: &&Mount| mount.device == device || same(Path::new(&mount.source));
    // An overlay whose writable layer it is names it as its source, where the caller has not named another.
    if let Some(mount) = mounts.iter().find(is_mounted) {
        return Some(User::Mounted(mount.point.clone()));
    }
    if swaps.iter().any(|swap| !swap.is_file && same(&swap.path)) {
        return Some(User::Swap);
    }
    // A filesystem that was unmounted a moment ago lets go of its device a moment later.
    const PATIENCE: Duration = Duration::from_millis(200);
    let user = wait_for(PATIENCE, || match is_held(path) {
        false => Some(None),
        true => is_trimming(key).then_some(Some(User::Trimming)),
    });
    user.unwrap_or(Some(User::Somebody))
}

/// An image is used through the loop devices that show it.
fn user_of_image(image: &fs::Metadata, key: &str, mounts: &Mounts, swaps: &[ActiveSwap]) -> Option<User> {
    if swaps.iter().any(|swap| swap.is_file && same_file(&swap.path, image)) {
        return Some(User::Swap);
    }
    // The path that a loop device is listed with may be of another namespace, as that of `mount` is.
    let nodes = fs::read_dir("/dev").ok()?.flatten();
    for node in nodes.filter(|node| node.file_name().as_encoded_bytes().starts_with(b"loop")) {
        let device = node.path();
        let shows = |file: File| block::loop_backing(file.as_fd()) == Ok((image.dev(), image.ino()));
        let Ok(meta) = fs::metadata(&device) else { continue };
        if meta.file_type().is_block_device()
            && open(&device, 0).is_ok_and(shows)
            && let Some(user) = user_of_device(&device, &meta, key, mounts, swaps)
        {
            return Some(user);
        }
    }
    None
}

fn same_file(path: &Path, image: &fs::Metadata) -> bool {
    fs::metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == (image.dev(), image.ino()))
}

/// A directory is in use if a mount shows something below it, or stands in it, or is an overlay of it.
fn user_of_directory(path: &Path, mounts: &Mounts) -> Option<User> {
    let here = places::locate(path).ok()?;
    let around = mounts.get(here.mount)?;
    let inside = crate::paths::inside(&around.root, &around.point, &here.path)?;
    let parts = PARTS.map(|part| inside.as_path().join(part));
    let shows = |mount: &&Mount| {
        mount.device == around.device && parts.iter().any(|part| mount.root.starts_with(part))
    };
    let stands = |mount: &&Mount| mount.point != here.path && mount.point.starts_with(&here.path);
    let upper = places::open_path(&path.join("upper")).ok();
    let covers = |mount: &&Mount| {
        let root = Some(mount).filter(|mount| mount.fstype == "overlay" && mount.root == Path::new("/"));
        let root = root.and_then(|mount| places::open_path(&mount.point).ok());
        upper.as_ref().zip(root).is_some_and(|(upper, root)| reveal::is_upper(upper, &root))
    };
    let user = mounts.iter().find(|mount| shows(mount) || stands(mount) || covers(mount));
    user.map(|mount| User::Mounted(mount.point.clone()))
}

/// /proc/net/unix lists an abstract socket's name after an `@`.
fn is_trimming(key: &str) -> bool {
    let wanted = format!("@{}", trim_socket(key)).into_bytes();
    fs::read("/proc/net/unix")
        .is_ok_and(|text| text.split(|b| *b == b'\n').any(|line| line.ends_with(&wanted)))
}

fn directory(path: &Path, mounts: &Mounts) -> Result<Directory> {
    let state = match open(&path.join(STATE_FILE), libc::O_NOFOLLOW) {
        Err(_) => LayerState::New,
        Ok(mut file) => {
            let mut text = Vec::new();
            (&mut file).take(256).read_to_end(&mut text).attempt("read the state of", path)?;
            if text == READY { LayerState::Ready } else { LayerState::Resetting }
        }
    };
    let mut foreign = None;
    for entry in fs::read_dir(path).attempt("read the layer", path)? {
        let name = entry.attempt("read the layer", path)?.file_name();
        let bytes = name.as_encoded_bytes();
        // Without the state file, a directory called "work" is anybody's.
        let parts = if state == LayerState::New { &[] } else { PARTS.as_slice() };
        let ours = parts.iter().chain(&["lost+found", STATE_FILE]).any(|known| *known == name)
            || bytes.starts_with(ASIDE.as_bytes());
        if !ours {
            foreign = Some(path.join(name));
            break;
        }
    }
    let here = places::locate(path).attempt("look at the layer", path)?;
    let source = mounts.get(here.mount).map(|mount| mount.source.clone()).unwrap_or_default();
    Ok(Directory { state, foreign, source })
}
