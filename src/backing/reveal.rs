//! A private mount namespace in which the upper directory is visible, for a guest where it is not.
//!
//! This process enters it and keeps the way back to its caller's: operands that are as the user wrote them are
//! enabled from there, because the kernel prints their names from the mount they were opened in.
#![expect(clippy::disallowed_methods, reason = "the running system's own files, and never an image's")]

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, fstat};

use crate::backing::candidates::{self, Candidates};
use crate::backing::devices::{self, Device, Nodes};
use crate::error::{Attempt, Result};
use crate::kernel::mounts::{self, Mount, Mounts};
use crate::kernel::namespace::unshare_mounts;
use crate::kernel::places;
use crate::paths::{self, OverlayPath};
use crate::sys::{self, Caller};

/// A namespace of our own, and where the upper directory is in it.
#[derive(Debug)]
pub(crate) struct Revealed {
    /// The way back to the namespace that we came from.
    pub caller: Caller,
    /// The upper directory's mount point.
    pub upper: PathBuf,
}

/// A directory that every image has and that no real tool needs while it runs.
const PLACES: &[&str] = &["/.rootfs-shim/bin", "/mnt", "/media", "/srv", "/opt", "/home", "/boot"];

/// Looks at the candidates from a namespace of our own and mounts what is found; `None` if none of them is it, and
/// then we are in our caller's namespace again. Nothing is mounted over a path in `avoid`.
///
/// # Errors
/// If there can be no namespace.
pub(crate) fn to_this_process(candidates: &Candidates, avoid: &[&Path]) -> Result<Option<Revealed>> {
    let here = |path: &str| open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).attempt("open", path);
    let namespace = open("/proc/thread-self/ns/mnt", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
    let caller = Caller {
        namespace: namespace.attempt("open", "/proc/thread-self/ns/mnt")?,
        root: here("/")?,
        cwd: here(".")?,
    };
    unshare_mounts()?;
    let hides = |place: &Path| avoid.iter().any(|path| path.starts_with(place));
    let Some(place) = PLACES.iter().map(Path::new).find(|place| place.is_dir() && !hides(place)) else {
        sys::return_to(&caller).attempt("return from a namespace to", "/")?;
        return Ok(None);
    };
    match find(candidates, place).and_then(|found| attach(&found.mount, place).ok()) {
        Some(()) => Ok(Some(Revealed { caller, upper: place.to_owned() })),
        None => {
            sys::return_to(&caller).attempt("return from a namespace to", "/")?;
            Ok(None)
        }
    }
}

/// Where there is no /proc, mounts one that this process alone sees; whether it did.
pub(crate) fn borrow_proc() -> bool {
    let place = Path::new("/proc");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    !place.join("self/fd").exists()
        && unshare_mounts().is_ok()
        && mount(Some("proc"), place, Some("proc"), flags, None::<&str>).is_ok()
}

/// An upper directory that was found.
struct Found {
    /// As a mount of its own, attached nowhere.
    mount: OwnedFd,
    /// What its device is called, where no mount table says it.
    source: Option<PathBuf>,
}

/// An upper directory that is revealed to nobody.
#[derive(Debug)]
pub(crate) struct UnattachedUpper {
    /// Attached nowhere.
    pub mount: OwnedFd,
    /// What a mount table would say of it: its filesystem and its path there. For where it is mounted stands what
    /// findmnt(8) calls such a mount: `/dev/vdb[/upper]`.
    pub shown: Mount,
}

/// Looks at the candidates without revealing anything to this process, on a thread with mounts of its own.
///
/// # Errors
/// If there can be no namespace.
pub(crate) fn unseen(candidates: &Candidates) -> Result<Option<UnattachedUpper>> {
    // Nobody runs anything in there, so any directory will do.
    let more = ["/tmp", "/var", "/usr", "/etc", "/dev", "/sys", "/proc"].iter().chain(PLACES);
    let look = || {
        unshare_mounts()?;
        let mut places = more.map(Path::new).filter(|place| place.is_dir());
        Ok(places.next().and_then(|place| describe(find(candidates, place)?, place)))
    };
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().spawn_scoped(scope, look).attempt("start a thread for", "/")?;
        thread.join().unwrap_or(Ok(None))
    })
}

/// The mount is attached for as long as it takes to read what the mount table says of it, and to make the copy that
/// stays: up to Linux 6.12 nothing else than an attached mount can be copied.
fn describe(found: Found, place: &Path) -> Option<UnattachedUpper> {
    attach(&found.mount, place).ok()?;
    let line = mounts::all_mounts().at(place).cloned();
    let copy = places::open_path(place).ok().and_then(|top| sys::clone_mount(top.as_fd()).ok());
    let _ = umount2(place, MntFlags::MNT_DETACH);
    let (line, mount) = (line?, copy?);
    let source = found.source.map_or_else(|| line.source.clone(), PathBuf::into_os_string);
    let mut name = source.clone();
    for part in ["[".as_ref(), line.root.as_os_str(), "]".as_ref()] {
        name.push(part);
    }
    Some(UnattachedUpper { mount, shown: Mount { source, point: name.into(), ..line } })
}

fn attach(upper: &OwnedFd, place: &Path) -> Result<()> {
    let onto = places::open_path(place).attempt("open", place)?;
    sys::attach_mount(upper.as_fd(), onto.as_fd()).attempt("mount the upper directory at", place)
}

/// The upper directory as a mount of its own that is attached nowhere yet. The device that is said to hold it is asked
/// first, which costs the same whatever is mounted; a name may be wrong or missing in the guest, so all that is mounted
/// comes after it.
fn find(candidates: &Candidates, place: &Path) -> Option<Found> {
    let on = |device: &Device| {
        // Nothing stays open that is not needed: a caller may leave us a dozen descriptors (`ulimit -n`).
        let filesystem = Nodes::new().ok()?.filesystem(device)?;
        let mount = upper_on(filesystem, place, candidates)?;
        // Its own source is a node that nobody else sees.
        Some(Found { mount, source: Some(device.name.clone()) })
    };
    let visible = || {
        let mounts = mounts::all_mounts();
        let mut on_disk = mounts.iter().filter(|mount| mount.device.major != 0 || mount.fstype == "btrfs");
        on_disk.find_map(|mount| Some(Found { mount: upper_below(&mount.point, candidates)?, source: None }))
    };
    let any = || {
        let others = devices::all();
        let is_new = |device: &&Device| candidates.devices.iter().all(|asked| asked.number != device.number);
        others.iter().filter(is_new).find_map(on)
    };
    candidates.devices.iter().find_map(on).or_else(visible).or_else(any)
}

/// Looks in a filesystem that is attached nowhere. It is attached for as long as that takes, because up to Linux 6.12
/// no part of a detached mount can be taken out of it.
fn upper_on(filesystem: OwnedFd, place: &Path, candidates: &Candidates) -> Option<OwnedFd> {
    attach(&filesystem, place).ok()?;
    drop(filesystem);
    let found = upper_below(place, candidates);
    let _ = umount2(place, MntFlags::MNT_DETACH);
    found
}

fn upper_below(point: &Path, candidates: &Candidates) -> Option<OwnedFd> {
    let dir = open(
        point,
        OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    let by_handle =
        candidates.handle.as_ref().and_then(|handle| sys::open_by_handle(dir.as_fd(), handle).ok());
    let by_name = || {
        candidates.names.iter().find_map(|name| {
            let path = OverlayPath::parse(Path::new("/").join(name))?;
            let there = if name.as_os_str().is_empty() {
                dir.try_clone().ok()
            } else {
                places::open_beneath(&dir, &path, OFlag::O_PATH | OFlag::O_DIRECTORY).ok()
            };
            there.filter(|dir| is_upper(dir, &candidates.root))
        })
    };
    let upper = by_handle.filter(|dir| is_upper(dir, &candidates.root)).or_else(by_name)?;
    // While the mount that it was found through is still there.
    sys::clone_mount(upper.as_fd()).ok()
}

/// How often the two are compared: somebody may be making a file in `/` meanwhile.
const LOOKS: usize = 5;

/// Whether `dir` may be the upper directory of the overlay whose root is `root`: overlayfs answers stat(2) of its root
/// from the real one, times to the nanosecond included.
pub(crate) fn is_upper(dir: &OwnedFd, root: &OwnedFd) -> bool {
    !handles_differ(dir, root) && (0..LOOKS).any(|_| answer_alike(dir, root))
}

/// Whether the kernel says that they are two, which it can since Linux 6.5: two directories of one moment answer alike.
fn handles_differ(dir: &OwnedFd, root: &OwnedFd) -> bool {
    let handle = |fd: &OwnedFd| sys::file_handle(fd.as_fd()).ok();
    let embedded = handle(root).as_ref().and_then(candidates::embedded);
    embedded.zip(handle(dir)).is_some_and(|(embedded, own)| embedded.handle != own)
}

fn answer_alike(dir: &OwnedFd, root: &OwnedFd) -> bool {
    let key = |stat: nix::sys::stat::FileStat| {
        (
            stat.st_mode,
            stat.st_uid,
            stat.st_gid,
            stat.st_mtime,
            stat.st_mtime_nsec,
            stat.st_ctime,
            stat.st_ctime_nsec,
        )
    };
    let (root, there) = (fstat(root), fstat(dir));
    matches!((root, there), (Ok(root), Ok(there)) if key(root) == key(there))
}

/// What a mount of the directory at a path of the host's would say of itself.
pub(crate) fn mount_at(path: &Path, mounts: &Mounts) -> Option<Mount> {
    let place = places::locate(path).ok()?;
    let mount = mounts.get(place.mount)?;
    let root = paths::inside(&mount.root, &mount.point, &place.path)?;
    Some(Mount { root: root.as_path().to_owned(), point: place.path, ..mount.clone() })
}
