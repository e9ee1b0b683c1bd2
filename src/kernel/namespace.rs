//! Mount namespaces of our own, in which nothing that we mount is seen by anybody else.
#![expect(clippy::disallowed_methods, reason = "the caller's own namespace, and no path of an image")]

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::error::{Attempt, Error, Kind, Result};

/// Runs `work` in a thread with its own mounts, root and working directory.
///
/// # Errors
/// If there can be no namespace, and what `work` fails with.
pub(crate) fn apart<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let thread = || {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).attempt("unshare the mounts of", "/")?;
        let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
            .attempt("make the mounts private of", "/")?;
        work()
    };
    std::thread::scope(|scope| {
        let spawned = std::thread::Builder::new().spawn_scoped(scope, thread);
        match spawned.attempt("start a thread for the mounts of", "/")?.join() {
            Ok(done) => done,
            Err(_) => Err(Error::new(Kind::State, "put the root together", "the thread ended early")),
        }
    })
}

/// So that what is mounted here appears nowhere else, even where systemd made `/` shared.
///
/// # Errors
/// As mount(2) says.
pub(crate) fn make_private() -> Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).attempt("make the mounts private of", "/")
}
