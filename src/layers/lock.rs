//! One layer, one command: whoever mounts or resets a layer locks it while it looks, formats and mounts.
//!
//! Two that looked at the same time would both find it free, and an image file has no O_EXCL that would tell them
//! apart later. The name is that of an abstract socket: it goes with the process whatever becomes of that, and
//! takes nothing from mkfs, which may want a lock of the file itself. A name that somebody else than root has taken
//! locks nothing. Whoever waits is told of the end by the connection, and need not ask again and again.

use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::layers::facts;
use crate::sys::peer_uid;

/// How long another command is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a name is found that is bound and not listened at: ours are, a moment later.
const LOOKS: u32 = 200;

/// The layer is locked as long as this lives.
#[derive(Debug)]
pub(crate) struct LayerLock(#[expect(dead_code, reason = "its end is what counts")] Option<UnixListener>);

/// Locks the layer at `path`; one that is not there needs no lock.
///
/// # Errors
/// State if another command has it and does not come to an end.
pub(crate) fn lock(path: &Path) -> Result<LayerLock> {
    let name = facts::key(path).map(|key| format!("rootfs-shim-hold-{key}"));
    let Some(address) = name.and_then(|name| SocketAddr::from_abstract_name(name).ok()) else {
        return Ok(LayerLock(None));
    };
    let (end, mut refused) = (Instant::now() + PATIENCE, 0);
    loop {
        match UnixListener::bind_addr(&address) {
            Ok(listener) => return Ok(LayerLock(Some(listener))),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(_) => return Ok(LayerLock(None)),
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let error = Error::new(Kind::State, "use the layer", "another rootfs-shim is at work on it");
            return Err(error.at(path));
        }
        match UnixStream::connect_addr(&address) {
            Ok(mut stream) if peer_uid(stream.as_fd()) == Ok(0) => {
                // It says nothing; that it is gone is the word.
                let _ = stream.set_read_timeout(Some(left)).map(|()| stream.read(&mut [0]));
            }
            Err(_) if refused < LOOKS => {
                refused += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            _ => return Ok(LayerLock(None)),
        }
    }
}
