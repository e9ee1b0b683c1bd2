//! Giving blocks back to the host when nobody waits: a process of its own that ends when it is asked to.
//!
//! It listens on an abstract socket named after the layer; whoever wants the layer for itself connects and
//! waits for the end of the connection, which comes when nothing holds the filesystem any more. There is no
//! file to leave behind and no process number to mistake.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Attempt, Result};
use crate::layers::device::{Storage, root_of};
use crate::layers::facts::trim_socket;
use crate::layers::reset::delete::delete;
use crate::sys;

/// So many bytes are trimmed between two looks at the socket.
const CHUNK: u64 = 1 << 30;

/// Work that is left over after a command is done: the caller chooses who does it.
#[derive(Debug)]
pub struct Pending(Work);

#[derive(Debug)]
enum Work {
    /// The filesystem to be trimmed.
    Trim { root: TrimRoot, key: String },
    /// What a reset moved aside.
    Delete(Vec<PathBuf>),
}

#[derive(Debug)]
enum TrimRoot {
    /// A directory of it, which keeps it there.
    Open(File),
    /// It is mounted nowhere, and mounting it is part of the work: nobody waits for that either.
    On { device: PathBuf, storage: Storage, kind: &'static str },
}

impl TrimRoot {
    fn open(self) -> Result<File> {
        match self {
            Self::Open(root) => Ok(root),
            Self::On { device, storage, kind } => root_of(&device, storage, kind).map(File::from),
        }
    }
}

impl Pending {
    pub(crate) fn trim(root: OwnedFd, key: &str) -> Self {
        Self(Work::Trim { root: TrimRoot::Open(root.into()), key: key.to_owned() })
    }

    pub(crate) fn trim_unmounted(device: &Path, storage: Storage, kind: &'static str, key: &str) -> Self {
        let root = TrimRoot::On { device: device.to_owned(), storage, kind };
        Self(Work::Trim { root, key: key.to_owned() })
    }

    pub(crate) fn delete(paths: Vec<PathBuf>) -> Option<Self> {
        (!paths.is_empty()).then_some(Self(Work::Delete(paths)))
    }

    /// Does it now, and returns when it is done.
    ///
    /// # Errors
    /// If the old files cannot be deleted. A device that takes no blocks back is no error.
    pub fn run(self) -> Result<()> {
        match self.0 {
            Work::Trim { root, .. } => trim(root.open()?, None),
            Work::Delete(paths) => delete(&paths),
        }
    }

    /// Leaves it to a process of its own, which holds nothing of the caller's. Only for a process that has
    /// one thread; others run [`Pending::run`] in a thread.
    ///
    /// # Errors
    /// If there can be no process.
    pub fn detach(self) -> Result<()> {
        let (keep, listener): (Vec<RawFd>, _) = match &self.0 {
            Work::Delete(_) => (Vec::new(), None),
            Work::Trim { root, key } => {
                let listener = listen(key);
                let open = match root {
                    TrimRoot::Open(root) => Some(root.as_raw_fd()),
                    TrimRoot::On { .. } => None,
                };
                let held = listener.iter().map(AsRawFd::as_raw_fd).chain(open).collect();
                (held, listener)
            }
        };
        let work = || {
            let _ = match self.0 {
                Work::Trim { root, .. } => root.open().and_then(|root| trim(root, listener)),
                Work::Delete(paths) => delete(&paths),
            };
        };
        sys::detach(&keep, work).attempt("start a process to trim", "in the background")
    }
}

/// Asks a background trimming to end, and waits until it has.
pub(crate) fn stop(key: &str) {
    let Ok(address) = SocketAddr::from_abstract_name(trim_socket(key)) else { return };
    let Ok(mut stream) = UnixStream::connect_addr(&address) else { return };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = stream.read(&mut [0]);
}

fn listen(key: &str) -> Option<UnixListener> {
    let address = SocketAddr::from_abstract_name(trim_socket(key)).ok()?;
    let listener = UnixListener::bind_addr(&address).ok()?;
    listener.set_nonblocking(true).ok()?;
    Some(listener)
}

fn trim(root: File, listener: Option<UnixListener>) -> Result<()> {
    let size = nix::sys::statvfs::fstatvfs(&root)
        .map(|space| space.blocks() * space.fragment_size())
        .attempt("statvfs", "the writable layer")?;
    // statvfs leaves out what the filesystem needs for itself; past the end, FITRIM says EINVAL.
    let mut start = 0;
    let mut asked = None;
    while asked.is_none() && start < size.saturating_mul(2).saturating_add(CHUNK) {
        if sys::block::trim(root.as_fd(), start, CHUNK).is_err() {
            break;
        }
        start += CHUNK;
        asked = listener.as_ref().and_then(|listener| listener.accept().ok());
    }
    // The filesystem is let go before the name is, so that whoever finds the layer busy can see by whom; and
    // who asked hears of the end when it is one.
    drop(root);
    drop(listener);
    drop(asked);
    Ok(())
}
