//! Mount namespaces of our own, in which nothing that we mount is seen by anybody else.
#![expect(clippy::disallowed_methods, reason = "the caller's own namespace, and no path of an image")]

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::error::{Attempt, Error, Kind, Result};

/// Runs `work` in a thread with its own mounts, root and working directory. Whatever becomes of it, the kernel
/// takes its mounts down with the thread.
///
/// # Errors
/// If there can be no namespace, and what `work` fails with.
pub(crate) fn in_private_namespace<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let thread = || {
        // The kernel gives a thread that leaves the others' mounts a root and a working directory of its own too.
        unshare_mounts()?;
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

/// Gives this thread a mount namespace of its own. What is mounted in it appears nowhere else, even where systemd
/// made `/` shared.
///
/// # Errors
/// As unshare(2) and mount(2) say.
pub(crate) fn unshare_mounts() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).attempt("unshare the mounts of", "/")?;
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).attempt("make the mounts private of", "/")
}
